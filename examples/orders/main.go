// Command orders is a service that takes access tokens. It asks nobody about
// them: the verifier holds the issuer's keys and what was revoked.
//
//	go run ./examples/orders -issuer http://127.0.0.1:8080
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/counterfoil/counterfoil/verifier"
)

// Claims are what this service reads of a token.
type Claims struct {
	Scope string   `json:"scope"`
	Roles []string `json:"roles"`
}

func main() {
	listen := flag.String("listen", "127.0.0.1:9000", "address to listen on")
	issuer := flag.String("issuer", "http://127.0.0.1:8080", "whose tokens are taken")
	credential := flag.String("credential", "", "file from counterfoil client add --verifier; not needed on loopback")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *listen, *issuer, *credential); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, listen, issuer, credential string) error {
	v, err := verifier.Open(ctx, verifier.Config{Issuer: issuer, Audience: "api", CredentialFile: credential})
	if err != nil {
		return err
	}
	defer v.Close()

	server := &http.Server{Addr: listen, Handler: v.Protect(http.HandlerFunc(orders))}
	context.AfterFunc(ctx, func() { server.Close() })
	if err := server.ListenAndServe(); ctx.Err() == nil {
		return err
	}
	return nil
}

func orders(w http.ResponseWriter, r *http.Request) {
	tok, ok := verifier.From[Claims](r.Context())
	if !ok {
		http.Error(w, "the claims are not ours", http.StatusForbidden)
		return
	}
	fmt.Fprintf(w, "no orders yet for %q, whose roles are %q\n", tok.Subject(), tok.Claims().Roles)
}

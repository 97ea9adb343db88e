package remote_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/notary/remote"
)

func Example() {
	dir, err := os.MkdirTemp("", "notary")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	ln, err := net.Listen("unix", filepath.Join(dir, "notary.sock"))
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error)
	go func() { ended <- serveNotary(ctx, ln) }()

	client, err := remote.Open(remote.Config{URLs: []string{"unix:" + ln.Addr().String()}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	digest := notary.Sum("e30", []byte(`,"sub":"alice"}`))
	jti, err := client.Tag(ctx, "k1", digest)
	if err != nil {
		fmt.Println(err)
		return
	}
	genuine, err := notary.NewRecord("k1", jti, digest)
	if err != nil {
		fmt.Println(err)
		return
	}
	forged := genuine
	forged.Digest = notary.Sum("e30", []byte(`,"sub":"admin"}`))
	fmt.Println(client.Check(ctx, []notary.Record{genuine, forged}))

	stop()
	fmt.Println(<-ended)
	// Output:
	// [true false] <nil>
	// <nil>
}

func serveNotary(ctx context.Context, ln net.Listener) error {
	key, err := jwk.Generate(jwk.Params{Algorithm: notary.ReleaseAlgorithm})
	if err != nil {
		return err
	}
	keys, err := jwk.NewSet(key)
	if err != nil {
		return err
	}
	escrow, err := notary.NewEscrow(keys)
	if err != nil {
		return err
	}
	server := &remote.Server{
		Notary: notary.NewLocal(notary.Secret([]byte("0123456789abcdef0123456789abcdef"))),
		Escrow: escrow, Log: slog.New(slog.DiscardHandler),
	}
	return server.Serve(ctx, ln)
}

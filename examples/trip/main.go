// Command trip runs the whole of Counterfoil on this machine, for trying it out:
// an issuer, the service examples/orders and a guard, with one user. It is what
// "make run" starts.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	userName     = "ada"
	startTimeout = 30 * time.Second
	stopTimeout  = 15 * time.Second // more than the programs take to drain
)

// A trip is the programs and where they listen.
type trip struct {
	bin, data             string
	issuer, orders, guard string // HOST:PORT
}

func main() {
	var t trip
	flag.StringVar(&t.bin, "bin", "bin", "folder with the programs counterfoil and orders")
	flag.StringVar(&t.data, "data", ".run", "folder for what they keep")
	flag.StringVar(&t.issuer, "issuer", "127.0.0.1:8080", "address of the issuer")
	flag.StringVar(&t.orders, "orders", "127.0.0.1:9000", "address of the service")
	flag.StringVar(&t.guard, "guard", "127.0.0.1:8081", "address of the guard")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := t.run(ctx, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "trip:", err)
		os.Exit(1)
	}
}

// run starts everything, prints what to type, and stops everything when ctx ends
// or one of the programs does.
func (t *trip) run(ctx context.Context, stdout, stderr io.Writer) error {
	if err := t.mayStart(); err != nil {
		return err
	}
	if err := os.MkdirAll(t.data, 0o700); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	all := programs{stderr: stderr, ended: make(chan error, 3)}
	defer all.wait()
	defer stop()

	issuer := t.counterfoil("serve", "--data", t.issuerData(), "--listen", t.issuer, "--log-level", "warn")
	if err := all.start(ctx, "issuer", issuer); err != nil {
		return err
	}
	if err := all.await(ctx, "issuer", "http://"+t.issuer+"/readyz"); err != nil {
		return err
	}
	password, err := t.password(ctx)
	if err != nil {
		return err
	}
	if err := t.startRest(ctx, &all); err != nil {
		return err
	}
	t.explain(stdout, password)
	select {
	case <-ctx.Done():
		return nil
	case err := <-all.ended:
		return err
	}
}

func (t *trip) startRest(ctx context.Context, all *programs) error {
	url := "http://" + t.issuer
	orders := []string{filepath.Join(t.bin, "orders"), "-issuer", url, "-listen", t.orders}
	guard := t.counterfoil("guard", "--issuer", url, "--audience", "api", "--listen", t.guard,
		"--state", filepath.Join(t.data, "guard"), "--log-level", "warn")
	if err := all.start(ctx, "orders", orders); err != nil {
		return err
	}
	if err := all.start(ctx, "guard", guard); err != nil {
		return err
	}
	if err := all.await(ctx, "orders", "http://"+t.orders+"/"); err != nil {
		return err
	}
	return all.await(ctx, "guard", "http://"+t.guard+"/readyz")
}

func (t *trip) issuerData() string { return filepath.Join(t.data, "issuer") }

func (t *trip) counterfoil(args ...string) []string {
	return append([]string{filepath.Join(t.bin, "counterfoil")}, args...)
}

// mayStart says in words why a second start, or a taken port, cannot work.
func (t *trip) mayStart() error {
	if conn, err := net.Dial("unix", filepath.Join(t.issuerData(), "admin.sock")); err == nil {
		conn.Close()
		return fmt.Errorf("it is already running on the folder %s: use that one, or stop it there with Ctrl-C", t.data)
	}
	var taken, instead []string
	for _, place := range []struct{ name, addr string }{{"issuer", t.issuer}, {"orders", t.orders}, {"guard", t.guard}} {
		ln, err := net.Listen("tcp", place.addr)
		if errors.Is(err, syscall.EADDRINUSE) {
			taken = append(taken, place.addr+", where the "+place.name+" would")
			if ln, err = net.Listen("tcp", "127.0.0.1:0"); err == nil {
				// Open until all are found, so that no port is named twice.
				instead = append(instead, strings.ToUpper(place.name)+"="+ln.Addr().String())
			}
		}
		if err != nil {
			return err
		}
		defer ln.Close()
	}
	if taken != nil {
		return fmt.Errorf("another program is listening on %s; other ports: make run %s",
			strings.Join(taken, ", and on "), strings.Join(instead, " "))
	}
	return nil
}

// password makes the user, or gives the one of an earlier trip a new password.
func (t *trip) password(ctx context.Context) (string, error) {
	where := []string{userName, "--generate", "--data", t.issuerData()}
	added, first := output(ctx, t.counterfoil(append([]string{"user", "add"}, where...)...))
	if first == nil {
		return added, nil
	}
	changed, err := output(ctx, t.counterfoil(append([]string{"user", "password"}, where...)...))
	if err != nil {
		return "", errors.Join(first, err)
	}
	return changed, nil
}

func output(ctx context.Context, argv []string) (string, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(argv[1:3], " "), err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(string(out)), nil
}

// explain prints the trip, line by line to paste.
func (t *trip) explain(w io.Writer, password string) {
	fmt.Fprintf(w, `
  issuer   http://%[1]s
  orders   http://%[2]s   a service that takes tokens and asks nobody
  guard    http://%[3]s/auth   the same check for services in any language
  user     %[4]s, password %[5]s (shown this once)

Paste these into another shell, one by one:

answer=$(curl -s http://%[1]s/sign-in -H 'Content-Type: application/json' -d '{"username":"%[4]s","password":"%[5]s"}'); access=$(echo "$answer" | sed 's/.*"access_token":"\([^"]*\)".*/\1/'); refresh=$(echo "$answer" | sed 's/.*"refresh_token":"\([^"]*\)".*/\1/'); echo "$access"
curl -i http://%[2]s/ -H "Authorization: Bearer $access"
curl -i http://%[1]s/revoke -d "token=$refresh"
curl -i http://%[2]s/ -H "Authorization: Bearer $access"

The second says 200, the third ends the session, the last says 401.
Ctrl-C here stops everything.
`, t.issuer, t.orders, t.guard, userName, password)
}

// programs are the processes under way. Whoever starts one waits for it.
type programs struct {
	stderr  io.Writer
	ended   chan error // what ended by itself, and why
	running sync.WaitGroup
}

// start runs a program until ctx ends. Then it gets a SIGTERM, and after a while
// no more time.
func (p *programs) start(ctx context.Context, name string, argv []string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = p.stderr, p.stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopTimeout
	if err := cmd.Start(); err != nil {
		return err
	}
	p.running.Go(func() {
		err := cmd.Wait()
		if ctx.Err() == nil {
			p.ended <- fmt.Errorf("the %s ended: %v", name, err)
		}
	})
	return nil
}

func (p *programs) wait() { p.running.Wait() }

// await asks url until it gives an answer that is not 5xx.
func (p *programs) await(ctx context.Context, name, url string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		if answers(ctx, url) {
			return nil
		}
		select {
		case err := <-p.ended:
			return err
		case <-ctx.Done():
			return fmt.Errorf("the %s did not become ready", name)
		case <-again.C:
		}
	}
}

func answers(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode < 500
}

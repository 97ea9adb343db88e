package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/testport"
)

// The lines that the trip prints are pasted into a shell, as a newcomer would.
func TestPastedLines(t *testing.T) {
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", dir, "../../cmd/counterfoil", "../orders")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	trip := trip{bin: dir, data: filepath.Join(dir, "run"), issuer: freeAddr(t), orders: freeAddr(t), guard: freeAddr(t)}
	for _, start := range []string{"first", "second, on the same folder"} {
		t.Run(start, func(t *testing.T) {
			lines := startTrip(t, &trip)
			var script []string
			for line := range strings.Lines(lines) {
				if strings.HasPrefix(line, "answer=") || strings.HasPrefix(line, "curl ") {
					script = append(script, line)
				}
			}
			if len(script) != 4 {
				t.Fatalf("%d lines to paste:\n%s", len(script), lines)
			}
			script[3] = fmt.Sprintf(untilRefused, script[3])
			shell := exec.CommandContext(t.Context(), "bash", "-c", strings.Join(script, ""))
			out, err := shell.Output()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if want := []string{"200", "200", "401"}; !equal(statuses(string(out)), want) {
				t.Errorf("statuses %v, want %v:\n%s", statuses(string(out)), want, out)
			}
		})
	}
}

// untilRefused pastes a line again for five seconds: whoever pastes line by line takes a
// moment, and a revocation may take a second.
const untilRefused = `for i in {1..100}; do
	last=$(%s)
	case $last in *' 401 '*) break;; esac
	sleep 0.05
done
echo "$last"
`

// startTrip runs a trip until the test ends, and returns what it printed.
func startTrip(t *testing.T, trip *trip) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	read, write := io.Pipe()
	var stderr bytes.Buffer
	ended := make(chan error, 1)
	go func() {
		err := trip.run(ctx, write, &stderr)
		write.CloseWithError(err)
		ended <- err
	}()
	t.Cleanup(func() {
		cancel()
		go io.Copy(io.Discard, read)
		if err := <-ended; err != nil {
			t.Errorf("the trip ended with %v\n%s", err, &stderr)
		}
	})
	printed, buf := "", make([]byte, 4096)
	for !strings.Contains(printed, "Ctrl-C") {
		n, err := read.Read(buf)
		if err != nil {
			t.Fatalf("%v after %q\n%s", err, printed, &stderr)
		}
		printed += string(buf[:n])
	}
	if err := trip.mayStart(); err == nil || !strings.Contains(err.Error(), "already running") {
		t.Errorf("a second start beside the first: %v", err)
	}
	return printed
}

func TestTakenPort(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	trip := trip{data: t.TempDir(), issuer: freeAddr(t), orders: ln.Addr().String(), guard: freeAddr(t)}
	err = trip.mayStart()
	if err == nil || !strings.Contains(err.Error(), "make run ORDERS=") {
		t.Errorf("with the port of orders taken: %v", err)
	}
	trip.guard = trip.orders
	err = trip.mayStart()
	if err == nil || !regexp.MustCompile(`make run ORDERS=127\.0\.0\.1:\d+ GUARD=127\.0\.0\.1:\d+$`).MatchString(err.Error()) {
		t.Errorf("with two ports taken: %v", err)
	}
}

func freeAddr(t *testing.T) string { return fmt.Sprintf("127.0.0.1:%d", testport.Free(t)) }

// statuses finds the status lines of curl -i.
func statuses(out string) (all []string) {
	for line := range strings.Lines(out) {
		if rest, ok := strings.CutPrefix(line, "HTTP/1.1 "); ok {
			all = append(all, rest[:3])
		}
	}
	return all
}

func equal(a, b []string) bool { return strings.Join(a, " ") == strings.Join(b, " ") }

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/counterfoil/counterfoil/internal/testport"
)

// patience bounds each wait of a script for a server.
const patience = 30 * time.Second

// A daemon is a server that a script started.
type daemon struct {
	cmd   *exec.Cmd
	ready chan string   // the address, once it listens
	ended chan struct{} // closed when all of its log has been read and it is gone

	mu  sync.Mutex
	log strings.Builder
}

type daemonsKey struct{}

// daemons are those of one script, by name.
func daemons(ts *testscript.TestScript) map[string]*daemon {
	return ts.Value(daemonsKey{}).(map[string]*daemon)
}

// withDaemons prepares a script for the commands below.
func withDaemons(env *testscript.Env) error {
	all := map[string]*daemon{}
	env.Values[daemonsKey{}] = all
	env.Setenv("GID", strconv.Itoa(os.Getgid())) // a group that this user is in
	port, release, err := testport.Reserve()
	if err != nil {
		return err
	}
	env.Defer(release)
	env.Setenv("LISTEN", fmt.Sprintf("127.0.0.1:%d", port)) // again and again
	env.Defer(func() {
		for _, d := range all {
			d.stop()
		}
	})
	return nil
}

var listening = regexp.MustCompile(`msg=(?:serving|guarding|notarizing) .*listen=(127\.0\.0\.1:\d+|\S+\.sock)`)

// runServe starts counterfoil serve, or counterfoil guard or notary for these names,
// and waits until it listens:
//
//	serve issuer --data data
func runServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: serve NAME FLAGS...")
	}
	name, use := args[0], "serve"
	if name == "guard" || name == "notary" {
		use = name
	}
	program, err := exec.LookPath("counterfoil")
	ts.Check(err)
	d := &daemon{cmd: exec.Command(program, append([]string{use}, args[1:]...)...), ready: make(chan string, 1), ended: make(chan struct{})}
	d.cmd.Dir, d.cmd.Env = ts.Getenv("WORK"), append(os.Environ(), "COUNTERFOIL_LOG_FORMAT=text", "KEK="+ts.Getenv("KEK"))
	stderr, err := d.cmd.StderrPipe()
	ts.Check(err)
	ts.Check(d.cmd.Start())
	daemons(ts)[name] = d
	go d.read(stderr)
	select {
	case addr := <-d.ready:
		ts.Setenv("ADDR_"+name, addr)
	case <-d.ended:
		ts.Fatalf("%s ended:\n%s", name, d.text())
	case <-time.After(patience):
		ts.Fatalf("%s does not listen:\n%s", name, d.text())
	}
}

func (d *daemon) read(stderr io.Reader) {
	defer close(d.ended)
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		d.mu.Lock()
		d.log.WriteString(lines.Text() + "\n")
		d.mu.Unlock()
		if m := listening.FindStringSubmatch(lines.Text()); m != nil {
			select {
			case d.ready <- m[1]:
			default:
			}
		}
	}
	_ = d.cmd.Wait()
}

func (d *daemon) text() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.String()
}

// stop ends a daemon as an operator does, and says how it went.
func (d *daemon) stop() int {
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	<-d.ended
	return d.cmd.ProcessState.ExitCode()
}

// terminate wants an orderly end: terminate issuer
func terminate(ts *testscript.TestScript, neg bool, args []string) {
	d := namedDaemon(ts, neg, args, 1)
	if code := d.stop(); code != 0 {
		ts.Fatalf("exit code %d:\n%s", code, d.text())
	}
}

func namedDaemon(ts *testscript.TestScript, neg bool, args []string, n int) *daemon {
	if neg || len(args) < n || daemons(ts)[args[0]] == nil {
		ts.Fatalf("want the name of a server and %d arguments in all", n)
	}
	return daemons(ts)[args[0]]
}

// address puts a server's address into a variable: address issuer ADDR
func address(ts *testscript.TestScript, neg bool, args []string) {
	namedDaemon(ts, neg, args, 2)
	ts.Setenv(args[1], ts.Getenv("ADDR_"+args[0]))
}

// logged wants a regular expression in a server's log.
func logged(ts *testscript.TestScript, neg bool, args []string) {
	d := namedDaemon(ts, neg, args, 2)
	if !regexp.MustCompile(args[1]).MatchString(d.text()) {
		ts.Fatalf("no %s in\n%s", args[1], d.text())
	}
}

// unlogged wants nothing of a file in a server's log: of a token, not even the
// beginning of a segment.
func unlogged(ts *testscript.TestScript, neg bool, args []string) {
	d := namedDaemon(ts, neg, args, 2)
	for part := range strings.SplitSeq(strings.TrimSpace(ts.ReadFile(args[1])), ".") {
		if part = part[:min(len(part), 16)]; part == "" || strings.Contains(d.text(), part) {
			ts.Fatalf("the log holds what is in %s", args[1])
		}
	}
}

// limit wants a regular expression in what the kernel says of a server's limits.
func limit(ts *testscript.TestScript, neg bool, args []string) {
	d := namedDaemon(ts, neg, args, 2)
	text, err := os.ReadFile("/proc/" + strconv.Itoa(d.cmd.Process.Pid) + "/limits")
	ts.Check(err)
	if !regexp.MustCompile(args[1]).Match(text) {
		ts.Fatalf("no %s in\n%s", args[1], text)
	}
}

// ask wants a status: ask guard /auth 401, or with a token from a file: ask guard /auth 200 token
func ask(ts *testscript.TestScript, neg bool, args []string) {
	namedDaemon(ts, neg, args, 3)
	wantAnswer(ts, http.DefaultClient, "http://"+ts.Getenv("ADDR_"+args[0]), args[1:])
}

// askSocket is ask through a unix socket: asksocket guard.sock /auth 200 token
func askSocket(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: asksocket SOCKET PATH STATUS [TOKENFILE]")
	}
	path := ts.MkAbs(args[0])
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	defer client.CloseIdleConnections()
	wantAnswer(ts, client, "http://socket", args[1:])
}

// wantAnswer asks until the status is the one wanted: a guard becomes ready in
// its own time.
func wantAnswer(ts *testscript.TestScript, client *http.Client, base string, args []string) {
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	req, err := http.NewRequest(http.MethodGet, base+args[0], nil)
	ts.Check(err)
	if len(args) == 3 {
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(ts.ReadFile(args[2])))
	}
	var got int
	for end := time.Now().Add(patience); time.Now().Before(end); {
		resp, err := client.Do(req)
		ts.Check(err)
		resp.Body.Close()
		if got = resp.StatusCode; got == want {
			return
		}
		if got != http.StatusForbidden && got != http.StatusServiceUnavailable {
			break
		}
		time.Sleep(10 * time.Millisecond) // between two questions to another process
	}
	ts.Fatalf("%s answers %d, want %d", args[0], got, want)
}

// background starts a program whose output is wanted later, and waits until it
// talks on stderr: background NAME PROGRAM ARGS...
func background(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: background NAME PROGRAM ARGS...")
	}
	program, err := exec.LookPath(args[1])
	ts.Check(err)
	d := &daemon{cmd: exec.Command(program, args[2:]...), ready: make(chan string, 1), ended: make(chan struct{})}
	out, err := os.Create(ts.MkAbs(args[0] + ".out"))
	ts.Check(err)
	defer out.Close()
	d.cmd.Dir, d.cmd.Stdout = ts.Getenv("WORK"), out
	stderr, err := d.cmd.StderrPipe()
	ts.Check(err)
	ts.Check(d.cmd.Start())
	daemons(ts)[args[0]] = d
	go d.read(stderr)
	poll(ts, args[0]+" says nothing", func() bool { return d.text() != "" })
}

// finish waits until a background program has written that many lines into
// NAME.out, and ends it: finish NAME LINES
func finish(ts *testscript.TestScript, neg bool, args []string) {
	d := namedDaemon(ts, neg, args, 2)
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	poll(ts, args[0]+" did not write enough", func() bool { return strings.Count(ts.ReadFile(args[0]+".out"), "\n") >= want })
	if code := d.stop(); code != 0 {
		ts.Fatalf("exit code %d:\n%s", code, d.text())
	}
}

// poll looks at another process until done, or for too long.
func poll(ts *testscript.TestScript, problem string, done func() bool) {
	for end := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("%s", problem)
		}
	}
}

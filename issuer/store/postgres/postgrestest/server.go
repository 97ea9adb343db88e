//go:build unix

// Package postgrestest runs a real PostgreSQL for a test: Debian's binaries, a
// cluster of its own in a temporary folder, a unix socket, fsync on.
//
//	pg := postgrestest.Start(t)
//	st, err := postgres.Open(ctx, pg.Database(t), postgres.Config{Issuer: url})
//
// The server stops with the test. It never touches a cluster that it did not make.
package postgrestest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	superuser = "postgres"
	startTime = 60 * time.Second // until the server answers
	stopTime  = 20 * time.Second // until it is killed
)

// A Server is a running PostgreSQL.
type Server struct {
	bin      string // folder of initdb and postgres
	dir      string // holds data/, the socket and the log
	settings []string
	cmd      *exec.Cmd
	count    atomic.Int32 // databases made
}

// ErrAbsent reports that PostgreSQL is not installed.
var ErrAbsent = errors.New("PostgreSQL is not installed: apt-get install postgresql")

// Start runs a server until the test ends. Settings are those of
// postgresql.conf, such as "fsync=off". Without the Debian package postgresql
// the test is skipped, and fails where CI is set.
func Start(t testing.TB, settings ...string) *Server {
	t.Helper()
	s, err := New(settings...)
	Require(t, err)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Require ends the test if err is an error of New: it skips where PostgreSQL is
// absent, unless CI is set, and fails otherwise.
func Require(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, ErrAbsent) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// New makes a cluster and runs a server on it. Close it.
func New(settings ...string) (*Server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pgtest")
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, dir: dir, settings: settings}
	if err := s.begin(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// binaries returns the newest of Debian's folders, or the one in PATH.
func binaries() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		sort.Slice(found, func(i, j int) bool { // 9 before 10
			return len(found[i]) < len(found[j]) || len(found[i]) == len(found[j]) && found[i] < found[j]
		})
		return filepath.Dir(found[len(found)-1]), nil
	}
	path, err := exec.LookPath("postgres")
	if err != nil {
		return "", ErrAbsent
	}
	return filepath.Dir(path), nil
}

func (s *Server) begin() error {
	if err := own(s.dir); err != nil {
		return err
	}
	out, err := s.command("initdb", "-D", s.data(), "-U", superuser, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync").CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return s.Run()
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// Run starts the server again after Stop or Kill and waits until it answers.
func (s *Server) Run() error {
	args := []string{"-D", s.data(), "-k", s.dir, "-c", "listen_addresses=", "-c", "max_connections=100"}
	for _, setting := range s.settings {
		args = append(args, "-c", setting)
	}
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := s.command("postgres", args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd = cmd
	return s.await()
}

// await polls until a connection is answered.
func (s *Server) await() error {
	deadline := time.Now().Add(startTime)
	for {
		err := s.Exec(context.Background(), "SELECT 1")
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("PostgreSQL does not answer: %w\n%s", err, s.log()), s.Kill())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (s *Server) log() []byte {
	log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return log[max(0, len(log)-4<<10):]
}

// Stop shuts the server down in order and keeps its data.
func (s *Server) Stop() error { return s.end(syscall.SIGINT) }

// Kill ends the server without giving it the chance to write anything.
func (s *Server) Kill() error { return s.end(syscall.SIGQUIT) }

func (s *Server) end(sig syscall.Signal) error {
	if s.cmd == nil {
		return nil
	}
	cmd := s.cmd
	s.cmd = nil
	if err := cmd.Process.Signal(sig); err != nil {
		return err
	}
	timer := time.AfterFunc(stopTime, func() { cmd.Process.Kill() })
	defer timer.Stop()
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return err
	}
	return nil
}

// Close stops the server and deletes its cluster.
func (s *Server) Close() error { return errors.Join(s.Kill(), os.RemoveAll(s.dir)) }

// URL names a database of this server.
func (s *Server) URL(database string) string {
	q := url.Values{"host": {s.dir}, "user": {superuser}, "sslmode": {"disable"}}
	return "postgres:///" + database + "?" + q.Encode()
}

// Exec runs SQL as superuser, one statement a call.
func (s *Server) Exec(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}

// Database makes an empty database and returns its URL.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test%d", s.count.Add(1))
	if err := s.Exec(context.Background(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	return s.URL(name)
}

// Clone makes a copy of the database that a URL of this server names, to which
// nobody may be connected, and returns its URL.
func (s *Server) Clone(t testing.TB, from string) string {
	t.Helper()
	u, err := url.Parse(from)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("test%d", s.count.Add(1))
	statement := "CREATE DATABASE " + name + " TEMPLATE " + strings.TrimPrefix(u.Path, "/")
	if err := s.Exec(context.Background(), statement); err != nil {
		t.Fatal(err)
	}
	return s.URL(name)
}

// Socket returns the path of the server's unix socket.
func (s *Server) Socket() string { return filepath.Join(s.dir, ".s.PGSQL.5432") }

// At returns the URL of the database on this server that has the name of one on
// another server.
func (s *Server) At(other string) string {
	u, err := url.Parse(other)
	if err != nil {
		return ""
	}
	return s.URL(strings.TrimPrefix(u.Path, "/"))
}

// Standby returns a second server on a copy of this one's files, which must be
// stopped. It is in recovery, and can be
// read and not written; pg_promote() puts it on a new timeline, as when the
// primary is lost.
func (s *Server) Standby(t testing.TB) *Server {
	t.Helper()
	dir, err := os.MkdirTemp("", "pgtest")
	if err != nil {
		t.Fatal(err)
	}
	c := &Server{bin: s.bin, dir: dir, settings: s.settings}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := c.follow(s); err != nil {
		t.Fatal(err)
	}
	return c
}

func (s *Server) follow(primary *Server) error {
	if out, err := exec.Command("cp", "-a", primary.data(), s.data()).CombinedOutput(); err != nil {
		return fmt.Errorf("cp: %w\n%s", err, out)
	}
	signal := filepath.Join(s.data(), "standby.signal")
	if err := os.WriteFile(signal, nil, 0o600); err != nil {
		return err
	}
	if err := own(s.dir, signal); err != nil {
		return err
	}
	return s.Run()
}

// own gives paths to the user that the server runs as.
func own(paths ...string) error {
	owner, err := unprivileged()
	if err != nil || owner == nil {
		return err
	}
	for _, path := range paths {
		if err := os.Chown(path, int(owner.Uid), int(owner.Gid)); err != nil {
			return err
		}
	}
	return nil
}

// command prepares one of PostgreSQL's programs, which refuse to run as root.
// It dies with this process.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	cmd.Env = append(clean(os.Environ()), "LC_ALL=C", "HOME="+s.dir)
	owner, _ := unprivileged()
	cmd.SysProcAttr = attributes(owner)
	return cmd
}

// clean leaves out what would lead PostgreSQL's programs to another server.
func clean(env []string) []string {
	var kept []string
	for _, v := range env {
		if !strings.HasPrefix(v, "PG") {
			kept = append(kept, v)
		}
	}
	return kept
}

// unprivileged returns the user to run as, or nil when this process is not root.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return nil, err
	}
	for _, name := range [...]string{"postgres", "nobody"} {
		for line := range bytes.Lines(passwd) {
			var uid, gid uint32
			fields := bytes.Split(line, []byte(":"))
			if len(fields) < 4 || string(fields[0]) != name {
				continue
			}
			if _, err := fmt.Sscan(string(fields[2])+" "+string(fields[3]), &uid, &gid); err != nil {
				return nil, err
			}
			return &syscall.Credential{Uid: uid, Gid: gid}, nil
		}
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is no user postgres or nobody")
}

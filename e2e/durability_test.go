package e2e_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A kill does not empty the page cache, so surviving one does not show that
// anything reached the disk. Order does: no 2xx may leave the process between
// a write to the database and the end of the fsync that follows it.

func TestDurableBeforeAcknowledged(t *testing.T) {
	violations, answers := traceIssuer(t)
	if answers < durableRequests {
		t.Fatalf("saw only %d acknowledgements in the trace", answers)
	}
	for _, v := range violations {
		t.Error(v)
	}
}

// TestDurabilityCheckCanFail runs the same check against an issuer that was
// told not to wait for the disk.
func TestDurabilityCheckCanFail(t *testing.T) {
	violations, _ := traceIssuer(t, "--store-unsafe")
	if len(violations) == 0 {
		t.Fatal("an issuer with synchronous=OFF passed the durability check: the check sees nothing")
	}
	t.Logf("found %d, the first: %s", len(violations), violations[0])
}

const durableRequests = 40

func traceIssuer(t *testing.T, args ...string) (violations []string, answers int) {
	t.Helper()
	strace := needProgram(t, "strace", "strace")
	iss := newIssuer(t, nil, args...)
	iss.addUser(t, "alice")
	iss.stop()
	trace := filepath.Join(t.TempDir(), "trace")
	// -D leaves the issuer our own child, so that it is the one to get signals.
	iss.startUnder(t, strace, "-D", "-f", "-q", "-y", "-s", "24", "-o", trace,
		"-e", "trace=write,writev,pwrite64,fsync,fdatasync,sendto,sendmsg,sync_file_range")
	for range durableRequests / 4 {
		got := iss.signIn(t, "alice")
		status, next, err := iss.refresh(got.Refresh)
		if err != nil || status != 200 {
			t.Fatalf("refresh under strace: %d %v", status, err)
		}
		if err := iss.revokeSession(next.Refresh); err != nil {
			t.Fatal(err)
		}
		other := iss.signIn(t, "alice")
		if err := iss.revokeSession(other.Refresh); err != nil {
			t.Fatal(err)
		}
	}
	iss.stop()
	waitFor(t, nil, "end of the trace", func() error {
		data, err := os.ReadFile(trace)
		if err == nil && !bytes.Contains(data[max(0, len(data)-512):], []byte("+++ exited with")) {
			err = errors.New("not there yet")
		}
		return err
	})
	return readTrace(t, trace)
}

var (
	// 123 pwrite64(9</d/counterfoil.db-wal>, ...) = 4096
	// 123 fdatasync(9</d/counterfoil.db-wal> <unfinished ...>
	// 124 <... fdatasync resumed>) = 0
	// 123 write(12<TCP:[...]>, "HTTP/1.1 200 OK"..., 512) = 512
	call    = regexp.MustCompile(`^(\d+)\s+(\w+)\((\d+)<([^>]*)>`)
	resumed = regexp.MustCompile(`^(\d+)\s+<\.\.\. (\w+) resumed>`)
)

// readTrace follows the database's files: a write makes one dirty, the end of
// an fsync that began after the write makes it clean. A 2xx that leaves while the log of the
// database is dirty acknowledges what a power cut could take back.
// The main database file is not looked at: it is written by checkpoints, from
// a log that is synced before.
func readTrace(t *testing.T, path string) (violations []string, answers int) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dirty := map[string]int{}      // file -> line of the last write not synced
	syncing := map[string]string{} // thread -> file whose sync is under way
	began := map[string]int{}      // thread -> line at which it began
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if m := resumed.FindStringSubmatch(line); m != nil {
			if file, ok := syncing[m[1]]; ok && strings.HasSuffix(m[2], "sync") {
				if dirty[file] < began[m[1]] {
					delete(dirty, file)
				}
				delete(syncing, m[1])
			}
			continue
		}
		m := call.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		thread, name, file := m[1], m[2], m[4]
		switch {
		case strings.HasSuffix(file, "-wal") && (name == "pwrite64" || name == "write"):
			dirty[file] = n
		case name == "fsync" || name == "fdatasync":
			if strings.Contains(line, "unfinished") {
				syncing[thread], began[thread] = file, n
			} else {
				delete(dirty, file)
			}
		case strings.Contains(line, `"HTTP/1.1 2`):
			answers++
			for file, at := range dirty {
				violations = append(violations, fmt.Sprintf("line %d: a 2xx left while %s was not synced since line %d", n, filepath.Base(file), at))
			}
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return violations, answers
}

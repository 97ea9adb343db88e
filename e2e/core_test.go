//go:build linux

package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/testport"
)

// nobody is who the processes run as when the test runs as root: to root every file
// of /proc looks the same.
const nobody = 65534

// A yard is a folder in which processes may leave cores, and a way to start them
// there without any limit on a core, as another user if need be.
type yard struct {
	dir    string
	binary string
	uid    int
}

func newYard(t *testing.T) *yard {
	t.Helper()
	dir, err := os.MkdirTemp("", "counterfoil-yard-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	y := &yard{dir: dir, binary: filepath.Join(dir, "counterfoil"), uid: os.Getuid()}
	program, err := os.ReadFile(binaries.counterfoil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(y.binary, program, 0o700); err != nil {
		t.Fatal(err)
	}
	if y.uid == 0 {
		y.uid = nobody
	}
	y.own(t, dir, y.binary)
	return y
}

// own gives files to the user of the yard.
func (y *yard) own(t *testing.T, paths ...string) {
	t.Helper()
	if os.Getuid() != 0 {
		return
	}
	for _, path := range paths {
		if err := os.Chown(path, y.uid, y.uid); err != nil {
			t.Fatal(err)
		}
	}
}

// start starts a program in the yard.
func (y *yard) start(t *testing.T, name string, argv ...string) *process {
	t.Helper()
	wrapper := []string{"sh", "-c", `ulimit -c unlimited && cd "$0" && exec "$@"`, y.dir}
	if os.Getuid() == 0 {
		id := strconv.Itoa(y.uid)
		// The limit is raised by root, and stays raised.
		wrapper = append(wrapper, needProgram(t, "setpriv", "util-linux"), "--reuid", id, "--regid", id, "--clear-groups")
	}
	return start(t, name, []string{"GOTRACEBACK=crash"}, append(wrapper, argv...)...)
}

// cores are the files that a kernel may have written into the yard.
func (y *yard) cores(t *testing.T) (found []string) {
	t.Helper()
	err := filepath.WalkDir(y.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.Contains(d.Name(), "core") && d.Type().IsRegular() {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// dumped reports whether the kernel says that it wrote a core, to wherever
// core_pattern sends them.
func dumped(p *process) bool {
	exit, ok := errors.AsType[*exec.ExitError](p.err)
	return ok && exit.Sys().(syscall.WaitStatus).CoreDump()
}

// shooting ends a process with a signal.
func shoot(t *testing.T, p *process, sig syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	<-p.done
}

// programs starts the three programs that hold secrets in the yard.
func (y *yard) programs(t *testing.T) map[string]*process {
	t.Helper()
	issuer := fmt.Sprintf("http://127.0.0.1:%d", testport.Free(t))
	guard := fmt.Sprintf("127.0.0.1:%d", testport.Free(t))
	data := filepath.Join(y.dir, "d")
	serve := y.start(t, "serve", y.binary, "serve", "--data", data, "--issuer", issuer, "--listen", strings.TrimPrefix(issuer, "http://"))
	waitFor(t, serve, "ready issuer", ready(plain, issuer+"/readyz"))
	credential := filepath.Join(y.dir, "credential")
	write(t, credential, []byte(command(t, "", "client", "add", "--verifier", "guard", "--data", data)))
	y.own(t, credential)
	verify := y.start(t, "guard", y.binary, "guard", "--issuer", issuer, "--audience", "api", "--listen", guard, "--credential", credential)
	waitFor(t, verify, "ready guard", ready(plain, "http://"+guard+"/readyz"))
	socket := filepath.Join(y.dir, "debug.sock")
	notary := y.start(t, "notary", y.binary, "notary", "--data", filepath.Join(y.dir, "n"), "--listen", "unix:"+filepath.Join(y.dir, "n.sock"), "--debug-listen", "unix:"+socket)
	waitFor(t, notary, "listening notary", place{notary, socket}.answers)
	return map[string]*process{"serve": serve, "guard": verify, "notary": notary}
}

// Without our protection the same signal leaves a core here: or else what follows
// would prove nothing.
func (y *yard) control(t *testing.T) {
	t.Helper()
	p := y.start(t, "control", "sleep", "60")
	waitFor(t, p, "sleep", func() error {
		if name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.cmd.Process.Pid)); string(name) != "sleep\n" {
			return errors.New("not yet")
		}
		return nil
	})
	shoot(t, p, syscall.SIGABRT)
	if !dumped(p) {
		t.Log("the kernel writes no core of any process here: limits and ownership are looked at all the same")
		return
	}
	for _, core := range y.cores(t) {
		if err := os.Remove(core); err != nil {
			t.Fatal(err)
		}
	}
}

// SIGABRT, and SIGQUIT, leave no core of a process that holds keys, though no limit
// and no core_pattern forbids one.
func TestThreat99NoCore(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGABRT, syscall.SIGQUIT} {
		y := newYard(t)
		y.control(t)
		for name, p := range y.programs(t) {
			shoot(t, p, sig)
			if dumped(p) {
				t.Errorf("%s dumped its core after %v", name, sig)
			}
			if !strings.Contains(p.out.String(), "goroutine ") {
				t.Errorf("%s did not crash as the runtime does: %v", name, p.err)
			}
		}
		if cores := y.cores(t); len(cores) > 0 {
			t.Errorf("after %v: %v", sig, cores)
		}
	}
}

// The kernel agrees: no core at any limit, and /proc/PID belongs to root, which is
// how it treats what may not be dumped. So its own user cannot read its memory.
func TestThreat99ProcessesAreNotDumpable(t *testing.T) {
	y := newYard(t)
	for name, p := range y.programs(t) {
		dir := fmt.Sprintf("/proc/%d/", p.cmd.Process.Pid)
		limits, err := os.ReadFile(dir + "limits")
		if err != nil {
			t.Fatal(err)
		}
		_, rest, ok := bytes.Cut(limits, []byte("Max core file size"))
		if fields := strings.Fields(string(rest)); !ok || len(fields) < 2 || fields[0] != "0" || fields[1] != "0" {
			t.Errorf("%s: limits:\n%s", name, limits)
		}
		if real, _ := os.ReadFile(dir + "status"); !bytes.Contains(real, fmt.Appendf(nil, "Uid:\t%d\t", y.uid)) {
			t.Fatalf("%s does not run as %d", name, y.uid)
		}
		for _, file := range []string{"environ", "mem", "maps", "auxv"} {
			info, err := os.Stat(dir + file)
			if err != nil {
				t.Fatal(err)
			}
			if owner := info.Sys().(*syscall.Stat_t).Uid; owner != 0 {
				t.Errorf("%s: %s belongs to %d", name, file, owner)
			}
		}
		if out, err := y.readAs(t, dir+"environ"); err == nil {
			t.Errorf("%s: its user reads environ: %q", name, out)
		}
	}
}

// readAs reads a file as the user of the yard.
func (y *yard) readAs(t *testing.T, path string) ([]byte, error) {
	t.Helper()
	if os.Getuid() != 0 {
		return os.ReadFile(path)
	}
	id := strconv.Itoa(y.uid)
	return exec.Command(needProgram(t, "setpriv", "util-linux"), "--reuid", id, "--regid", id, "--clear-groups", "cat", path).Output()
}

// A sandbox that takes our calls and does nothing is noticed.
func TestThreat99ProtectionIsReadBack(t *testing.T) {
	strace := needProgram(t, "strace", "strace")
	for _, inject := range []string{"prctl:retval=1", "prctl:error=EPERM"} {
		for name, args := range map[string][]string{
			"serve":  {"serve", "--data", filepath.Join(t.TempDir(), "d"), "--listen", "127.0.0.1:0"},
			"guard":  {"guard", "--issuer", "http://127.0.0.1:1", "--audience", "api", "--listen", "127.0.0.1:0"},
			"notary": {"notary", "--data", filepath.Join(t.TempDir(), "n")},
		} {
			argv := append([]string{strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace=prctl", "-e", "inject=" + inject, binaries.counterfoil}, args...)
			p := start(t, name, nil, argv...)
			select {
			case <-p.done:
			case <-time.After(startLimit / 3):
				t.Errorf("%s with %s started", name, inject)
				continue
			}
			if p.err == nil || !strings.Contains(p.out.String(), "memory stays open") {
				t.Errorf("%s with %s: %v, %s", name, inject, p.err, p.out.String())
			}
		}
	}
}

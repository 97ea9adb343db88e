//go:build unix

package softhsm

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// A Function is one of a module, by its place in CK_FUNCTION_LIST.
type Function int

// Those that a [Hanging] module can hang in.
const (
	Initialize     Function = 0
	Finalize       Function = 1
	GetSlotList    Function = 4
	OpenSession    Function = 12
	CloseSession   Function = 13
	GetSessionInfo Function = 15
	Login          Function = 18
)

//go:embed testdata/hang.c
var hangSource []byte

// A Hanging is the module of a token, one function of which hangs for as long as the
// test wants.
type Hanging struct {
	*Token
	fifo string
	open *os.File // a writer, while nothing hangs
}

// Hanging compiles such a module. It hangs from the beginning.
func (s *Token) Hanging(t testing.TB, in Function) *Hanging {
	t.Helper()
	dir := t.TempDir()
	h := &Hanging{Token: &Token{Module: filepath.Join(dir, "hang.so"), Config: s.Config, Dir: s.Dir, util: s.util}, fifo: filepath.Join(dir, "gate")}
	source := filepath.Join(dir, "hang.c")
	if err := os.WriteFile(source, hangSource, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(h.fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	cc := exec.Command(need(t, "cc", "gcc", "clang"), "-shared", "-fPIC", fmt.Sprintf("-DMODULE=%q", s.Module),
		fmt.Sprintf("-DGATE=%q", h.fifo), fmt.Sprintf("-DFUNCTION=%d", in), "-o", h.Module, source, "-ldl")
	if out, err := cc.CombinedOutput(); err != nil {
		t.Fatalf("cc: %v\n%s", err, out)
	}
	t.Cleanup(func() { h.LetGo(t) })
	return h
}

// LetGo lets every call go on, those of later as well.
func (h *Hanging) LetGo(t testing.TB) {
	t.Helper()
	if h.open != nil {
		return
	}
	var err error
	if h.open, err = os.OpenFile(h.fifo, os.O_RDWR, 0); err != nil {
		t.Fatal(err)
	}
}

// Hang has the calls from now on hang.
func (h *Hanging) Hang(t testing.TB) {
	t.Helper()
	if err := h.open.Close(); err != nil {
		t.Fatal(err)
	}
	h.open = nil
}

package atomicfile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/counterfoil/counterfoil/internal/atomicfile"
)

// Whoever looks while a file is made, or after the process died meanwhile, finds none.
func TestCreateIsWholeOrNotThere(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "backup")
	err := atomicfile.Create(path, func(name string) error {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("it is there before it is written: %v", err)
		}
		return os.WriteFile(name, []byte("all"), 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() != 3 {
		t.Errorf("%v, %v", info, err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("%d files left behind", len(left)-1)
	}
}

// What is there stays, even if it came while the new file was written.
func TestCreateReplacesNothing(t *testing.T) {
	for _, late := range []bool{false, true} {
		dir := t.TempDir()
		path := filepath.Join(dir, "backup")
		other := func() error { return os.WriteFile(path, []byte("other"), 0o600) }
		if !late {
			if err := other(); err != nil {
				t.Fatal(err)
			}
		}
		err := atomicfile.Create(path, func(string) error { return other() })
		if !errors.Is(err, fs.ErrExist) {
			t.Errorf("late %t: %v", late, err)
		}
		if got, _ := os.ReadFile(path); string(got) != "other" {
			t.Errorf("late %t: it holds %q", late, got)
		}
		if left, _ := os.ReadDir(dir); len(left) != 1 {
			t.Errorf("late %t: %d files left behind", late, len(left)-1)
		}
	}
}

func TestCreateFails(t *testing.T) {
	dir, wrong := t.TempDir(), errors.New("wrong")
	err := atomicfile.Create(filepath.Join(dir, "backup"), func(string) error { return wrong })
	if left, _ := os.ReadDir(dir); !errors.Is(err, wrong) || len(left) != 0 {
		t.Errorf("%v, and %d files left behind", err, len(left))
	}
}

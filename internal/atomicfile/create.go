package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Create makes a file of mode 0600 that is whole when it has its name, also after a crash
// in between. A file that is there already is not touched: the error then is
// [io/fs.ErrExist]. write fills an empty file, whose name it is given. It is durable when
// Create returns.
func Create(path string, write func(name string) error) error {
	if _, err := os.Lstat(path); err == nil { // sooner than after all the work
		return &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return naming(path, err)
	}
	defer os.Remove(f.Name())
	if err := errors.Join(write(f.Name()), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil { // a rename would replace what is there
		return err
	}
	if err := os.Remove(f.Name()); err != nil {
		return err
	}
	return syncDir(dir)
}

package atomicfile

import (
	"errors"
	"os"
	"path/filepath"
)

// Create makes a file of mode 0600 that is whole when it has its name. A file that is
// there already is not touched: the error then is [io/fs.ErrExist]. write fills an empty
// file, whose name it is given. It is durable when Create returns.
func Create(path string, write func(name string) error) (err error) {
	reserved, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(path)
		}
	}()
	if err := reserved.Close(); err != nil {
		return err
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return naming(path, err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if err := errors.Join(write(f.Name()), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

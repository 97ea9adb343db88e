package serve

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
)

// UnixMode is the mode of a socket made by [Listen]: its owner and its group,
// into which a proxy's user can be put.
const UnixMode fs.FileMode = 0o660

// A TakenError reports that another process listens on an address.
type TakenError struct{ Addr string }

func (e *TakenError) Error() string { return "another program is already listening on " + e.Addr }

// Listen listens on "host:port", or on "unix:PATH" with the mode [UnixMode]. A
// socket that a dead process left at PATH is replaced. The error is a
// [*TakenError] when a living process has the address.
func Listen(addr string) (net.Listener, error) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		return ListenUnix(path, UnixMode)
	}
	ln, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, &TakenError{addr}
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("not permitted to listen on %s: ports below 1024 need a privilege", addr)
	case err != nil:
		return nil, fmt.Errorf("listening on %s: %w", addr, err)
	}
	return ln, nil
}

// ListenUnix listens on a unix socket at path, with the given mode. The folder
// that holds it should belong to the caller.
func ListenUnix(path string, mode fs.FileMode) (net.Listener, error) {
	if err := removeStale(path); err != nil {
		return nil, err
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listening on unix:%s: %w", path, err)
	}
	if err := os.Chmod(path, mode); err != nil {
		ln.Close()
		return nil, err
	}
	return ln, nil
}

// removeStale removes a socket on which nobody listens, and nothing else.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s exists and is not a socket", path)
	}
	if conn, err := net.Dial("unix", path); err == nil {
		conn.Close()
		return &TakenError{"unix:" + path}
	}
	return os.Remove(path)
}

// isPrivate reports whether what is sent over ln stays on this machine.
func isPrivate(ln net.Listener) bool {
	if ln.Addr().Network() == "unix" {
		return true
	}
	ap, err := netip.ParseAddrPort(ln.Addr().String())
	return err == nil && ap.Addr().Unmap().IsLoopback()
}

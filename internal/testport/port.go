// Package testport finds TCP ports for servers of tests that have to know theirs before
// they listen on it, or that listen on it again.
//
//	address := fmt.Sprintf("127.0.0.1:%d", testport.Free(t))
//
// A port that the kernel chose, and that was let go, may be given to the next who asks,
// in another package's tests as well. Those from here are not: they lie where kernels
// choose none, and tests of all processes keep out of each other's way.
package testport

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// Kernels choose ports from 32768 (Linux) or 49152 (others) on.
const (
	first = 20_000
	last  = 32_767
	tries = 100
)

var errNone = errors.New("testport: no port is free")

// Free returns a port of 127.0.0.1 that is the test's own until it ends.
func Free(t testing.TB) int {
	t.Helper()
	port, release, err := Reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return port
}

// Reserve is [Free] for what is no test. The port is the caller's until release is
// called, or the process ends.
func Reserve() (port int, release func(), err error) {
	for range tries {
		port := first + rand.IntN(last-first+1)
		address := fmt.Sprintf("127.0.0.1:%d", port)
		// Whoever has the UDP port of a number has its TCP port: no file is left behind
		// by a process that was killed.
		lock, err := net.ListenPacket("udp4", address)
		if err != nil {
			continue
		}
		if ln, err := net.Listen("tcp4", address); err == nil {
			ln.Close()
			return port, func() { lock.Close() }, nil
		}
		lock.Close()
	}
	return 0, nil, errNone
}

package testport_test

import (
	"fmt"
	"net"
	"testing"

	"github.com/counterfoil/counterfoil/internal/testport"
)

// No port is given to two before one of them listens.
func TestPortsAreOnesOwn(t *testing.T) {
	const many = 500 // of 12,768: some would meet
	given := map[int]bool{}
	for range many {
		port := testport.Free(t)
		if given[port] {
			t.Fatalf("%d was given twice", port)
		}
		given[port] = true
	}
}

// A server that ended can listen on its port again.
func TestListenAgain(t *testing.T) {
	address := fmt.Sprintf("127.0.0.1:%d", testport.Free(t))
	for range 3 {
		ln, err := net.Listen("tcp4", address)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp4", address)
		if err != nil {
			t.Fatal(err)
		}
		server, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		server.Close() // the side that closes first keeps the port for a while
		conn.Close()
		ln.Close()
	}
}

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// guardClients is the number of kept-alive connections of the guard load.
const guardClients = 64

// guardLoad asks a guard's /auth as a proxy would, over TCP and over a unix
// socket, with tokens of several sessions.
func guardLoad(s settings) ([]section, error) {
	iss, err := startIssuer(s, "issuer-guard")
	if err != nil {
		return nil, err
	}
	defer iss.stop()
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	tcp, unix := fmt.Sprintf("127.0.0.1:%d", port), filepath.Join(s.dir, "guard.sock")
	guard, err := startProcess(s.binary, "guard", "--issuer", iss.url, "--audience", "api", "--listen", tcp, "--listen", "unix:"+unix, "--log-level", "error")
	if err != nil {
		return nil, err
	}
	defer guard.stop()
	if err := waitReady(guard, http.DefaultClient, "http://"+tcp+"/readyz"); err != nil {
		return nil, err
	}
	held := make([]tokens, guardClients)
	for i := range held {
		if held[i], err = iss.signIn(); err != nil {
			return nil, err
		}
	}
	sec := section{
		title: "Checks at the guard",
		notes: fmt.Sprintf("`GET /auth` on %d kept-alive connections, a token of its own each, ES256; CPU is the guard's process alone. The load generator shares the cores. "+
			"Each token is verified at its first check and remembered; at the others key, expiry and revocation are looked up. A first check costs one verification of the first table more. Aim: 0.1 CPU-ms.", guardClients),
		head: []string{"transport", "checks/s", "CPU-ms each", "resident"},
	}
	for _, network := range []string{"tcp", "unix"} {
		address := tcp
		if network == "unix" {
			address = unix
		}
		row, err := checkOver(s, guard, network, address, held)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", network, err)
		}
		sec.rows = append(sec.rows, row)
	}
	return []section{sec}, nil
}

func checkOver(s settings, guard *process, network, address string, held []tokens) ([]string, error) {
	var n atomic.Int64
	errs := make([]error, len(held))
	var wg sync.WaitGroup
	cpu, begin := guard.cpu(), time.Now()
	end := begin.Add(time.Duration(s.seconds) * time.Second)
	for i := range held {
		wg.Go(func() { errs[i] = checkUntil(end, network, address, held[i].Access, &n) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	took, used := time.Since(begin), guard.cpu()-cpu
	return []string{network, fmt.Sprintf("%.0f", float64(n.Load())/took.Seconds()),
		fmt.Sprintf("%.3f", used.Seconds()*1000/float64(n.Load())), guard.resident()}, nil
}

// checkUntil sends requests on one connection, with as little work of its own
// as it can, until end.
func checkUntil(end time.Time, network, address, token string, n *atomic.Int64) error {
	conn, err := net.Dial(network, address)
	if err != nil {
		return err
	}
	defer conn.Close()
	request := []byte("GET /auth HTTP/1.1\r\nHost: guard\r\nAuthorization: Bearer " + token + "\r\n\r\n")
	r := bufio.NewReader(conn)
	for time.Now().Before(end) {
		if _, err := conn.Write(request); err != nil {
			return err
		}
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			return err
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if res.StatusCode/100 != 2 {
			return fmt.Errorf("status %d", res.StatusCode)
		}
		n.Add(1)
	}
	return nil
}

package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil/issuer/store/postgres/postgrestest"
)

// refreshClients is the number of concurrent clients of the refresh load.
const refreshClients = 64

// issuerLoad refreshes tokens with 64 clients, each on a session of its own,
// on both stores. Every refresh is durable before it is answered.
func issuerLoad(s settings) ([]section, error) {
	sec := section{
		title: "Refreshing tokens",
		notes: fmt.Sprintf("%d clients, each refreshing its own session over HTTP as fast as it can; every answer is durable (SQLite synchronous=FULL; PostgreSQL fsync and synchronous_commit on). "+
			"CPU is the issuer's process alone; clients and PostgreSQL run on the same cores. Aims: 0.5 CPU-ms, 512 bytes.", refreshClients),
		head: []string{"store", "refreshes/s", "CPU-ms each", "access token bytes", "resident"},
	}
	for _, store := range []string{"SQLite", "PostgreSQL"} {
		row, err := refreshOn(s, store)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", store, err)
		}
		sec.rows = append(sec.rows, row)
	}
	return []section{sec}, nil
}

func refreshOn(s settings, store string) ([]string, error) {
	var args []string
	if store == "PostgreSQL" {
		pg, err := postgrestest.New() // fsync on, as it is by default
		if err != nil {
			return nil, err
		}
		defer pg.Close()
		args = []string{"--store", pg.URL("postgres")}
	}
	iss, err := startIssuer(s, "issuer-"+store, args...)
	if err != nil {
		return nil, err
	}
	defer iss.stop()
	held := make([]tokens, refreshClients)
	for i := range held {
		if held[i], err = iss.signIn(); err != nil {
			return nil, err
		}
	}
	size := len(held[0].Access)
	var n atomic.Int64
	var failed atomic.Value
	var wg sync.WaitGroup
	cpu, begin := iss.cpu(), time.Now()
	end := begin.Add(time.Duration(s.seconds) * time.Second)
	for i := range held {
		wg.Go(func() {
			for time.Now().Before(end) {
				next, err := iss.refresh(held[i].Refresh)
				if err != nil {
					failed.Store(err)
					return
				}
				held[i] = next
				n.Add(1)
			}
		})
	}
	wg.Wait()
	if err, ok := failed.Load().(error); ok {
		return nil, err
	}
	took, used := time.Since(begin), iss.cpu()-cpu
	return []string{store, fmt.Sprintf("%.0f", float64(n.Load())/took.Seconds()),
		fmt.Sprintf("%.3f", used.Seconds()*1000/float64(n.Load())), fmt.Sprint(size), iss.resident()}, nil
}

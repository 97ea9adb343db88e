package main

import (
	"context"
	"flag"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite golden files")

// TestMain lets the scripts run this program under its name, with a clock that a
// script can set: SCRIPT_NOW is in seconds since 1970.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"counterfoil": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			a := &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, now: scriptClock(), lookupEnv: os.LookupEnv}
			os.Exit(a.run(ctx, os.Args[1:]))
		},
	})
}

func scriptClock() func() time.Time {
	seconds, err := strconv.ParseInt(os.Getenv("SCRIPT_NOW"), 10, 64)
	if err != nil {
		return time.Now
	}
	return func() time.Time { return time.Unix(seconds, 0) }
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		Deadline:            time.Now().Add(2 * time.Minute), // for a server that should have refused to start
		Setup:               withDaemons,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "mode": mode, "sub": sub, "join": join, "jwks": jwks,
			"serve": runServe, "terminate": terminate, "address": address,
			"logged": logged, "limit": limit, "unlogged": unlogged, "ask": ask, "asksocket": askSocket,
			"background": background, "finish": finish, "certify": certify,
		},
	})
}

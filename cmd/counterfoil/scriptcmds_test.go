package main

import (
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// exits runs a command and wants an exact exit code, which "! exec" does not tell:
//
//	exits 2 counterfoil jwt verify
//
// Its output is then what stdout and stderr look at.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// mode wants a file's permissions: mode 0600 key.json
func mode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode OCTAL FILE")
	}
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	want, err := strconv.ParseUint(args[0], 8, 32)
	ts.Check(err)
	if got := info.Mode().Perm(); uint64(got) != want {
		ts.Fatalf("%s has mode %o, want %o", args[1], got, want)
	}
}

// sub replaces a regular expression in a file: sub token.txt 'a' 'b'
func sub(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: sub FILE REGEXP REPLACEMENT")
	}
	old := ts.ReadFile(args[0])
	changed := regexp.MustCompile(args[1]).ReplaceAllString(old, args[2])
	if old == changed {
		ts.Fatalf("%s does not hold %s", args[0], strings.TrimSpace(args[1]))
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(changed), 0o600))
}

// join makes a key set of files with one key each: join set.json a.json b.json
func join(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: join SET KEY...")
	}
	var keys []string
	for _, name := range args[1:] {
		keys = append(keys, ts.ReadFile(name))
	}
	set := `{"keys":[` + strings.Join(keys, ",") + `]}`
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(set), 0o600))
}

// jwks serves a file over TLS until the script ends, at the URL $JWKS:
//
//	jwks set.json
func jwks(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: jwks FILE")
	}
	set := ts.ReadFile(args[0])
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jwk-set+json")
		w.Write([]byte(set))
	}))
	ts.Defer(srv.Close)
	root := ts.MkAbs("root.pem")
	ts.Check(os.WriteFile(root, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600))
	ts.Setenv("SSL_CERT_FILE", root)
	ts.Setenv("JWKS", srv.URL)
}

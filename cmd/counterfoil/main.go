// Command counterfoil issues, checks and revokes JSON Web Tokens.
//
//	counterfoil serve       the issuer
//	counterfoil guard       a verifier beside any service, behind any proxy
//	counterfoil notary      the second secret, in a process of its own
//	counterfoil jwt verify  and other tools that need no server
//
// Data goes to stdout, talk to stderr. The exit code is 0 for yes, 1 for no and 2
// for misuse. Every flag can also be given as COUNTERFOIL_NAME in the environment.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

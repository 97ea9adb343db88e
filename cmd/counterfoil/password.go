package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"
	"golang.org/x/term"
)

// passwordFlags say where a password comes from. Never from a flag's value: other
// users of the machine can read those.
type passwordFlags struct {
	stdin    bool
	generate bool
}

func (f *passwordFlags) register(flags *pflag.FlagSet) {
	flags.BoolVar(&f.stdin, "password-stdin", false, "read the password from stdin")
	flags.BoolVar(&f.generate, "generate", false, "let the issuer make a password up, and print it once on stdout")
}

// readNewPassword returns the new password, or "" when the issuer is to make one up.
func (a *app) readNewPassword(f *passwordFlags) (string, error) {
	switch {
	case f.stdin && f.generate:
		return "", misuse("--password-stdin and --generate exclude each other")
	case f.generate:
		return "", nil
	case f.stdin:
		return a.passwordFromStdin()
	}
	const instead = "--password-stdin, or --generate"
	first, err := a.prompt("New password: ", instead)
	if err != nil {
		return "", err
	}
	second, err := a.prompt("Once more: ", instead)
	if err != nil {
		return "", err
	}
	if first != second {
		return "", errors.New("the two are not equal")
	}
	return first, nil
}

func (a *app) passwordFromStdin() (string, error) {
	data, err := readBounded(a.stdin, "stdin", maxInput)
	if err != nil {
		return "", err
	}
	if trimLine(data) == "" {
		return "", misuse("no password came on stdin")
	}
	return trimLine(data), nil
}

// prompt asks at the terminal, without an echo. Where there is none it says what to
// do instead.
func (a *app) prompt(text, instead string) (string, error) {
	f, ok := a.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return "", hinted(misuse("there is no terminal to ask for a password"), instead)
	}
	fmt.Fprint(a.stderr, text)
	secret, err := term.ReadPassword(int(f.Fd()))
	fmt.Fprintln(a.stderr)
	if err != nil {
		return "", err
	}
	if len(secret) == 0 {
		return "", misuse("an empty password is none")
	}
	return string(secret), nil
}

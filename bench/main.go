// Command bench measures Counterfoil and writes RESULTS.md beside itself.
//
//	go run . [-seconds 10] [-rounds 30] [-only jose,issuer,guard,revocation,forgery]
//
// Figures that travel are ratios and CPU times: processes are measured by the
// CPU time the kernel charged them, and operations are compared with the bare
// cryptographic operation, and with what other libraries take, in short
// alternating slices of the same run.
//
// To see where the time of one operation goes:
//
//	go run . -only verify -rows HS256 -out - -cpuprofile cpu.out
//	go tool pprof -tagfocus 'op=HS256 Counterfoil' cpu.out
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/pprof"
	"slices"
	"strings"
)

type settings struct {
	seconds int            // length of each load
	rounds  int            // alternating slices of each comparison
	rows    *regexp.Regexp // which rows of the comparisons
	binary  string
	dir     string
}

// A part measures one thing. The group jose needs no running counterfoil.
type part struct {
	name, group string
	run         func(settings) ([]section, error)
}

var parts = []part{
	{"verify", "jose", verifyCost},
	{"sign", "jose", signCost},
	{"cache", "jose", cacheCost},
	{"jwe", "jose", encryptionCost},
	{"keysets", "jose", keysetCost},
	{"hostile", "jose", hostileCost},
	{"issuer", "issuer", issuerLoad},
	{"guard", "guard", guardLoad},
	{"revocation", "revocation", revocationLatency},
	{"tags", "forgery", forgeryCost},
	{"theft", "forgery", forgeryClock},
}

func main() {
	var s settings
	flag.IntVar(&s.seconds, "seconds", 10, "length of each load, in seconds")
	flag.IntVar(&s.rounds, "rounds", 30, "alternating slices of each comparison")
	rows := flag.String("rows", "", "regular expression: rows to measure, such as HS256; default all")
	only := flag.String("only", "jose,issuer,guard,revocation,forgery", "parts or groups to run")
	out := flag.String("out", "RESULTS.md", "file to write; - for stdout")
	profile := flag.String("cpuprofile", "", "file for a CPU profile, its samples labelled with op")
	flag.Parse()
	if err := run(s, *only, *rows, *out, *profile); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(s settings, only, rows, out, profile string) error {
	var err error
	if s.rows, err = regexp.Compile(rows); err != nil {
		return err
	}
	if s.rounds < 1 {
		return errors.New("at least one round")
	}
	chosen, err := choose(only)
	if err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp("", "counterfoil-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(s.dir)
	if profile != "" {
		file, err := os.Create(profile)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	text, err := measure(s, chosen)
	if err != nil {
		return err
	}
	if out == "-" {
		_, err = os.Stdout.WriteString(text)
		return err
	}
	return os.WriteFile(out, []byte(text), 0o644)
}

// choose returns the parts that a list of parts and groups names.
func choose(only string) ([]part, error) {
	names := strings.Split(only, ",")
	for _, name := range names {
		if !slices.ContainsFunc(parts, func(p part) bool { return p.name == name || p.group == name }) {
			return nil, fmt.Errorf("no part %q", name)
		}
	}
	return slices.DeleteFunc(slices.Clone(parts), func(p part) bool {
		return !slices.Contains(names, p.name) && !slices.Contains(names, p.group)
	}), nil
}

func measure(s settings, chosen []part) (string, error) {
	if slices.ContainsFunc(chosen, func(p part) bool { return p.group != "jose" }) {
		s.binary = filepath.Join(s.dir, "counterfoil")
		build := exec.Command("go", "build", "-o", s.binary, "./cmd/counterfoil")
		build.Dir = ".." // the product is built with its own go.mod, not this one
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return "", fmt.Errorf("building counterfoil: %w", err)
		}
	}
	var sections []section
	for _, p := range chosen {
		progress(p.name)
		got, err := p.run(s)
		if err != nil {
			return "", fmt.Errorf("%s: %w", p.name, err)
		}
		sections = append(sections, got...)
	}
	return render(sections, s), nil
}

// progress says what is being measured.
func progress(what ...any) { fmt.Fprintln(os.Stderr, append([]any{"bench:"}, what...)...) }

// Command bench measures Counterfoil and writes RESULTS.md beside itself.
//
//	go run . [-seconds 10] [-rounds 30] [-only jose,issuer,guard,revocation]
//
// Figures that travel are ratios and CPU times: processes are measured by the
// CPU time the kernel charged them, and operations are compared with the bare
// cryptographic operation in short alternating slices of the same run.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

type settings struct {
	seconds int // length of each load
	rounds  int // alternating slices of each comparison
	binary  string
	dir     string
}

// A section is one table of the results.
type section struct {
	title string
	notes string
	head  []string
	rows  [][]string
}

func main() {
	var s settings
	flag.IntVar(&s.seconds, "seconds", 10, "length of each load, in seconds")
	flag.IntVar(&s.rounds, "rounds", 30, "alternating slices of each comparison")
	only := flag.String("only", "jose,issuer,guard,revocation", "parts to run")
	out := flag.String("out", "RESULTS.md", "file to write; - for stdout")
	flag.Parse()
	if err := run(s, *only, *out); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(s settings, only, out string) error {
	dir, err := os.MkdirTemp("", "counterfoil-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s.dir, s.binary = dir, filepath.Join(dir, "counterfoil")
	build := exec.Command("go", "build", "-o", s.binary, "./cmd/counterfoil")
	build.Dir = ".." // the product is built with its own go.mod, not this one
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("building counterfoil: %w", err)
	}
	parts := map[string]func(settings) ([]section, error){
		"jose": joseCost, "issuer": issuerLoad, "guard": guardLoad, "revocation": revocationLatency,
	}
	var sections []section
	for name := range strings.SplitSeq(only, ",") {
		part, ok := parts[name]
		if !ok {
			return fmt.Errorf("no part %q", name)
		}
		fmt.Fprintln(os.Stderr, "bench:", name)
		got, err := part(s)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		sections = append(sections, got...)
	}
	text := render(sections, s)
	if out == "-" {
		_, err = os.Stdout.WriteString(text)
		return err
	}
	return os.WriteFile(out, []byte(text), 0o644)
}

func render(sections []section, s settings) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Results\n\nMade by `make bench` on %s: %s, %d cores, %s, %s.\n",
		time.Now().UTC().Format(time.DateOnly), cpuModel(), runtime.NumCPU(), memory(), runtime.Version())
	fmt.Fprintf(&b, "Take ratios and CPU times from here, not rates: those belong to the machine. %d rounds a comparison, %d s a load, one run.\n", s.rounds, s.seconds)
	for _, sec := range sections {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n", sec.title, sec.notes)
		fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(sec.head, " | "), strings.Repeat("---|", len(sec.head)))
		for _, row := range sec.rows {
			fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
		}
	}
	return b.String()
}

func cpuModel() string { return procLine("/proc/cpuinfo", "model name") }

func memory() string {
	var kib int
	fmt.Sscanf(procLine("/proc/meminfo", "MemTotal"), "%d", &kib)
	return fmt.Sprintf("%d GiB", (kib+1<<19)>>20)
}

// procLine is the value of the first "key : value" line of a /proc file.
func procLine(file, key string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(data)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == key {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// A section is one table of the results.
type section struct {
	title   string
	notes   string
	head    []string
	rows    [][]string
	targets []target
}

// A target is a figure that was promised, and what was measured.
type target struct {
	what  string
	got   float64
	limit float64
	unit  string // "×", "ns", "bytes", "allocations"
	why   string // what the profile shows; printed where the target is missed
}

func (t target) met() bool { return t.got <= t.limit }

func (t target) figure(x float64) string {
	switch t.unit {
	case "×":
		return multiple(x)
	case "ns":
		return duration(x)
	case "bytes":
		return amount(x)
	}
	return fmt.Sprintf("%.0f %s", x, t.unit)
}

func render(sections []section, s settings) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Results\n\nMade by `make bench` on %s: %s, %d cores, %s, %s.\n",
		time.Now().UTC().Format(time.DateOnly), cpuModel(), runtime.NumCPU(), memory(), runtime.Version())
	fmt.Fprintf(&b, "Take ratios and CPU times from here, not rates: those belong to the machine. %d rounds a comparison, %d s a load, one run.\n", s.rounds, s.seconds)
	var targets []target
	for _, sec := range sections {
		targets = append(targets, sec.targets...)
	}
	renderTargets(&b, targets)
	for _, sec := range sections {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n", sec.title, sec.notes)
		table(&b, sec.head, sec.rows)
	}
	return b.String()
}

// renderTargets puts what was promised before everything else.
func renderTargets(b *strings.Builder, targets []target) {
	if len(targets) == 0 {
		return
	}
	var rows [][]string
	var missed []string
	for _, t := range targets {
		if !t.met() {
			missed = append(missed, fmt.Sprintf("- %s: %s", t.what, t.why))
		}
		rows = append(rows, []string{t.what, t.figure(t.got), "≤ " + t.figure(t.limit), yes(t.met())})
	}
	fmt.Fprintf(b, "\n## Targets\n\n%d of %d met.\n\n", len(targets)-len(missed), len(targets))
	table(b, []string{"what", "measured", "target", "met?"}, rows)
	if len(missed) > 0 {
		fmt.Fprintf(b, "\nWhat the profile shows where one is missed:\n\n%s\n", strings.Join(missed, "\n"))
	}
}

func yes(met bool) string {
	if met {
		return "yes"
	}
	return "**no**"
}

func table(b *strings.Builder, head []string, rows [][]string) {
	fmt.Fprintf(b, "| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat("---|", len(head)))
	for _, row := range rows {
		fmt.Fprintf(b, "| %s |\n", strings.Join(row, " | "))
	}
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

// Command testgate reads what go test -json writes, shows what a person wants to
// see of it, and ends with one line that counts tests: N passed, M failed, K skipped.
//
//	go test -json ./... | go run ./internal/testgate
//
// Its exit code is 1 when a test or a package failed. In CI (CI=true) a skipped
// test is a failure too, and so is a test that docs/threats.md names and that did
// not pass: a check that did not run proves nothing.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

const (
	modulePath  = "github.com/counterfoil/counterfoil/"
	threatsFile = "docs/threats.md"

	// measured marks what a test logs to be shown also when it passes.
	measured = "measured: "
)

func main() {
	threats, err := os.ReadFile(threatsFile)
	if err != nil && !os.IsNotExist(err) {
		fmt.Fprintln(os.Stderr, "testgate:", err)
		os.Exit(1)
	}
	g := &gate{strict: os.Getenv("CI") == "true", out: os.Stdout, state: map[test]string{}, output: map[test][]string{}}
	if err := g.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testgate:", err)
		os.Exit(1)
	}
	if !g.report(namedTests(string(threats))) {
		os.Exit(1)
	}
}

// An event is a line of go test -json, as cmd/test2json documents it.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string

	ImportPath string // of build output
}

// A test is named by its package and its function; a package alone has no Name.
type test struct{ Package, Name string }

func (t test) String() string {
	return strings.TrimPrefix(t.Package, modulePath) + "." + t.Name
}

// isTop reports whether t is a test function: subtests are cases of one.
func (t test) isTop() bool { return t.Name != "" && !strings.Contains(t.Name, "/") }

type gate struct {
	strict bool
	out    io.Writer
	state  map[test]string   // pass, fail or skip
	output map[test][]string // of what is still running
}

func (g *gate) read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20) // bytes of one line of output, JSON around it
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			fmt.Fprintln(g.out, lines.Text()) // not from test2json: a build that broke
			continue
		}
		g.take(e)
	}
	return lines.Err()
}

func (g *gate) take(e event) {
	t := test{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(g.out, e.Output)
	case "output":
		g.output[t] = append(g.output[t], e.Output)
	case "fail", "skip":
		if e.Test == "" && e.Action == "fail" {
			g.unfinished(e.Package)
		}
		g.settle(t, e.Action)
		g.show(t, e.Action)
	case "pass":
		g.settle(t, e.Action)
		if e.Test == "" {
			fmt.Fprintf(g.out, "ok    %s\n", strings.TrimPrefix(e.Package, modulePath))
		}
		for _, line := range g.output[t] {
			if _, figure, ok := strings.Cut(line, measured); ok {
				fmt.Fprint(g.out, "      ", figure)
			}
		}
		delete(g.output, t)
	}
}

// settle keeps the worst that happened to a test: with and without the race
// detector it runs twice.
func (g *gate) settle(t test, action string) {
	severity := []string{"", "pass", "skip", "fail"}
	if slices.Index(severity, action) > slices.Index(severity, g.state[t]) {
		g.state[t] = action
	}
}

// show prints what a test that did not pass had to say.
func (g *gate) show(t test, action string) {
	if t.Name == "" && action == "skip" {
		return // a package without tests
	}
	fmt.Fprintf(g.out, "%s  %s\n%s", strings.ToUpper(action), t, strings.Join(g.output[t], ""))
	delete(g.output, t)
}

// unfinished settles the tests of a package that died before they had ended. A panic
// in a goroutine that a test started, a fatal error of the runtime and a signal end the
// whole program: there is no event for the test, and what was printed is with it.
func (g *gate) unfinished(pkg string) {
	for _, t := range slices.SortedFunc(maps.Keys(g.output), func(a, b test) int { return strings.Compare(a.Name, b.Name) }) {
		if t.Package == pkg && t.Name != "" {
			g.settle(t, "fail")
			g.show(t, "fail")
		}
	}
}

// report prints the closing line and tells whether the run is good.
func (g *gate) report(named []string) bool {
	counts, good := map[string]int{}, true
	passed := map[string]bool{}
	for t, state := range g.state {
		if state == "fail" || g.strict && state == "skip" && t.Name != "" {
			good = false
		}
		if t.isTop() {
			counts[state]++
			passed[t.String()] = state == "pass"
		}
	}
	for _, name := range named {
		if g.strict && !passed[name] {
			fmt.Fprintf(g.out, "MISSING  %s: named in %s and did not pass\n", name, threatsFile)
			good = false
		}
	}
	if g.strict && counts["skip"] > 0 {
		fmt.Fprintln(g.out, "in CI a skipped test is a failure")
	}
	if counts["pass"] == 0 {
		good = false
	}
	fmt.Fprintf(g.out, "\n%d passed, %d failed, %d skipped\n", counts["pass"], counts["fail"], counts["skip"])
	return good
}

var testName = regexp.MustCompile("`([a-z0-9/_.-]+\\.(?:Test|Fuzz)[A-Za-z0-9_]+)`")

// namedTests finds `jose/jws.TestX` in the table of threats.
func namedTests(markdown string) []string {
	found := map[string]bool{}
	for _, m := range testName.FindAllStringSubmatch(markdown, -1) {
		found[strings.TrimPrefix(m[1], "./")] = true
	}
	return slices.Sorted(maps.Keys(found))
}

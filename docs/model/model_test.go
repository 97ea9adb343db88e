// Package model_test has spin check the two models of this folder, and each of
// them again with one rule taken out. A model that finds nothing wrong then
// proves nothing.
package model_test

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

var deep = flag.Bool("deep", false, "check the larger scenarios too: some minutes and 3 GB")

const (
	maxDepth  = "100000"        // steps of one run
	maxMemory = "-DMEMLIM=3000" // MB
)

// A scenario says how much may happen in a model: definitions for spin.
type scenario struct {
	model  string
	set    string // one space apart
	larger bool   // only with -deep
}

var scenarios = []scenario{
	{model: "eviction", set: "ENTRIES=2"},
	{model: "eviction", set: "ENTRIES=3 NO_DISK"},
	{model: "eviction", set: "ENTRIES=3", larger: true},
	{model: "forgery", set: "USES=2 OUTAGES=1 REFRESHES=0 FORGERIES=2"},
	{model: "forgery", set: "OUTAGES=1 RESTARTS=1"},
	{model: "forgery", set: "FORGERIES=2 LIES=1"},
	{model: "forgery", set: "RUNNING=2 CRASHES=1"},
	{model: "forgery", set: "RUNNING=2 CRASHES=2 THEFTS=2 REFRESHES=0"},
	{model: "forgery", set: "OPERATOR REFRESHES=0"},
	{model: "forgery", set: "USES=2 RESTARTS=1", larger: true},
	{model: "forgery", set: "USES=2 OUTAGES=1", larger: true},
	{model: "forgery", set: "USES=2 OUTAGES=1 RESTARTS=1 REFRESHES=0 FORGERIES=2", larger: true},
	{model: "forgery", set: "RUNNING=2 CRASHES=1 THEFTS=2", larger: true},
	{model: "forgery", set: "OPERATOR", larger: true},
}

// taken are the rules taken out, each in a scenario in which it matters.
var taken = []scenario{
	{model: "eviction", set: "MARK_NOT_RAISED"},
	{model: "eviction", set: "MARK_AFTER_DROP"},
	{model: "eviction", set: "SPLIT_READ"},
	{model: "eviction", set: "HELD_ARE_EVICTED ENTRIES=2"},
	{model: "eviction", set: "PUT_LOWERS NO_DISK"},
	{model: "eviction", set: "EPOCH_GOES_ON NO_DISK"},
	{model: "eviction", set: "TWO_STATEMENTS ENTRIES=2"},
	{model: "eviction", set: "BORN_IGNORED ENTRIES=2"},
	{model: "eviction", set: "GAP_APPLIED ENTRIES=2"},
	{model: "eviction", set: "SNAPSHOT_REPLACES ENTRIES=2"},
	{model: "eviction", set: "SNAPSHOT_MARK_IGNORED ENTRIES=2"},
	{model: "eviction", set: "OWN_CLOCK ENTRIES=2"},
	{model: "eviction", set: "STOLEN_EXPIRES ENTRIES=2"},
	{model: "eviction", set: "RESTART_FORGETS_MARK ENTRIES=2"},

	{model: "forgery", set: "TAG_WITHOUT_HEADER"},
	{model: "forgery", set: "TAG_WITHOUT_CLAIMS"},
	{model: "forgery", set: "DEDUP_BY_JTI USES=2"},
	{model: "forgery", set: "SEEN_BEFORE_ACKNOWLEDGED USES=2 OUTAGES=1"},
	{model: "forgery", set: "QUARANTINE_LETS_THROUGH FORGERIES=2"},
	{model: "forgery", set: "NO_VERDICT_PROVES FORGERIES=2 OUTAGES=1"},
	{model: "forgery", set: "SIGNATURE_NOT_CHECKED LIES=1"},
	{model: "forgery", set: "TAG_NOT_CHECKED_AGAIN LIES=1"},
	{model: "forgery", set: "ROTATES_FROM_ANY RUNNING=2"},
	{model: "forgery", set: "STORED_STEP_NOT_COMPARED RUNNING=2"},
	{model: "forgery", set: "KILLED_BEFORE_ANOTHER_SIGNS"},
	{model: "forgery", set: "KILLED_AT_ONCE"},
	{model: "forgery", set: "NO_GRACE"},
	{model: "forgery", set: "KILLS_WITHOUT_LIMIT THEFTS=2"},
	{model: "forgery", set: "PROBE_IGNORED OPERATOR REFRESHES=0"},
	{model: "forgery", set: "PROBES_NOT_KEPT OPERATOR REFRESHES=0"},
	{model: "forgery", set: "EXPIRED_PROVES OPERATOR REFRESHES=0"},

	// No rule but the limit of all this: the thief has the notary's secret too.
	{model: "forgery", set: "KNOWS_SECRET"},
}

// The claims hold in every order of steps.
func TestModelsHold(t *testing.T) {
	needSpin(t)
	for _, s := range scenarios {
		if s.larger && !*deep {
			continue
		}
		t.Run(s.name(), func(t *testing.T) {
			t.Parallel()
			errors, out := s.check(t, "-O1")
			if errors != 0 {
				t.Errorf("%d errors:\n%s", errors, out)
			}
			if strings.Contains(out, "max search depth too small") || strings.Contains(out, "out of memory") {
				t.Errorf("not searched to the end:\n%s", out)
			}
			t.Logf("%d states", number(out, "states, stored"))
		})
	}
}

// Each rule is needed: without it, a claim breaks.
func TestModelsFindEveryRuleTakenOut(t *testing.T) {
	needSpin(t)
	for _, s := range taken {
		t.Run(s.name(), func(t *testing.T) {
			t.Parallel()
			if rule, _, _ := strings.Cut(s.set, " "); !strings.Contains(s.source(t), "def "+rule) && !strings.Contains(s.source(t), "defined("+rule+")") {
				t.Fatalf("%s.pml knows no %s", s.model, rule)
			}
			if errors, out := s.check(t, "-O0"); errors == 0 || !strings.Contains(out, "assertion violated") {
				t.Errorf("every claim holds without the rule:\n%s", out)
			}
		})
	}
}

func (s scenario) name() string { return s.model + " " + s.set }

func (s scenario) source(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(s.model + ".pml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// check makes the verifier of a scenario, runs it, and returns how many errors it
// found: at most one, since it stops there. To make a fast one takes longer than
// most runs do that find something.
func (s scenario) check(t *testing.T, optimize string) (errors int, out string) {
	t.Helper()
	model, err := filepath.Abs(s.model + ".pml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	args := []string{}
	for set := range strings.FieldsSeq(s.set) {
		args = append(args, "-D"+set)
	}
	in(t, dir, "spin", append(args, "-a", model)...)
	in(t, dir, "gcc", optimize, "-w", "-DSAFETY", "-DCOLLAPSE", "-DNOREDUCE", maxMemory, "-o", "pan", "pan.c")
	out = in(t, dir, "./pan", "-m"+maxDepth)
	return number(out, "errors:"), out
}

func in(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out.String())
	}
	return out.String()
}

// number reads the figure beside a word of the verifier's report: before
// "states, stored", and after "errors:".
func number(report, word string) int {
	before, after, found := strings.Cut(report, word)
	if !found {
		return -1
	}
	digits := ""
	if strings.HasSuffix(word, ":") {
		digits, _, _ = strings.Cut(strings.TrimSpace(after), "\n")
	} else if fields := strings.Fields(before); len(fields) > 0 {
		digits = fields[len(fields)-1]
	}
	n, err := strconv.Atoi(strings.TrimSpace(digits))
	if err != nil {
		return -1
	}
	return n
}

func needSpin(t *testing.T) {
	t.Helper()
	for _, tool := range []string{"spin", "gcc"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed (scripts/needs)", tool)
		}
	}
}

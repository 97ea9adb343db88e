package e2e_test

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// A timeline is what counterfoil drill key-leak --json prints.
type timeline struct {
	Held     bool   `json:"held"`
	KeyID    string `json:"kid"`
	Timeline []struct {
		Step     string `json:"step"`
		AfterUse *int64 `json:"after_first_use_ms"`
		Detail   string `json:"detail"`
	} `json:"timeline"`
}

// runDrill runs a drill at every guard and returns what it printed, and whether it
// ended with a yes.
func (f *field) runDrill(t *testing.T) (got timeline, stderr string, ok bool) {
	t.Helper()
	args := []string{"drill", "key-leak", "--json", "--data", f.iss.data}
	for _, g := range f.guards {
		args = append(args, "--at", g.url+"/auth")
	}
	var out, errs strings.Builder
	cmd := exec.CommandContext(t.Context(), binaries.counterfoil, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	ok = cmd.Run() == nil
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
		t.Fatalf("%v: %s%s", err, out.String(), errs.String())
	}
	return got, errs.String(), ok
}

// TestDrill: a drill goes through the whole story, twice in a row, and touches
// nothing but its own keys.
func TestDrill(t *testing.T) {
	f := newField(t, "automatic")
	crowd := newCrowd(t, f.iss, f.guards, crowdSize)
	signs := f.thief.steal(t).KeyID()
	for range 2 {
		got, stderr, ok := f.runDrill(t)
		if !ok || !got.Held {
			t.Fatalf("the drill did not hold: %s %+v", stderr, got)
		}
		for _, m := range got.Timeline {
			if m.AfterUse != nil {
				t.Logf("%d ms after the first use: %s %s", *m.AfterUse, m.Step, m.Detail)
			}
		}
		for _, kind := range []string{"forged", "quarantined", "rotated", "killed"} {
			if a, ok := f.alarms.await(forgeryBound, of(kind, got.KeyID)); !ok || !a.Drill {
				t.Errorf("no alarm of kind %s that says it is a drill: %s", kind, a.body)
			}
		}
	}
	if now := f.thief.steal(t).KeyID(); now != signs {
		t.Errorf("after the drill %s signs, before it %s", now, signs)
	}
	// The one kill that a day has is still there.
	s := f.strike(t, forgeries[0], 0)
	t.Logf("measured: a forgery after two drills: alarm in %v, refused everywhere in %v", s.alarmed, s.refused)
	crowd.stop()
	crowd.check(t)
	for _, a := range heard(f.alarms) {
		if a.Drill == (a.KeyID == signs) {
			t.Errorf("taken for the wrong thing: %s", a.body)
		}
	}
}

// TestDrillOfADryRun: who only wants alarms is told that nothing else would happen.
func TestDrillOfADryRun(t *testing.T) {
	f := newField(t, "alarm")
	got, stderr, ok := f.runDrill(t)
	if ok || got.Held || !strings.Contains(stderr, `quarantine in force: the issuer's answer to a forgery is "alarm"`) {
		t.Errorf("%t %+v %s", ok, got, stderr)
	}
	var steps []string
	for _, m := range got.Timeline {
		steps = append(steps, m.Step)
	}
	if !slices.Contains(steps, "alarm") {
		t.Errorf("no alarm: %v", steps)
	}
}

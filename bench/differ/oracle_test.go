// Package differ_test compares what we accept with what other libraries accept,
// on inputs bent at random whose signatures are right.
//
// The oracle is [judge]. It asks three things of every input:
//
//   - what we accept, at least one other library accepts and reads alike, or the
//     case is on a list with its reason;
//   - what all the others accept, we accept, unless a rule on a list refuses it;
//   - what a rule on that list refuses, we refuse.
//
// The rules say what is wrong with an input by reading it another way than we do,
// so that a mistake of ours is not repeated there.
package differ_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A verdict is what a library makes of an input: an error, or what it read.
type verdict struct {
	library string
	meaning string // of what was accepted, written out
	err     error
}

func (v verdict) accepts() bool { return v.err == nil }

func (v verdict) String() string {
	if v.err != nil {
		return fmt.Sprintf("%-16s refuses: %v", v.library, v.err)
	}
	return fmt.Sprintf("%-16s accepts: %s", v.library, v.meaning)
}

// ask is a verdict on what f does. A panic counts as a refusal.
func ask(library string, f func() (meaning string, err error)) (v verdict) {
	v.library = library
	defer func() {
		if p := recover(); p != nil {
			v.err = fmt.Errorf("panics: %v", p)
		}
	}()
	v.meaning, v.err = f()
	return v
}

// A rule names a reason for which inputs of type T are refused by us and not by
// everybody, or, in a list of leniences, accepted by us alone.
type rule[T any] struct {
	name   string
	reason string // a specification, or the row of docs/specs.md
	holds  func(T) bool
}

// An oracle judges inputs of one kind.
type oracle[T any] struct {
	strict  []rule[T] // we refuse, though others may not
	may     []rule[T] // we refuse some of these, though others may not
	lenient []rule[T] // we accept, though nobody else may

	mu   sync.Mutex
	seen tally
}

// A tally counts what an oracle saw. By rule it counts the inputs that the rule
// holds for and that we and somebody else judge differently.
type tally struct {
	inputs, accepted, refused, split int
	byRule                           map[string]int
}

// judge fails the test on a disagreement that no rule explains.
func (o *oracle[T]) judge(t testing.TB, input T, ours verdict, theirs []verdict) {
	t.Helper()
	var strict, may, lenient []string
	if ours.accepts() || accepting(theirs) > 0 {
		strict, may = holding(o.strict, input), holding(o.may, input)
	}
	if ours.accepts() && !alike(ours, theirs) {
		lenient = holding(o.lenient, input)
	}
	o.count(ours, theirs, slices.Concat(strict, may, lenient))
	broken := disagreement(ours, theirs, strict, may, lenient)
	if broken == "" {
		return
	}
	var b strings.Builder
	for _, v := range append([]verdict{ours}, theirs...) {
		fmt.Fprintf(&b, "\n  %v", v)
	}
	t.Errorf("%s\n%+v%s", broken, input, &b)
}

// disagreement is what is wrong with these verdicts, if anything is, given the
// rules that hold.
func disagreement(ours verdict, theirs []verdict, strict, may, lenient []string) string {
	switch {
	case ours.accepts() && len(strict) > 0:
		return "accepted against the rule: " + strict[0]
	case ours.accepts() && !alike(ours, theirs) && len(lenient) == 0:
		return "accepted by us alone, or read as by nobody else"
	case !ours.accepts() && len(theirs) > 0 && accepting(theirs) == len(theirs) && len(strict)+len(may) == 0:
		return "refused by us alone"
	}
	return ""
}

// alike reports whether somebody else accepts and reads what we do.
func alike(ours verdict, theirs []verdict) bool {
	return slices.ContainsFunc(theirs, func(v verdict) bool { return v.accepts() && v.meaning == ours.meaning })
}

func accepting(list []verdict) (n int) {
	for _, v := range list {
		if v.accepts() {
			n++
		}
	}
	return n
}

func holding[T any](rules []rule[T], input T) (names []string) {
	for _, r := range rules {
		if r.holds(input) {
			names = append(names, r.name)
		}
	}
	return names
}

func (o *oracle[T]) count(ours verdict, theirs []verdict, rules []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.seen.byRule == nil {
		o.seen.byRule = map[string]int{}
	}
	o.seen.inputs++
	switch {
	case ours.accepts():
		o.seen.accepted++
	case accepting(theirs) == 0:
		o.seen.refused++
	default:
		o.seen.split++
	}
	for _, name := range rules {
		o.seen.byRule[name]++
	}
}

// report says what was seen, and fails the test if nothing was accepted, or if a
// rule of the lists made no difference: a list that outlives its reasons hides
// mistakes.
func (o *oracle[T]) report(t *testing.T) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.seen
	t.Logf("%d inputs: %d accepted, %d refused by everybody, %d refused by us and not by all; by rule %v", s.inputs, s.accepted, s.refused, s.split, s.byRule)
	if s.accepted == 0 || s.split == 0 {
		t.Error("the inputs are all good or all bad")
	}
	for _, list := range [][]rule[T]{o.strict, o.may, o.lenient} {
		for _, r := range list {
			if s.byRule[r.name] == 0 {
				t.Errorf("nothing needs the rule %q (%s)", r.name, r.reason)
			}
		}
	}
}

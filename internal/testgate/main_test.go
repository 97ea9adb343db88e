package main

import (
	"bytes"
	"strings"
	"testing"
)

func line(action, pkg, name string) string {
	return `{"Action":"` + action + `","Package":"` + modulePath + pkg + `","Test":"` + name + `"}` + "\n"
}

func TestGate(t *testing.T) {
	good := line("pass", "jose/jws", "TestA") + line("pass", "jose/jws", "TestA/case") + line("pass", "jose/jws", "")
	tests := []struct {
		name, events, threats string
		ci                    bool
		want                  string
		good                  bool
	}{
		{"all pass", good, "", true, "1 passed, 0 failed, 0 skipped", true},
		{"a failure", good + line("fail", "jose/jws", "TestB"), "", false, "1 passed, 1 failed, 0 skipped", false},
		{"failed once, passed once", line("fail", "jose/jws", "TestA") + good, "", false, "0 passed, 1 failed, 0 skipped", false},
		{"a package that does not build", good + line("fail", "jose/jwe", ""), "", false, "1 passed, 0 failed, 0 skipped", false},
		{"a skip at home", good + line("skip", "guard", "TestN"), "", false, "1 passed, 0 failed, 1 skipped", true},
		{"a skip in CI", good + line("skip", "guard", "TestN"), "", true, "1 passed, 0 failed, 1 skipped", false},
		{"a skipped case in CI", good + line("skip", "guard", "TestN/x"), "", true, "1 passed, 0 failed, 0 skipped", false},
		{"a package without tests", good + line("skip", "oauth", ""), "", true, "1 passed, 0 failed, 0 skipped", true},
		{"nothing ran", "", "", false, "0 passed, 0 failed, 0 skipped", false},
		{"a named threat passed", good, "| 8 | `jose/jws.TestA` |", true, "1 passed, 0 failed, 0 skipped", true},
		{"a named threat did not run", good, "| 8 | `jose/jws.TestZ` |", true, "1 passed, 0 failed, 0 skipped", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			g := &gate{strict: tt.ci, out: &out, state: map[test]string{}, output: map[test][]string{}}
			if err := g.read(strings.NewReader(tt.events)); err != nil {
				t.Fatal(err)
			}
			if got := g.report(namedTests(tt.threats)); got != tt.good {
				t.Errorf("good is %v\n%s", got, &out)
			}
			if !strings.HasSuffix(out.String(), "\n"+tt.want+"\n") {
				t.Errorf("ends with\n%s\nwant %s", &out, tt.want)
			}
		})
	}
}

func TestFiguresOfPassedTestsAreShown(t *testing.T) {
	output := func(text string) string {
		return `{"Action":"output","Package":"` + modulePath + `e2e","Test":"TestA","Output":"` + text + `\n"}` + "\n"
	}
	var out bytes.Buffer
	g := &gate{out: &out, state: map[test]string{}, output: map[test][]string{}}
	if err := g.read(strings.NewReader(output("    a_test.go:7: measured: p99 3 ms") + output("noise") + line("pass", "e2e", "TestA"))); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != "      p99 3 ms\n" {
		t.Errorf("shown: %q", got)
	}
}

// A panic in a goroutine ends the program before its test has an end.
func TestWhatWasRunningIsShownWhenAPackageDies(t *testing.T) {
	output := func(name, text string) string {
		return `{"Action":"output","Package":"` + modulePath + `guard","Test":"` + name + `","Output":"` + text + `\n"}` + "\n"
	}
	var out bytes.Buffer
	g := &gate{out: &out, state: map[test]string{}, output: map[test][]string{}}
	events := output("TestA", "noise") + line("pass", "guard", "TestA") + output("TestB", "panic: boom") +
		output("", "FAIL guard") + line("fail", "guard", "")
	if err := g.read(strings.NewReader(events)); err != nil {
		t.Fatal(err)
	}
	if g.report(nil) {
		t.Error("the run is good")
	}
	want := "FAIL  guard.TestB\npanic: boom\nFAIL  guard.\nFAIL guard\n\n1 passed, 1 failed, 0 skipped\n"
	if got := out.String(); got != want {
		t.Errorf("shown: %q, want %q", got, want)
	}
}

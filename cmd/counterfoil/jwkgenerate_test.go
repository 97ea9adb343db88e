package main

import (
	"regexp"
	"testing"
)

func TestGenerateHelpNamesAlgorithms(t *testing.T) {
	names := regexp.MustCompile(`\b[A-Z][A-Za-z-]*\d[A-Z0-9+-]*`).FindAllString((&app{}).jwkGenerateCommand().Long, -1)
	if len(names) < 30 {
		t.Errorf("%d names in the help, want all of them", len(names))
	}
	for _, name := range names {
		if !algorithmExists(name) {
			t.Errorf("the help names %s, which does not exist", name)
		}
	}
}

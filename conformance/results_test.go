package conformance_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/conformance"
)

var update = flag.Bool("update", false, "write RESULTS.md as the run finds it")

const (
	resultsFile = "RESULTS.md"

	resultsHead = `# Tokens exchanged with libraries made by others

Written by ` + "`go test ./conformance -run TestPeers -update`" + `; without ` + "`-update`" + ` the same test fails when a run finds anything else.

Both ways: they read what we make and refuse it after each part has been tampered with, and we read what they make and
refuse it tampered with. A dash: they do not have it. Nothing stands here that one side has and the other refuses: that
fails the test.

Detached is RFC 7515, Appendix F; unencoded is RFC 7797, detached where it is compact. General has two signatures or two
recipients, of which the reader holds the second. We never compress. jwcrypto and npm jose write again every number of a
key that they have read; the command of latchset can write public keys only.

`
)

// Every algorithm in every form that a peer has is exchanged with it.
func TestPeers(t *testing.T) {
	peers, missing := startPeers(t)
	r := &report{peers: peers}
	keys := newKeys(t)
	r.signatures(t, keys)
	r.encryption(t, keys)
	r.nested(t, keys)
	r.keys(t, keys)
	if len(missing) > 0 {
		leaveOut(t, "not every peer is here to compare with "+resultsFile+": "+strings.Join(missing, ", "))
	}
	if !t.Failed() {
		r.compare(t)
	}
}

// compare holds the run to RESULTS.md. Outside CI, what other versions of the
// peers do is not held against anybody.
func (r *report) compare(t *testing.T) {
	t.Helper()
	got := r.String()
	if *update {
		if err := os.WriteFile(resultsFile, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(resultsFile)
	if err != nil {
		t.Fatal(err)
	}
	sameVersions := strings.Contains(string(want), r.versions())
	switch {
	case tables(got) == tables(string(want)):
		if !sameVersions {
			t.Logf("as in %s, with other versions of the peers:\n%s", resultsFile, r.versions())
		}
	case !sameVersions && os.Getenv(conformance.EnvCI) == "":
		t.Logf("not as in %s, which was made with other versions of the peers:\n%s", resultsFile, got)
	default:
		t.Errorf("%s is not what this run found; go test -run TestPeers -update, and look at the difference\n%s", resultsFile, got)
	}
}

// tables are all but what stands above the first table.
func tables(results string) string {
	_, after, _ := strings.Cut(results, "\n## ")
	return after
}

// A report is the table of all outcomes, for RESULTS.md.
type report struct {
	peers    []*peer
	sections []*section
}

// A section is one table: its rows are named by labels.
type section struct {
	title  string
	labels []string // heads of the columns that name a row
	rows   []*row
	peers  int
}

type row struct {
	labels   []string
	outcomes []outcome // by peer
}

func (r *report) section(title string, labels ...string) *section {
	s := &section{title: title, labels: labels, peers: len(r.peers)}
	r.sections = append(r.sections, s)
	return s
}

// row adds a row to s.
func (s *section) row(labels ...string) *row {
	r := &row{labels: labels, outcomes: make([]outcome, s.peers)}
	s.rows = append(s.rows, r)
	return r
}

// String is what stands in RESULTS.md.
func (r *report) String() string {
	var b strings.Builder
	b.WriteString(resultsHead)
	b.WriteString(r.versions())
	for _, s := range r.sections {
		s.write(&b, r.peers)
	}
	return b.String()
}

// versions is a line for each peer.
func (r *report) versions() string {
	var b strings.Builder
	for _, p := range r.peers {
		fmt.Fprintf(&b, "- %s %s\n", p.name, p.version)
	}
	return b.String()
}

func (s *section) write(b *strings.Builder, peers []*peer) {
	heads := slices.Clone(s.labels)
	for _, p := range peers {
		heads = append(heads, p.name)
	}
	fmt.Fprintf(b, "\n## %s\n\n| %s |\n|%s\n", s.title, strings.Join(heads, " | "), strings.Repeat("---|", len(heads)))
	for _, r := range s.merged() {
		fmt.Fprintf(b, "| %s | %s |\n", strings.Join(r.labels, " | "), strings.Join(r.cells(), " | "))
	}
}

// cells are the outcomes in words.
func (r *row) cells() []string {
	var cells []string
	for _, o := range r.outcomes {
		switch {
		case o.ours && o.theirs:
			cells = append(cells, "both ways")
		case o.ours:
			cells = append(cells, "they read ours")
		case o.theirs:
			cells = append(cells, "we read theirs")
		default:
			cells = append(cells, "–")
		}
	}
	return cells
}

// merged puts rows that differ in one label only into one, from the last label
// to the second.
func (s *section) merged() []*row {
	rows := s.rows
	for column := len(s.labels) - 1; column > 0; column-- {
		var fewer []*row
		for _, r := range rows {
			if same := r.among(fewer, column); same != nil {
				same.labels[column] += ", " + r.labels[column]
				continue
			}
			fewer = append(fewer, &row{labels: slices.Clone(r.labels), outcomes: r.outcomes})
		}
		rows = fewer
	}
	return rows
}

// among finds a row that has what r has but for one label.
func (r *row) among(rows []*row, column int) *row {
	for _, other := range rows {
		labels := slices.Clone(other.labels)
		labels[column] = r.labels[column]
		if slices.Equal(labels, r.labels) && slices.Equal(other.outcomes, r.outcomes) {
			return other
		}
	}
	return nil
}

package counterfoil_test

import (
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// A planted bug is a small patch that removes one check. It names the test
// that must notice:
//
//	Planted: what the patch removes
//	Test: ./jose/jws TestThreat8NewlineInBase64
//
// followed by a unified diff. A test that does not fail with its bug planted
// checks nothing.

var planted = flag.String("planted", "", `which planted bugs to run: "all", or part of a file name; every patch is tried for applying in any case`)

// plantedByDefault are run by every `go test`: one a room, so that the harness
// itself is known to work.
var plantedByDefault = regexp.MustCompile(`^0[13]-`)

var plantedTest = regexp.MustCompile(`(?m)^Test: (\S+) (Test\w+)$`)

func TestPlanted(t *testing.T) {
	patches, err := filepath.Glob("testdata/planted/*.patch")
	if err != nil {
		t.Fatal(err)
	}
	const leastPatches = 140
	if len(patches) < leastPatches {
		t.Errorf("%d planted bugs, want at least %d", len(patches), leastPatches)
	}
	copies := 1
	if *planted == "all" {
		copies = runtime.GOMAXPROCS(0)
	}
	trees := make(chan string, copies)
	for range copies {
		trees <- copyTree(t)
	}
	for _, patch := range patches {
		t.Run(strings.TrimSuffix(filepath.Base(patch), ".patch"), func(t *testing.T) {
			t.Parallel()
			tree := <-trees
			defer func() { trees <- tree }()
			plant(t, tree, patch)
		})
	}
}

func plant(t *testing.T, tree, patch string) {
	text, err := os.ReadFile(patch)
	if err != nil {
		t.Fatal(err)
	}
	m := plantedTest.FindStringSubmatch(string(text))
	if m == nil {
		t.Fatal(`no line "Test: ./package TestName"`)
	}
	absolute, err := filepath.Abs(patch)
	if err != nil {
		t.Fatal(err)
	}
	in(t, tree, "git", "apply", "--check", absolute)
	if !chosen(filepath.Base(patch)) {
		return
	}
	in(t, tree, "git", "apply", absolute)
	defer in(t, tree, "git", "apply", "-R", absolute)
	cmd := exec.Command("go", "test", "-count=1", "-vet=off", "-ldflags=-s -w", "-run", "^"+m[2]+"$", m[1])
	cmd.Dir = tree
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil:
		t.Errorf("%s passes with the bug planted", m[2])
	case !strings.Contains(string(out), "--- FAIL: "+m[2]):
		t.Errorf("%s did not run to its failure:\n%s", m[2], out)
	}
}

func chosen(name string) bool {
	if *planted == "" {
		return plantedByDefault.MatchString(name)
	}
	return *planted == "all" || strings.Contains(name, *planted)
}

func in(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// copyTree copies the project, without what is not its source.
func copyTree(t *testing.T) string {
	t.Helper()
	tree := t.TempDir()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch d.Name() {
			case ".git", "node_modules", "dist", "bench", ".run", "counterfoil-data":
				return fs.SkipDir
			}
			return os.MkdirAll(filepath.Join(tree, path), 0o755)
		}
		if !d.Type().IsRegular() {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(tree, path), data, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

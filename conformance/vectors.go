// Package conformance runs published test vectors, and JOSE libraries made by
// others, against ours. Everything but the way to the vectors is in its tests.
package conformance

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// Variables of the environment.
const (
	EnvVectors = "COUNTERFOIL_VECTORS" // folder of the vectors; default: ../shared/vectors beside the root of the module
	EnvCI      = "CI"                  // set: missing vectors are a failure and not a reason to skip
)

// ReadVectors reads one file of vectors, by its path in their folder, into v. A
// test whose vectors are not on this machine is skipped, or fails where EnvCI is
// set. The vectors were made by others and are read with the ordinary decoder.
func ReadVectors(t testing.TB, path string, v any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder(t), filepath.FromSlash(path)))
	if err != nil && os.Getenv(EnvCI) == "" {
		t.Skipf("left out: no vectors here (set %s to their folder): %v", EnvVectors, err)
	}
	if err != nil {
		t.Fatalf("no vectors here (set %s to their folder): %v", EnvVectors, err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// folder is where the vectors are, for a test in any folder of the module.
func folder(t testing.TB) string {
	if dir := os.Getenv(EnvVectors); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for dir != filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(filepath.Dir(dir), "shared", "vectors")
		}
		dir = filepath.Dir(dir)
	}
	t.Fatal("no go.mod above the test")
	return ""
}

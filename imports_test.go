package counterfoil_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/counterfoil/counterfoil"

// A room is a folder and everything below it. Arrows run downstairs only: a room
// imports rooms of a lower floor, and its own folder.
type room struct {
	dir   string
	floor int
}

// rooms, the longest names first where one is inside another.
var rooms = []room{
	{"internal/testkey", 2}, // makes keys with jose, for tests
	{"internal", 0},
	{"jose", 1},
	{"oauth", 2}, {"revocation", 2}, {"notary", 2},
	{"verifier", 3}, {"issuer", 3},
	{"guard", 4}, {"issuertest", 4},
	{"cmd", 5},
	{"examples", 6}, {"conformance", 6}, {"e2e", 6},
}

func roomOf(dir string) (room, bool) {
	for _, r := range rooms {
		if within(dir, r.dir) {
			return r, true
		}
	}
	return room{}, false
}

func within(dir, folder string) bool { return dir == folder || strings.HasPrefix(dir, folder+"/") }

// A source is one Go file that is compiled into the module, under any build tag.
type source struct {
	name string // slash-separated path from the module's root
	file *ast.File
}

func (s source) dir() string { return path.Dir(s.name) }

func (s source) imports() []string {
	var paths []string
	for _, spec := range s.file.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		paths = append(paths, p)
	}
	return paths
}

// sources parses every Go file of this module that is not a test.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skipFolder(name, d.Name())
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		all = append(all, source{filepath.ToSlash(name), file})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("found only %d files: is this the module's root?", len(all))
	}
	return all
}

// skipFolder leaves out what the go command leaves out, and nested modules.
func skipFolder(name, base string) error {
	if name == "." {
		return nil
	}
	if base == "testdata" || base == "node_modules" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return fs.SkipDir
	}
	if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

func TestArrowsRunDownstairs(t *testing.T) {
	for _, src := range sources(t) {
		from, ok := roomOf(src.dir())
		if !ok {
			t.Errorf("%s: in no room of docs/design.md", src.name)
			continue
		}
		for _, p := range src.imports() {
			dir, ours := strings.CutPrefix(p, module+"/")
			if !ours {
				continue
			}
			to, ok := roomOf(dir)
			if ok && (to.floor < from.floor || to.dir == from.dir) {
				continue
			}
			t.Errorf("%s: %s does not import %s", src.name, from.dir, p)
		}
	}
}

// joseModules are what jose may import besides the standard library. Both are
// part of it from Go 1.27 on.
var joseModules = []string{"filippo.io/mldsa", "github.com/go-json-experiment/json"}

func TestJoseImportsOnlyTheStandardLibrary(t *testing.T) {
	for _, src := range sources(t) {
		if !within(src.dir(), "jose") && !within(src.dir(), "internal") {
			continue
		}
		for _, p := range src.imports() {
			if isStandard(p) || strings.HasPrefix(p, module+"/") {
				continue
			}
			if !slices.ContainsFunc(joseModules, func(m string) bool { return within(p, m) }) {
				t.Errorf("%s imports %s", src.name, p)
			}
		}
	}
}

// What those two modules import counts too, and so does every package of ours
// below jose.
func TestJoseCompilesLittle(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "./jose/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	allowed := append([]string{module + "/jose", module + "/internal"}, joseModules...)
	seen := map[string]bool{}
	for p := range strings.Lines(string(out)) {
		p = strings.TrimSpace(p)
		i := slices.IndexFunc(allowed, func(m string) bool { return within(p, m) })
		if i < 0 {
			t.Errorf("jose compiles %s", p)
			continue
		}
		seen[allowed[i]] = true
	}
	if len(seen) != len(allowed) {
		t.Errorf("of %v only %v were seen: is the list out of date?", allowed, seen)
	}
}

func isStandard(p string) bool {
	first, _, _ := strings.Cut(p, "/")
	return !strings.Contains(first, ".")
}

// Keys, bytes and claims: what a token means must not depend on a network or on a
// clock that the caller did not choose.
func TestJoseHasNoNetworkAndNoClock(t *testing.T) {
	for _, src := range sources(t) {
		pure := within(src.dir(), "jose") && !within(src.dir(), "jose/jwks") || within(src.dir(), "revocation")
		if !pure {
			continue
		}
		for _, p := range src.imports() {
			if p == "net" || p == "os" || within(p, "net/http") {
				t.Errorf("%s imports %s", src.name, p)
			}
		}
		ast.Inspect(src.file, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && isTimeNow(sel) {
				t.Errorf("%s reads the clock with time.%s", src.name, sel.Sel.Name)
			}
			return true
		})
	}
}

func isTimeNow(sel *ast.SelectorExpr) bool {
	x, ok := sel.X.(*ast.Ident)
	return ok && x.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "Sleep", "After", "NewTimer", "NewTicker"}, sel.Sel.Name)
}

// heavy are imports that only the rooms behind them may have, whether directly or not.
var heavy = []struct {
	path    string
	allowed []string
}{
	{"database/sql", []string{"issuer/store"}},
	{"modernc.org/sqlite", []string{"issuer/store/sqlite"}},
	{"github.com/jackc/pgx", []string{"issuer/store/postgres"}},
	{"github.com/spf13", []string{"cmd"}},
	{"github.com/goccy/go-yaml", []string{"cmd", "guard"}},
	{"github.com/prometheus", []string{"cmd"}},
	{"github.com/miekg/pkcs11", []string{"issuer/keyring/pkcs11"}},
	{"google.golang.org/grpc", []string{"verifier/grpcauth", "guard", "cmd"}},
	{"testing", []string{"issuertest", "issuer/store/storetest", "issuer/store/postgres/postgrestest", "jose/internal/josetest", "conformance", "internal"}},
}

func TestHeavyImportsStayInTheirRooms(t *testing.T) {
	for _, src := range sources(t) {
		for _, p := range src.imports() {
			for _, h := range heavy {
				inRoom := slices.ContainsFunc(h.allowed, func(dir string) bool { return within(src.dir(), dir) })
				if within(p, h.path) && !inRoom {
					t.Errorf("%s imports %s, which belongs to %v", src.name, p, h.allowed)
				}
			}
		}
	}
}

// The ordinary build needs no C compiler and no library of the system: cgo comes in
// with the tag pkcs11, for one package, and the tag does nothing where cgo is off.
func TestOrdinaryBuildIsFreeOfCgo(t *testing.T) {
	const binding = "github.com/miekg/pkcs11"
	for _, c := range []struct {
		cgo, tags, format string
		want              []string
	}{
		{"1", "", "{{if and .CgoFiles (not .Standard)}}{{.ImportPath}}{{end}}", nil},
		{"1", "pkcs11", "{{if and .CgoFiles (not .Standard)}}{{.ImportPath}}{{end}}", []string{binding}},
		{"0", "pkcs11", `{{if eq .ImportPath "` + binding + `"}}{{.ImportPath}}{{end}}`, nil},
	} {
		list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-tags", c.tags, "-f", c.format, "./...")
		list.Env = append(os.Environ(), "CGO_ENABLED="+c.cgo)
		out, err := list.Output()
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		if got := strings.Fields(string(out)); !slices.Equal(got, c.want) {
			t.Errorf("CGO_ENABLED=%s -tags %q: cgo is in %v, want %v", c.cgo, c.tags, got, c.want)
		}
	}
}

// A program that only verifies compiles neither a database driver nor the issuer.
func TestVerifierCompilesLittle(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "./verifier", "./guard").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	never := []string{module + "/issuer", "database/sql", "modernc.org/sqlite", "github.com/jackc", "github.com/pressly", "google.golang.org/grpc", "github.com/prometheus", "github.com/spf13"}
	for p := range strings.Lines(string(out)) {
		p = strings.TrimSpace(p)
		if slices.ContainsFunc(never, func(n string) bool { return within(p, n) }) {
			t.Errorf("verifier or guard compiles %s", p)
		}
	}
}

// maxRequirements is what a fresh module that imports only jose/jwt may need.
const maxRequirements = 3

func TestJWTNeedsFewModules(t *testing.T) {
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	sum, err := os.ReadFile("go.sum")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"go.mod": "module fresh\n\ngo 1.26\n\nrequire " + module + " v0.0.0\n\nreplace " + module + " => " + root + "\n",
		"go.sum": string(sum),
		"x.go":   "package main\n\nimport _ \"" + module + "/jose/jwt\"\n\nfunc main() {}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tidy := exec.CommandContext(t.Context(), "go", "mod", "tidy")
	tidy.Dir, tidy.Env = dir, append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	if out, err := tidy.CombinedOutput(); err != nil {
		t.Fatalf("go mod tidy: %v\n%s", err, out)
	}
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if n := countRequirements(string(mod)); n == 0 || n > maxRequirements {
		t.Errorf("%d requirements, want at most %d:\n%s", n, maxRequirements, mod)
	}
}

func countRequirements(mod string) (n int) {
	for line := range strings.Lines(mod) {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(fields) >= 2 && strings.Contains(fields[0], "/") && strings.HasPrefix(fields[1], "v") {
			n++
		}
	}
	return n
}

// A bubble of testing/synctest dies under the race detector, now and then, unless
// internal/testbubble has made it.
func TestBubblesAreThoseOfTestbubble(t *testing.T) {
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skipFolder(name, d.Name())
		}
		if !strings.HasSuffix(name, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if strings.Contains(string(text), "synctest"+".Test(") {
			t.Errorf("%s: testbubble.Test stands in for that of synctest", name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

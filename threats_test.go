package counterfoil_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// docs/threats.md maps each threat to the tests that stand against it. Here
// every test it names must exist and must not skip itself; that each one ran
// and passed is checked by the gate of `make test`, which reads the same table.

var threatTest = regexp.MustCompile("`([\\w/]+)\\.(Test\\w+)`")

func TestThreatsAreTested(t *testing.T) {
	table, err := os.ReadFile("docs/threats.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(table)) {
		if !strings.HasPrefix(line, "| ") || !strings.ContainsAny(line[2:3], "0123456789") {
			continue
		}
		rows++
		named := threatTest.FindAllStringSubmatch(line, -1)
		if len(named) == 0 {
			t.Errorf("no test in row: %s", strings.TrimSpace(line))
		}
		for _, m := range named {
			checkNamedTest(t, m[1], m[2])
		}
	}
	const leastRows = 125
	if rows < leastRows {
		t.Errorf("docs/threats.md has %d rows, want at least %d", rows, leastRows)
	}
}

// What other pages claim names tests too.
func TestPagesNameTestsThatExist(t *testing.T) {
	for page, least := range map[string]int{"docs/threat-model.md": 20, "docs/model/README.md": 2} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		named := threatTest.FindAllStringSubmatch(string(text), -1)
		for _, m := range named {
			if findTest(t, m[1], m[2]) == nil {
				t.Errorf("%s names %s.%s, which does not exist", page, m[1], m[2])
			}
		}
		if len(named) < least {
			t.Errorf("%s names %d tests, want at least %d", page, len(named), least)
		}
	}
}

func checkNamedTest(t *testing.T, dir, name string) {
	t.Helper()
	fn := findTest(t, dir, name)
	if fn == nil {
		t.Errorf("docs/threats.md names %s.%s, which does not exist", dir, name)
		return
	}
	ast.Inspect(fn, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok && strings.HasPrefix(sel.Sel.Name, "Skip") {
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == "t" {
				t.Errorf("%s.%s can skip itself", dir, name)
			}
		}
		return true
	})
}

var parsedTests = map[string]map[string]*ast.FuncDecl{}

func findTest(t *testing.T, dir, name string) *ast.FuncDecl {
	t.Helper()
	if parsedTests[dir] == nil {
		parsedTests[dir] = map[string]*ast.FuncDecl{}
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, decl := range parsed.Decls {
				if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil {
					parsedTests[dir][fn.Name.Name] = fn
				}
			}
		}
	}
	return parsedTests[dir][name]
}

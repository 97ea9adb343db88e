package migrating_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strings"
	"testing"
)

// block is a piece of Go in the page, under a comment that says whose it is:
//
//	<!-- jwx Verify -->
var block = regexp.MustCompile("(?s)<!-- (\\w+) ([\\w ]+) -->\n```go\n(.*?)```\n")

// The page shows the programs as they are compiled and run here.
func TestPageShowsThePrograms(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	found := block.FindAllStringSubmatch(string(text), -1)
	for _, m := range found {
		var want []string
		for name := range strings.FieldsSeq(m[2]) {
			want = append(want, declaration(t, m[1]+"/program.go", name))
		}
		if got := strings.TrimRight(m[3], "\n"); got != strings.Join(want, "\n\n") {
			t.Errorf("%s: %s %s reads\n%s\nand should\n%s", page, m[1], m[2], got, strings.Join(want, "\n\n"))
		}
	}
	if n := strings.Count(string(text), "```go\n"); n != len(found) || n == 0 {
		t.Errorf("%s has %d pieces of Go, of which %d say whose they are", page, n, len(found))
	}
}

// declaration returns the text of a function or type, without its comment.
func declaration(t *testing.T, file, name string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, file, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range parsed.Decls {
		if declares(d, name) {
			return string(text[files.Position(d.Pos()).Offset:files.Position(d.End()).Offset])
		}
	}
	t.Fatalf("%s has no %s", file, name)
	return ""
}

func declares(d ast.Decl, name string) bool {
	switch d := d.(type) {
	case *ast.FuncDecl:
		return d.Name.Name == name
	case *ast.GenDecl:
		spec, ok := d.Specs[0].(*ast.TypeSpec)
		return ok && spec.Name.Name == name
	}
	return false
}

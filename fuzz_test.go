package counterfoil_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// parsingPackages read what strangers wrote.
var parsingPackages = []string{"internal/wire", "jose/jwk", "jose/jws", "jose/jwe", "jose/jwt", "jose/jwks", "oauth", "oauth/dpop", "oauth/statuslist", "revocation", "notary", "issuer/keyring/pkcs11"}

// sameParser names functions that are another parser under a second name, or with
// an option or a source of bytes more.
var sameParser = map[string]string{
	"jose/jwk.ParseAs":            "Parse",
	"jose/jwk.ParsePublicAs":      "ParsePublic",
	"jose/jwk.ParseSetAs":         "ParseSet",
	"jose/jwk.ParsePrivateSetAs":  "ParsePrivateSet",
	"jose/jws.VerifyAll":          "VerifyJSON",
	"jose/jws.VerifyAllDetached":  "VerifyJSON",
	"jose/jws.VerifyDetachedJSON": "VerifyJSON",
	"jose/jws.VerifyReaderJSON":   "VerifyJSON",
	"oauth/dpop.FromHeader":       "Verify",    // it parses nothing
	"oauth/statuslist.Verify":     "Parse",     // and jwt.Verify, which has its own
	"revocation.ParseKind":        "OpenFrame", // a look into a list of names
	"revocation.ParseLink":        "OpenFrame", // 16 bytes in base64url
}

// Each function that takes apart what somebody sends has a fuzz target in its
// package that calls it.
func TestEveryParserIsFuzzed(t *testing.T) {
	const leastParsers = 30
	n := 0
	for _, dir := range parsingPackages {
		fuzzed := calledByFuzz(t, dir)
		for _, name := range exportedParsers(t, dir) {
			n++
			if same, ok := sameParser[dir+"."+name]; ok {
				name = same
			}
			if !fuzzed[name] {
				t.Errorf("no fuzz target of %s calls %s", dir, name)
			}
		}
	}
	if n < leastParsers {
		t.Errorf("%d parsers found, want at least %d", n, leastParsers)
	}
}

// exportedParsers returns the functions, not methods, whose names say that they
// parse and that take text or bytes.
func exportedParsers(t *testing.T, dir string) (names []string) {
	t.Helper()
	for _, fn := range functionsIn(t, dir, false) {
		parses := slices.ContainsFunc([]string{"Parse", "Verify", "Decrypt", "Decode", "Open", "Unmarshal", "Read"}, func(verb string) bool {
			return strings.HasPrefix(fn.Name.Name, verb)
		})
		if fn.Recv == nil && fn.Name.IsExported() && parses && takesText(fn) {
			names = append(names, fn.Name.Name)
		}
	}
	return names
}

func takesText(fn *ast.FuncDecl) bool {
	return slices.ContainsFunc(fn.Type.Params.List, func(p *ast.Field) bool {
		list, ok := p.Type.(*ast.ArrayType)
		if !ok {
			return isIdent(p.Type, "string") || isIdent(p.Type, "S")
		}
		return isIdent(list.Elt, "byte") || isIdent(list.Elt, "string")
	})
}

func isIdent(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

// calledByFuzz returns every name that a fuzz target of dir mentions, itself or by
// a function of the tests that it calls.
func calledByFuzz(t *testing.T, dir string) map[string]bool {
	t.Helper()
	helpers := map[string]*ast.FuncDecl{}
	var reach func(fn *ast.FuncDecl, seen map[string]bool)
	reach = func(fn *ast.FuncDecl, seen map[string]bool) {
		ast.Inspect(fn, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && !seen[id.Name] {
				seen[id.Name] = true
				if helper := helpers[id.Name]; helper != nil {
					reach(helper, seen)
				}
			}
			return true
		})
	}
	all := functionsIn(t, dir, true)
	for _, fn := range all {
		if fn.Recv == nil {
			helpers[fn.Name.Name] = fn
		}
	}
	seen := map[string]bool{}
	for _, fn := range all {
		if strings.HasPrefix(fn.Name.Name, "Fuzz") {
			reach(fn, seen)
		}
	}
	return seen
}

// functionsIn returns the functions of the tests in a folder, or of everything else.
func functionsIn(t *testing.T, dir string, tests bool) (all []*ast.FuncDecl) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", dir, len(files), err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") != tests {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range parsed.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok {
				all = append(all, fn)
			}
		}
	}
	return all
}

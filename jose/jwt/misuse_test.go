package jwt_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"testing"
)

// What a program may not do with tokens, the compiler refuses. Each snippet is
// the body of a function; the ones in allowed show that the others fail for the
// reason they are there for.
func TestThreat61UnverifiedClaimsMisuse(t *testing.T) {
	check := compiler(t)
	allowed := []string{
		`use(tok)`,
		`tok, err := jwt.Verify[Access](policy, keys, "t"); _ = err; use(tok); _ = tok.Claims().Scope`,
		`other, err := jwt.As[Access](plain); _ = err; use(other)`,
		`_ = u.UnverifiedClaims(); _ = u.UnverifiedIssuer(); _ = u.UnverifiedHeader()`,
		`m, err := u2.Verify(keys); _ = err; payload(m)`,
		`_ = tok.Header().KeyID; _ = tok.Subject()`,
	}
	for _, body := range allowed {
		if err := check(body); err != nil {
			t.Errorf("%s\ndoes not compile: %v", body, err)
		}
	}
	forbidden := []string{
		// A token made by hand.
		`use(&jwt.Token[Access]{claims: Access{}})`,
		`use(&jwt.Token[Access]{nil, Access{}})`,
		`tok.claims = Access{}`,
		`tok.v = nil`,
		`_ = jwt.verified{}`,
		`jwt.newToken[Access](nil)`,
		// What was only parsed in the place of what was verified.
		`use(u)`,
		`use((*jwt.Token[Access])(u))`,
		`use(jwt.Token[Access](*u))`,
		`_ = u.Claims()`,
		`_ = u.Subject()`,
		`_ = u.Issuer()`,
		`_ = u.claims`,
		`jwt.As[Access](u)`,
		`payload(u2)`,
		`payload((*jws.Message)(u2))`,
		`_ = u2.Payload()`,
		`_ = u2.Header()`,
		`payload(&jws.Message{token: u2})`,
		`payload(&jws.Message{u2, nil})`,
		`payload(jws.Message(*u2))`,
		// Claims of one type relabelled as another.
		`use(plain)`,
		`use((*jwt.Token[Access])(plain))`,
		`use(jwt.Token[Access](*plain))`,
		// Verification without a policy or keys, or an algorithm chosen by the token.
		`jwt.Verify[Access](keys, "t")`,
		`jwt.Verify[Access](policy, "t")`,
		`jwt.Verify[Access](policy, []byte("secret"), "t")`,
		`jwt.Verify[Access](policy, "secret", "t")`,
		`jws.Verify([]byte("secret"), "t")`,
		`jws.Verify("t")`,
		// A header that changes after it was signed.
		`tok.Header().KeyID = "k"`,
	}
	for _, body := range forbidden {
		var wrong types.Error
		if err := check(body); !errors.As(err, &wrong) {
			t.Errorf("%s\ncompiles, or fails otherwise: %v", body, err)
		}
	}
}

// compiler returns a function that type-checks the body of a function that is
// given tokens of every sort.
func compiler(t *testing.T) func(body string) error {
	exports := exportData(t, "github.com/counterfoil/counterfoil/jose/jwt")
	files := token.NewFileSet()
	imports := importer.ForCompiler(files, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	return func(body string) error {
		const before = `package snippet
			import (
				"github.com/counterfoil/counterfoil/jose/jwk"
				"github.com/counterfoil/counterfoil/jose/jws"
				"github.com/counterfoil/counterfoil/jose/jwt"
			)
			type Access struct { Scope string }
			type Other struct { Scope string }
			func use(*jwt.Token[Access]) {}
			func payload(*jws.Message) {}
			func snippet(policy jwt.Policy, keys jwk.Source, tok *jwt.Token[Access], plain *jwt.Token[Other], u *jwt.Unverified, u2 *jws.Unverified) {
		`
		file, err := parser.ParseFile(files, "snippet.go", before+body+"\n}", 0)
		if err != nil {
			return err
		}
		_, err = (&types.Config{Importer: imports}).Check("snippet", files, []*ast.File{file}, nil)
		return err
	}
}

// exportData maps every package that pkg imports to its compiled form.
func exportData(t *testing.T, pkg string) map[string]string {
	out, err := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Export", pkg).Output()
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p struct{ ImportPath, Export string }
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		files[p.ImportPath] = p.Export
	}
	return files
}

// What cannot speak HTTP cannot be made to fetch.
func TestThreat29NoHTTPInTheProgram(t *testing.T) {
	packages := exportData(t, "github.com/counterfoil/counterfoil/jose/jwt")
	if _, ok := packages["github.com/counterfoil/counterfoil/jose/jws"]; !ok {
		t.Fatal("not the packages that jwt imports")
	}
	for _, pkg := range []string{"net/http", "net/http/internal"} {
		if _, ok := packages[pkg]; ok {
			t.Errorf("imports %s", pkg)
		}
	}
}

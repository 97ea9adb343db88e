package jwt_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/jose/internal/josetest"
	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwks"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

// exported has a value of every error that the packages export, by the name that
// it has in their source.
var exported = map[string]error{
	"jwe.ErrAlgorithm":     jwe.ErrAlgorithm,
	"jwe.ErrCompressed":    jwe.ErrCompressed,
	"jwe.ErrCritical":      jwe.ErrCritical,
	"jwe.ErrIterations":    jwe.ErrIterations,
	"jwe.ErrPolicy":        jwe.ErrPolicy,
	"jwe.ErrDecrypt":       jwe.ErrDecrypt,
	"jwe.ErrEncryption":    jwe.ErrEncryption,
	"jwe.ErrMalformed":     jwe.ErrMalformed,
	"jwk.ErrAlgorithm":     jwk.ErrAlgorithm,
	"jwk.ErrCertificate":   jwk.ErrCertificate,
	"jwk.ErrDuplicate":     jwk.ErrDuplicate,
	"jwk.ErrEncrypted":     jwk.ErrEncrypted,
	"jwk.ErrMalformed":     jwk.ErrMalformed,
	"jwk.ErrNoAlgorithm":   jwk.ErrNoAlgorithm,
	"jwk.ErrNotPrivate":    jwk.ErrNotPrivate,
	"jwk.ErrNotStreamable": jwk.ErrNotStreamable,
	"jwk.ErrOpaque":        jwk.ErrOpaque,
	"jwk.ErrPrivate":       jwk.ErrPrivate,
	"jwk.ErrSignature":     jwk.ErrSignature,
	"jwk.ErrSymmetric":     jwk.ErrSymmetric,
	"jwk.ErrUnavailable":   jwk.ErrUnavailable,
	"jwk.ErrUnknownKey":    jwk.ErrUnknownKey,
	"jwk.ErrUnsupported":   jwk.ErrUnsupported,
	"jwk.ErrUnwrap":        jwk.ErrUnwrap,
	"jwk.ErrUse":           jwk.ErrUse,
	"jwk.ErrWeakKey":       jwk.ErrWeakKey,
	"jwks.ErrNoKeys":       jwks.ErrNoKeys,
	"jwks.ErrWithdrawn":    jwks.ErrWithdrawn,
	"jwks.ErrRollback":     jwks.ErrRollback,
	"jwks.ErrSigned":       jwks.ErrSigned,
	"jws.ErrCritical":      jws.ErrCritical,
	"jws.ErrDetached":      jws.ErrDetached,
	"jws.SignaturesError":  &jws.SignaturesError{Errs: []error{nil, jwk.ErrSignature}},
	"jws.ErrEncrypted":     jws.ErrEncrypted,
	"jws.ErrMalformed":     jws.ErrMalformed,
	"jws.ErrTooLarge":      jws.ErrTooLarge,
	"jws.ErrUnsecured":     jws.ErrUnsecured,
	"jwt.ClaimError":       &jwt.ClaimError{Claim: "aud", Reason: "is missing"},
	"jwt.ErrMalformed":     jwt.ErrMalformed,
	"jwt.ExpiredError":     &jwt.ExpiredError{Expiry: now},
	"jwt.Explanation":      jwt.Explain(jwk.ErrSignature),
	"jwt.LimitError":       &jwt.LimitError{ClaimError: jwt.ClaimError{Claim: "iat", Reason: "is missing"}},
	"jwt.NotYetError":      &jwt.NotYetError{Claim: "nbf", At: now},
	"jwt.PolicyError":      &jwt.PolicyError{Field: "Now", Reason: "is required"},
}

// Every error that a package of jose exports is explained, also when it is
// wrapped. An error that is new has to be added to explain.go, and above.
func TestExplainKnowsEveryExportedError(t *testing.T) {
	found := make(map[string]bool)
	for _, pkg := range []string{"jwk", "jws", "jwe", "jwt", "jwks"} {
		for _, name := range exportedErrors(t, filepath.Join("..", pkg)) {
			name = pkg + "." + name
			found[name] = true
			err := exported[name]
			if err == nil {
				t.Errorf("%s is not in this test", name)
				continue
			}
			for _, err := range []error{err, fmt.Errorf("here: %w", err), errors.Join(errors.New("other"), err)} {
				e := jwt.Explain(err)
				if e.Stage == jwt.StageUnknown || e.Reason == jwt.ReasonUnknown || e.Hint == "" {
					t.Errorf("%s is not explained: %+v", name, e)
				}
				if !errors.Is(e, err) || !strings.HasPrefix(e.Error(), err.Error()) {
					t.Errorf("%s: the explanation hides it: %v", name, e)
				}
			}
		}
	}
	for name := range exported {
		if !found[name] {
			t.Errorf("%s is in this test and nowhere else", name)
		}
	}
}

// exportedErrors lists the error variables, and the types with a method Error,
// of the package in dir.
func exportedErrors(t *testing.T, dir string) (names []string) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no package in %s: %v", dir, err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, src, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			names = append(names, errorsIn(decl)...)
		}
	}
	return names
}

func errorsIn(decl ast.Decl) (names []string) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Name.Name == "Error" && d.Recv != nil {
			recv := d.Recv.List[0].Type
			if star, ok := recv.(*ast.StarExpr); ok {
				recv = star.X
			}
			if id, ok := recv.(*ast.Ident); ok && id.IsExported() {
				names = append(names, id.Name)
			}
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			if v, ok := spec.(*ast.ValueSpec); ok && d.Tok == token.VAR {
				for _, id := range v.Names {
					if strings.HasPrefix(id.Name, "Err") {
						names = append(names, id.Name)
					}
				}
			}
		}
	}
	return names
}

// An explained is what becomes of one bad token.
type explained struct {
	stage       jwt.Stage
	reason      jwt.Reason
	claim       string
	code, descr string
}

const (
	invalid = "invalid_token"
	noGood  = "the token is not good here"
)

func TestExplainWhatVerifyRefuses(t *testing.T) {
	key := newKey(t, jwk.HS256)
	thief := must(jwk.Generate(jwk.Params{Algorithm: jwk.HS256, KeyID: "k"}))
	stranger := must(jwk.Generate(jwk.Params{Algorithm: jwk.HS256, KeyID: "stranger"}))
	limited := key.WithLimits(jwk.Limits{Issuer: "https://other.example"})
	token := mint(t, key, good().String())
	claims := func(name, text string) string { return mint(t, key, good().with(name, text).String()) }
	header := func(h string) string { return craft(t, key, h, good().String()) }
	for _, c := range []struct {
		name  string
		keys  jwk.Source
		token string
		want  explained
	}{
		{"empty", key, "", explained{jwt.StageForm, jwt.ReasonMalformed, "", invalid, "the token is malformed"}},
		{"too large", key, strings.Repeat("a", jws.MaxToken+1), explained{jwt.StageForm, jwt.ReasonTooLarge, "", invalid, "the token is malformed"}},
		{"encrypted", key, "a.b.c.d.e", explained{jwt.StageForm, jwt.ReasonEncrypted, "", invalid, "the token is malformed"}},
		{"unsigned", key, header(`{"alg":"none"}`), explained{jwt.StageHeader, jwt.ReasonUnsigned, "", invalid, noGood}},
		{"critical", key, header(`{"alg":"HS256","crit":["x"],"x":1}`), explained{jwt.StageHeader, jwt.ReasonCritical, "", invalid, noGood}},
		{"algorithm", key, header(`{"alg":"HS512","kid":"k"}`), explained{jwt.StageKey, jwt.ReasonAlgorithm, "", invalid, noGood}},
		{"no keys", noKeys{}, token, explained{jwt.StageKey, jwt.ReasonUnavailable, "", "temporarily_unavailable", "try again later"}},
		{"unknown key", stranger, token, explained{jwt.StageKey, jwt.ReasonUnknownKey, "", invalid, noGood}},
		{"signature", thief, token, explained{jwt.StageSignature, jwt.ReasonBadSeal, "", invalid, noGood}},
		{"no object", key, mint(t, key, "[]"), explained{jwt.StageClaims, jwt.ReasonMalformed, "", invalid, noGood}},
		{"typ", key, header(`{"alg":"HS256","typ":"JWT"}`), explained{jwt.StageHeader, jwt.ReasonMismatch, "typ", invalid, noGood}},
		{"no typ", key, header(`{"alg":"HS256"}`), explained{jwt.StageHeader, jwt.ReasonMissing, "typ", invalid, noGood}},
		{"iss", key, claims("iss", `"other"`), explained{jwt.StageClaims, jwt.ReasonMismatch, "iss", invalid, noGood}},
		{"no iss", key, claims("iss", ""), explained{jwt.StageClaims, jwt.ReasonMissing, "iss", invalid, noGood}},
		{"sub", key, claims("sub", "1"), explained{jwt.StageClaims, jwt.ReasonWrongType, "sub", invalid, noGood}},
		{"exp", key, claims("exp", `"1"`), explained{jwt.StageClaims, jwt.ReasonWrongType, "exp", invalid, noGood}},
		{"aud", key, claims("aud", "{}"), explained{jwt.StageClaims, jwt.ReasonWrongType, "aud", invalid, noGood}},
		{"life", key, claims("exp", unix(now.Add(48*time.Hour))), explained{jwt.StageClaims, jwt.ReasonMismatch, "exp", invalid, noGood}},
		{"limits", limited, token, explained{jwt.StageLimits, jwt.ReasonMismatch, "iss", invalid, noGood}},
		{"not yet", key, claims("nbf", unix(now.Add(time.Hour))), explained{jwt.StageTime, jwt.ReasonNotYet, "nbf", invalid, "the token is not valid yet"}},
		{"expired", key, claims("exp", unix(now.Add(-time.Hour))), explained{jwt.StageTime, jwt.ReasonExpired, "exp", invalid, "the token expired"}},
	} {
		check(t, c.name, refuse(t, policy(), c.keys, c.token), c.token, c.want)
	}
	check(t, "policy", refuse(t, jwt.Policy{}, key, token), token,
		explained{jwt.StagePolicy, jwt.ReasonMisuse, "Issuer", "server_error", "the server is misconfigured"})
	_, err := jwt.Verify[struct {
		Subject int `json:"sub"`
	}](policy(), key, token)
	check(t, "Go type", err, token, explained{jwt.StageClaims, jwt.ReasonMalformed, "", invalid, noGood})
	_, err = jwt.Sign(key, "at+jwt", registered(), map[string]any{"exp": 1})
	check(t, "sign", err, token, explained{jwt.StageClaims, jwt.ReasonMismatch, "exp", invalid, noGood})
	check(t, "gave up", fmt.Errorf("sign: %w", context.Canceled), token,
		explained{jwt.StageKey, jwt.ReasonUnavailable, "", "temporarily_unavailable", "try again later"})
	check(t, "foreign", errors.New("disk full"), token, explained{"", "", "", invalid, noGood})
}

// noKeys has nothing to offer yet.
type noKeys struct{}

func (noKeys) Find(string, string) (*jwk.Key, error) {
	return nil, fmt.Errorf("%w: it is early", jwk.ErrUnavailable)
}

func check(t *testing.T, name string, err error, token string, want explained) {
	t.Helper()
	e := jwt.Explain(err)
	code, descr := e.Client()
	if got := (explained{e.Stage, e.Reason, e.Claim, code, descr}); got != want {
		t.Errorf("%s: %v\n got %+v\nwant %+v", name, err, got, want)
	}
	if e.Claim == "" {
		josetest.Leaks(t, e, token)
	}
	josetest.Leaks(t, errors.New(code+descr), token)
}

func TestExplainNothing(t *testing.T) {
	e := jwt.Explain(nil)
	if e.Stage != jwt.StageUnknown || e.Reason != jwt.ReasonUnknown || e.Unwrap() != nil || e.Error() == "" {
		t.Errorf("%+v", e)
	}
}

// What a stranger is told is the same, whichever key there is and whatever the
// policy wants.
func TestClientLearnsNothing(t *testing.T) {
	key := newKey(t, jwk.HS256)
	token := mint(t, key, good().String())
	tell := func(p jwt.Policy, keys jwk.Source) string {
		_, err := jwt.Verify[none](p, keys, token)
		code, descr := jwt.Explain(err).Client()
		return code + ": " + descr
	}
	elsewhere, other := policy(), policy()
	elsewhere.Audience, other.Issuer = "billing", "https://secret.example"
	answers := []string{
		tell(policy(), must(jwk.Generate(jwk.Params{Algorithm: jwk.HS256, KeyID: "k"}))),
		tell(policy(), must(jwk.Generate(jwk.Params{Algorithm: jwk.HS256, KeyID: "unknown"}))),
		tell(policy(), newKey(t, jwk.ES256)),
		tell(elsewhere, key), tell(other, key),
		tell(policy(), key.WithLimits(jwk.Limits{Tenant: "acme"})),
	}
	for _, answer := range answers {
		if answer != answers[0] {
			t.Errorf("tells them apart: %q", answers)
			break
		}
	}
}

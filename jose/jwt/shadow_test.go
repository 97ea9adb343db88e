package jwt_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

// Claims of an application that would like to be registered ones, by every way
// in which Go writes JSON.
type (
	tagged struct {
		Expiry int64 `json:"exp"`
	}
	embedded struct {
		tagged
		Role string `json:"role"`
	}
	inlined struct {
		Role string         `json:"role"`
		More map[string]any `json:",embed"`
	}
	pointed struct {
		Expiry *int64 `json:"exp"`
	}
	nameless  struct{ Sub string }
	textual   map[claimName]int
	claimName int
	marshaler struct{}
	streamer  struct{}
	twice     struct{}
)

func (claimName) MarshalText() ([]byte, error) { return []byte("exp"), nil }
func (marshaler) MarshalJSON() ([]byte, error) {
	return []byte(`{"role":"admin","exp":4000000000}`), nil
}
func (twice) MarshalJSON() ([]byte, error) { return []byte(`{"role":"admin","role":"user"}`), nil }
func (streamer) MarshalJSONTo(enc *jsontext.Encoder) error {
	return enc.WriteValue(jsontext.Value(`{"exp":4000000000}`))
}

func TestThreat13SignInjectsNoRegisteredClaim(t *testing.T) {
	key := newKey(t, jwk.HS256)
	for name, extra := range map[string]any{
		"map":             map[string]any{"exp": 4000000000},
		"map of null":     map[string]any{"exp": nil},
		"map of values":   map[string]jsontext.Value{"exp": jsontext.Value("4000000000")},
		"map of texts":    textual{1: 4000000000},
		"struct":          tagged{4000000000},
		"pointer":         &tagged{4000000000},
		"nil pointer in":  pointed{},
		"embedded":        embedded{tagged: tagged{4000000000}},
		"inlined map":     inlined{More: map[string]any{"exp": 4000000000}},
		"field's name":    nameless{"root"},
		"MarshalJSON":     marshaler{},
		"MarshalJSONTo":   streamer{},
		"raw":             jsontext.Value(`{"exp":4000000000}`),
		"raw of v1":       json.RawMessage(`{"exp":4000000000}`),
		"escaped":         jsontext.Value(`{"\u0065xp":4000000000}`),
		"escaped twice":   jsontext.Value(`{"ro\u006ce":1,"\u0065\u0078\u0070":4000000000}`),
		"upper case":      map[string]any{"EXP": 4000000000},
		"mixed case":      map[string]any{"Exp": 4000000000},
		"long s":          map[string]any{"i\u017fs": "https://evil.example"},
		"escaped long s":  jsontext.Value(`{"\u017fub":"root"}`),
		"escaped case":    jsontext.Value(`{"\u0045XP":4000000000}`),
		"registered jti":  map[string]any{"jti": "x"},
		"registered aud":  map[string]any{"aud": []string{"billing"}},
		"twice":           twice{},
		"raw twice":       jsontext.Value(`{"a":1,"a":2}`),
		"raw, nested too": jsontext.Value(`{"a":{"b":1,"b":2}}`),
		"two objects":     jsontext.Value(`{"a":1}{"exp":4000000000}`),
		"closes early":    jsontext.Value(`{"a":1},"exp":4000000000}`),
		"comment":         jsontext.Value(`{"a":1/*}*/}`),
	} {
		// Also where the registered claim is not given: it is no way to give it.
		for _, c := range []jwt.Claims{registered(), {}} {
			token, err := jwt.Sign(key, "at+jwt", c, extra)
			if err == nil {
				t.Errorf("%s: signed %s", name, payloadOf(token))
			}
		}
	}
	for name, extra := range map[string]any{
		"inside":    map[string]any{"act": map[string]any{"sub": "service", "exp": 1}},
		"in a list": map[string]any{"may_act": []any{map[string]any{"iss": "x"}}},
		"longer":    map[string]any{"expiry": 1, "sub_id": map[string]any{}, "xexp": 1, "exp ": 1, "": 1},
		"omitted": struct {
			Subject string `json:"sub,omitempty"`
		}{},
	} {
		if _, err := jwt.Sign(key, "at+jwt", registered(), extra); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A T with a field for a registered claim sees the very value that was checked.
func TestThreat13ClaimsAreWhatWasChecked(t *testing.T) {
	type registeredToo struct {
		Issuer   string         `json:"iss"`
		Subject  string         `json:"sub"`
		Audience string         `json:"aud"`
		Expiry   int64          `json:"exp"`
		IssuedAt jsontext.Value `json:"iat"`
		ID       *string        `json:"jti"`
	}
	key := newKey(t, jwk.HS256)
	tok, err := jwt.Verify[registeredToo](policy(), key, mint(t, key, good().String()))
	if err != nil {
		t.Fatal(err)
	}
	c := tok.Claims()
	if c.Issuer != tok.Issuer() || c.Subject != tok.Subject() || c.Audience != tok.Audience()[0] || c.Expiry != tok.Expiry().Unix() ||
		string(c.IssuedAt) != unix(tok.IssuedAt()) || *c.ID != tok.ID() {
		t.Errorf("%+v", c)
	}
	// There is one of each, however it is spelled, and other spellings are other
	// claims.
	for _, more := range []string{`"exp":4000000000`, `"\u0065xp":4000000000`, `"e\u0078p":null`} {
		payload := good().String()
		for _, payload := range []string{payload[:len(payload)-1] + "," + more + "}", "{" + more + "," + payload[1:]} {
			if _, err := jwt.Verify[registeredToo](policy(), key, mint(t, key, payload)); !errors.Is(err, jwt.ErrMalformed) {
				t.Errorf("%s: %v", more, err)
			}
		}
	}
	folded := good().with("SUB", `"root"`).with("\u017fub", `"root"`).with("Exp", "4000000000")
	tok, err = jwt.Verify[registeredToo](policy(), key, mint(t, key, folded.String()))
	if err != nil || tok.Claims().Subject != "alice" || tok.Claims().Expiry != tok.Expiry().Unix() {
		t.Errorf("%+v, %v", tok, err)
	}
	tok, err = jwt.Verify[registeredToo](policy(), key, mint(t, key, folded.with("sub", "").String()))
	if err != nil || tok.Claims().Subject != "" || tok.Subject() != "" {
		t.Errorf("SUB became sub: %+v, %v", tok, err)
	}
	escaped := `{"\u0073ub":"al\u0069ce","iss":"https:\/\/id.example","aud":"orders","exp":` + unix(now.Add(time.Minute)) + `}`
	tok, err = jwt.Verify[registeredToo](policy(), key, mint(t, key, escaped))
	if err != nil || tok.Claims().Subject != "alice" || tok.Subject() != "alice" || tok.Claims().Issuer != tok.Issuer() {
		t.Errorf("%+v, %v", tok, err)
	}
}

// A T that asks for names in any case gets what it asks for, and no token says
// two things by it.
func TestThreat14CaseIsIgnoredOnlyWhereAskedFor(t *testing.T) {
	type anyCase struct {
		Subject string `json:"sub,case:ignore"`
	}
	key := newKey(t, jwk.HS256)
	for _, name := range []string{"SUB", "Sub"} {
		if tok, err := jwt.Verify[anyCase](policy(), key, mint(t, key, good().with(name, `"root"`).String())); !errors.Is(err, jwt.ErrMalformed) {
			t.Errorf("both sub and %s: %+v, %v", name, tok, err)
		}
	}
	tok, err := jwt.Verify[anyCase](policy(), key, mint(t, key, good().with("sub", "").with("SUB", `"root"`).String()))
	if err == nil && tok.Subject() != "" {
		t.Errorf("SUB became sub: %q", tok.Subject())
	}
}

// A T that has methods and fields like those of a Token, and one that reads its
// claims by itself and writes over what it was given.
type (
	lookalike struct {
		Subj string `json:"role"`
	}
	scribbler struct{ seen string }
	vandal    struct{ raw jsontext.Value }
)

func (lookalike) Subject() string      { return "root" }
func (lookalike) Expiry() time.Time    { return time.Unix(4000000000, 0) }
func (lookalike) Issuer() string       { return "https://evil.example" }
func (lookalike) Audience() []string   { return []string{"billing"} }
func (lookalike) Header() jws.Header   { return jws.Header{Type: "evil"} }
func (lookalike) SigningInput() string { return "" }

func (s *scribbler) UnmarshalJSON(data []byte) error {
	s.seen = string(data)
	for i := range data {
		data[i] = 'x'
	}
	return nil
}

func (v *vandal) UnmarshalJSONFrom(dec *jsontext.Decoder) (err error) {
	v.raw, err = dec.ReadValue()
	for i := range v.raw {
		v.raw[i] = 'x'
	}
	return err
}

func TestClaimsShadowNothing(t *testing.T) {
	key := newKey(t, jwk.HS256)
	token := mint(t, key, good().with("role", `"admin"`).String())
	unchanged := func(subject string, expiry time.Time, payload []byte) {
		t.Helper()
		if subject != "alice" || !expiry.Equal(now.Add(time.Minute)) || string(payload) != payloadOf(token) {
			t.Errorf("%s, %v, %s", subject, expiry, payload)
		}
	}
	a, err := jwt.Verify[lookalike](policy(), key, token)
	if err != nil {
		t.Fatal(err)
	}
	unchanged(a.Subject(), a.Expiry(), a.Payload())
	if a.Issuer() != "https://id.example" || a.Audience()[0] != "orders" || a.Header().Type != "at+jwt" || a.SigningInput() == "" {
		t.Errorf("%+v", a)
	}
	b, err := jwt.Verify[scribbler](policy(), key, token)
	if err != nil || b.Claims().seen != payloadOf(token) {
		t.Fatal(b, err)
	}
	unchanged(b.Subject(), b.Expiry(), b.Payload())
	c, err := jwt.Verify[vandal](policy(), key, token)
	if err != nil {
		t.Fatal(err)
	}
	unchanged(c.Subject(), c.Expiry(), c.Payload())
	// What came out can be written over as well, and read again.
	d, err := jwt.Verify[map[string]jsontext.Value](policy(), key, token)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range d.Claims() {
		for i := range v {
			v[i] = 'x'
		}
	}
	unchanged(d.Subject(), d.Expiry(), d.Payload())
	e, err := jwt.As[lookalike](d)
	if err != nil || e.Claims().Subj != "admin" {
		t.Errorf("%+v, %v", e, err)
	}
	if !jwsVerifies(key, token) {
		t.Error("the token itself has changed")
	}
}

func jwsVerifies(key *jwk.Key, token string) bool {
	_, err := jws.Verify(key, token)
	return err == nil
}

// Embedded as other libraries want it, Claims would be read from claims called
// "Subject" and "Expiry", at which no policy looks, and written as such.
func TestThreat13ClaimsAreNotEmbedded(t *testing.T) {
	type (
		value struct {
			jwt.Claims
			Role string `json:"role"`
		}
		pointer struct {
			*jwt.Claims
			Role string `json:"role"`
		}
		member struct {
			Claims jwt.Claims `json:"profile"`
		}
	)
	key := newKey(t, jwk.HS256)
	token := mint(t, key, good().with("Subject", `"admin"`).with("profile", `{"Subject":"admin"}`).String())
	refused := func(_ any, err error) {
		t.Helper()
		if !errors.Is(err, jwt.ErrMalformed) {
			t.Error(err)
		}
	}
	refused(jwt.Verify[jwt.Claims](policy(), key, token))
	refused(jwt.Verify[value](policy(), key, token))
	refused(jwt.Verify[pointer](policy(), key, token))
	refused(jwt.Verify[member](policy(), key, token))
	const note = ", which must not have Claims in it"
	if _, err := jwt.Verify[*pointer](policy(), key, token); err == nil || !strings.HasSuffix(err.Error(), "pointer"+note) {
		t.Error(err)
	}
	if _, err := jwt.Sign(key, "at+jwt", jwt.Claims{}, value{}); err == nil || !strings.HasSuffix(err.Error(), "value"+note) {
		t.Error(err)
	}
	for _, extra := range []any{
		jwt.Claims{Subject: "admin"}, value{Claims: jwt.Claims{Subject: "admin"}}, member{},
		pointer{Claims: &jwt.Claims{}}, map[string]jwt.Claims{"profile": {}},
	} {
		if _, err := jwt.Sign(key, "at+jwt", jwt.Claims{Subject: "bob"}, extra); err == nil {
			t.Errorf("%T is written", extra)
		}
	}
}

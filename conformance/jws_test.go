package conformance_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/conformance"
	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// A wycheproof file, as far as it is about signatures.
type wycheproof struct {
	NumberOfTests int
	TestGroups    []struct {
		Comment string
		Public  json.RawMessage
		Private json.RawMessage
		Tests   []struct {
			TcID    int
			Comment string
			JWS     *serialized // nil where the vector is about encryption
			Result  string
		}
	}
}

// A serialized token is a string, or in the JSON serialization an object, which
// is kept as text.
type serialized string

func (s *serialized) UnmarshalJSON(data []byte) error {
	if data[0] != '"' {
		*s = serialized(data)
		return nil
	}
	return json.Unmarshal(data, (*string)(s))
}

// signatureWaivers are the vectors of json_web_signature whose published result
// we do not give, each with the reason. All are published as valid: nothing that
// is published as invalid has a waiver.
var signatureWaivers = map[int]string{
	346: "token PS384 under a JWK with alg PS256: a key is used with one algorithm (RFC 8725, Section 3.1)",
	347: `JWK with alg "ES521", which does not exist (RFC 7518, Section 3.1)`,
	350: "as 346, with key_ops",
	351: "as 347, with key_ops",
	357: "key of 32 zero bytes: a blank secret is refused whatever it signed",
	358: "as 357",
	359: "as 357",
	372: "a ? inside a base64url segment (RFC 7515, Section 2)",
	373: "as 372, in the payload",
	376: "as 357; white space in the header is no reason",
	377: "as 357; white space in the header is no reason",
}

func TestWycheproofSignature(t *testing.T) {
	passed, ran, all := verifyWycheproof(t, "json_web_signature_test.json", signatureWaivers)
	if want := all - len(signatureWaivers); ran != all || passed != want {
		t.Errorf("%d of %d vectors, %d as published, want %d", ran, all, passed, want)
	}
}

// verifyWycheproof verifies every signature of a file and holds the result to what
// is published, or to its waiver. A waiver must be needed, and for a vector that
// is published as valid.
func verifyWycheproof(t *testing.T, name string, waivers map[int]string) (passed, ran, all int) {
	t.Helper()
	var file wycheproof
	conformance.ReadVectors(t, "wycheproof/"+name, &file)
	for _, group := range file.TestGroups {
		keys, keyErr := groupKeys(group.Public, group.Private)
		for _, test := range group.Tests {
			if test.JWS == nil {
				continue
			}
			ran++
			err := keyErr
			if err == nil {
				_, err = jws.Verify(keys, string(*test.JWS))
			}
			as := agrees(err, test.Result)
			if as {
				passed++
			}
			switch reason, waived := waivers[test.TcID]; {
			case !waived && !as:
				t.Errorf("%d %s, %s: want %s, got %v", test.TcID, group.Comment, test.Comment, test.Result, err)
			case waived && test.Result != "valid":
				t.Errorf("%d is waived and published as %s", test.TcID, test.Result)
			case waived && as:
				t.Errorf("%d is waived without need: %s", test.TcID, reason)
			}
		}
	}
	t.Logf("%d of %d vectors as published, %d waived", passed, ran, len(waivers))
	return passed, ran, file.NumberOfTests
}

// contradictory are vectors published as invalid although the very same bytes,
// under the same key, are published as valid in 357 (C2SP/wycheproof#236). Who
// accepts 357 must accept them.
var contradictory = map[int]string{
	367: "meant to have bad padding in the MAC, and has none",
	370: "meant to have bad padding in the payload, and has none",
}

// The group "base64" has a key of zero bytes, which no key of ours can be: above,
// its tokens are refused for that alone. What it is about is tested here, with
// the MAC computed in the test.
func TestWycheproofBase64(t *testing.T) {
	var file wycheproof
	conformance.ReadVectors(t, "wycheproof/json_web_signature_test.json", &file)
	ran := 0
	for _, group := range file.TestGroups {
		if group.Comment != "base64" {
			continue
		}
		for _, test := range group.Tests {
			if signatureWaivers[test.TcID] != "" || contradictory[test.TcID] != "" {
				continue
			}
			ran++
			u, err := jws.Parse(string(*test.JWS))
			if err == nil {
				mac := hmac.New(sha256.New, make([]byte, 32))
				mac.Write([]byte(u.SigningInput()))
				if !hmac.Equal(mac.Sum(nil), u.Signature()) {
					err = jwk.ErrSignature
				}
			}
			if !agrees(err, test.Result) {
				t.Errorf("%d %s: want %s, got %v", test.TcID, test.Comment, test.Result, err)
			}
		}
	}
	if ran == 0 {
		t.Error("no vectors")
	}
}

// json_web_crypto also has encryption, which is for package jwe.
func TestWycheproofCryptoSignature(t *testing.T) {
	if _, ran, _ := verifyWycheproof(t, "json_web_crypto_test.json", nil); ran == 0 {
		t.Error("no vectors")
	}
}

// groupKeys reads what a group verifies with: a JWK or a set, the public one if
// there is one.
func groupKeys(public, private json.RawMessage) (jwk.Source, error) {
	data := public
	if data == nil {
		data = private
	}
	var shape struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(data, &shape); err != nil {
		return nil, err
	}
	if shape.Keys == nil {
		return jwk.Parse(data)
	}
	if public != nil {
		return jwk.ParseSet(data)
	}
	return jwk.ParsePrivateSet(data)
}

func agrees(err error, result string) bool {
	return (err == nil) == (result == "valid")
}

// An rfcVector is an entry of rfc/*.json.
type rfcVector struct {
	ID         string
	Kind       string
	Input      string
	Key        json.RawMessage
	PrivateKey json.RawMessage `json:"private_key"`
	Alg        jwk.Algorithm
	Enc        jwe.Encryption
	Expect     string
	Payload    string `json:"payload_b64u"`
	Detached   string `json:"detached_payload"`
}

// deterministic algorithms give the same signature every time.
func deterministic(alg jwk.Algorithm) bool {
	return alg[0] == 'H' || alg[0] == 'R' || alg == jwk.EdDSA
}

func TestRFCSignature(t *testing.T) {
	for _, path := range []string{"rfc/rfc7515.json", "rfc/rfc7797.json", "rfc/rfc8037.json"} {
		var vectors []rfcVector
		conformance.ReadVectors(t, path, &vectors)
		for _, v := range vectors {
			if v.Kind == "jws" {
				t.Run(v.ID, func(t *testing.T) { rfcSignature(t, v) })
			}
		}
	}
}

func rfcSignature(t *testing.T, v rfcVector) {
	keys, err := v.source()
	if err != nil {
		t.Fatal(err)
	}
	s := signed{v.Input, []byte(v.Detached), jws.Options{Unencoded: strings.HasPrefix(v.ID, "rfc7797")}}
	if v.Expect == "invalid" {
		if _, err := s.verify(keys); !errors.Is(err, jws.ErrMalformed) {
			t.Errorf("%v", err)
		}
		return
	}
	m, err := s.verify(keys)
	if err != nil {
		t.Fatal(err)
	}
	if got := wire.Encode(m.Payload()); got != v.Payload {
		t.Errorf("payload %s, want %s", got, v.Payload)
	}
	if kids := v.unprotectedKeyIDs(); kids != nil {
		all, err := s.options.VerifyAll(keys, []byte(s.token))
		if err != nil || len(all) != len(kids) {
			t.Errorf("%d of %d signatures, %v", len(all), len(kids), err)
		}
	}
	key := m.Key()
	if v.PrivateKey != nil {
		if key, err = jwk.ParseAs(v.PrivateKey, jwk.Params{Algorithm: v.Alg}); err != nil {
			t.Fatal(err)
		}
	}
	if deterministic(key.Algorithm()) {
		signAgain(t, key, m, s.token)
	}
}

// source is the key or set of v. A vector that is to be refused for its header
// may have none. In the JSON serialization of RFC 7515, Appendix A, each signature
// names a kid that its key does not say.
func (v rfcVector) source() (jwk.Source, error) {
	if v.Key == nil {
		return jwk.Generate(jwk.Params{Algorithm: jwk.HS256})
	}
	entries := []json.RawMessage{v.Key}
	var set struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(v.Key, &set); err == nil && set.Keys != nil {
		entries = set.Keys
	}
	kids := v.unprotectedKeyIDs()
	var keys []*jwk.Key
	for i, data := range entries {
		p := jwk.Params{Algorithm: v.Alg}
		if v.Alg == "" {
			p.Algorithm = []jwk.Algorithm{jwk.RS256, jwk.ES256}[i] // in the order of A.6
		}
		if kids != nil {
			p.KeyID = kids[i]
		}
		key, err := jwk.ParseAs(data, p)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	if len(keys) == 1 {
		return keys[0], nil
	}
	return jwk.NewSet(keys...)
}

// unprotectedKeyIDs returns the kid of each signature, nil where there are none.
func (v rfcVector) unprotectedKeyIDs() (kids []string) {
	type signature struct{ Header struct{ Kid string } }
	var token struct {
		signature
		Signatures []signature
	}
	if json.Unmarshal([]byte(v.Input), &token) != nil {
		return nil
	}
	for _, s := range append(token.Signatures, token.signature) {
		if s.Header.Kid != "" {
			kids = append(kids, s.Header.Kid)
		}
	}
	return kids
}

// A signed is a token in any serialization, with its payload if it is detached.
type signed struct {
	token    string
	detached []byte
	options  jws.Options
}

func (s signed) verify(keys jwk.Source) (*jws.Message, error) {
	json := strings.HasPrefix(s.token, "{")
	switch {
	case json && len(s.detached) > 0:
		return s.options.VerifyDetachedJSON(keys, []byte(s.token), s.detached)
	case json:
		return s.options.VerifyJSON(keys, []byte(s.token))
	case len(s.detached) > 0:
		return s.options.VerifyDetached(keys, s.token, s.detached)
	}
	return s.options.Verify(keys, s.token)
}

// signAgain signs what m covers and looks for the signature in the token.
func signAgain(t *testing.T, key *jwk.Key, m *jws.Message, token string) {
	t.Helper()
	sig, err := key.Sign([]byte(m.SigningInput()))
	if err != nil || !strings.Contains(token, wire.Encode(sig)) {
		t.Errorf("signed again it has another signature: %v", err)
	}
}

// A cookbookVector is a file of cookbook/ (RFC 7520, Section 4, and its kin).
type cookbookVector struct {
	Reproducible bool
	Input        struct {
		Payload string
		Key     json.RawMessage // or an array of them
		Alg     json.RawMessage // or an array of them
	}
	Output map[string]json.RawMessage // by form: compact, json, json_flat
}

// cookbookSignatures are the files, with what a verifier has to allow for them.
var cookbookSignatures = map[string]struct {
	options  jws.Options
	detached bool
	forms    int
	refused  error
}{
	"jws/4_1.rsa_v15_signature.json":                 {forms: 3},
	"jws/4_2.rsa-pss_signature.json":                 {forms: 3},
	"jws/4_3.ecdsa_signature.json":                   {forms: 3},
	"jws/4_4.hmac-sha2_integrity_protection.json":    {forms: 3},
	"jws/4_5.signature_with_detached_content.json":   {forms: 3, detached: true},
	"jws/4_6.protecting_specific_header_fields.json": {forms: 2},
	"jws/4_7.protecting_content_only.json":           {forms: 2, options: jws.Options{UnprotectedAlgorithm: true}},
	"jws/4_8.multiple_signatures.json":               {forms: 1, options: jws.Options{UnprotectedAlgorithm: true}},
	"curve25519/jws.json":                            {forms: 3},
	"rfc7797/hmac-sha2_b64_false.json":               {forms: 3, options: jws.Options{Unencoded: true}},
	// Its header has b64 and no crit, which RFC 7797, Section 6, forbids.
	"rfc7797/4.2.hmac-sha2_b64_false.json": {forms: 2, options: jws.Options{Unencoded: true}, refused: jws.ErrCritical},
}

func TestCookbookSignature(t *testing.T) {
	for path, want := range cookbookSignatures {
		t.Run(path, func(t *testing.T) {
			var v cookbookVector
			conformance.ReadVectors(t, "cookbook/"+path, &v)
			if len(v.Output) != want.forms {
				t.Errorf("%d forms", len(v.Output))
			}
			for form, data := range v.Output {
				s := signed{token: text(data), options: want.options}
				if want.detached {
					s.detached = []byte(v.Input.Payload)
				}
				for i, key := range v.keys(t) {
					m, err := s.verify(key)
					if want.refused != nil {
						if !errors.Is(err, want.refused) {
							t.Errorf("%s: %v", form, err)
						}
						continue
					}
					if err != nil {
						t.Errorf("%s: %v", form, err)
						continue
					}
					v.check(t, key, i, m, s.token)
				}
			}
		})
	}
}

// check looks at what was verified with the i-th key.
func (v *cookbookVector) check(t *testing.T, key *jwk.Key, i int, m *jws.Message, token string) {
	t.Helper()
	if string(m.Payload()) != v.Input.Payload || m.Index() != i {
		t.Errorf("signature %d, payload %q", m.Index(), m.Payload())
	}
	if !v.Reproducible {
		return
	}
	signAgain(t, key, m, token)
	// The whole token, where it is compact and its header in our order.
	if again, err := jws.Sign(key, jws.Header{}, m.Payload()); err != nil || strings.HasPrefix(token, headerOf(again)+".ey") && again != token {
		t.Errorf("signed again it is another token: %v", err)
	}
}

func headerOf(token string) string {
	header, _, _ := strings.Cut(token, ".")
	return header
}

// keys are those of v, one for each signature.
func (v *cookbookVector) keys(t *testing.T) []*jwk.Key {
	t.Helper()
	var keys []*jwk.Key
	algorithms := each(v.Input.Alg)
	for i, data := range each(v.Input.Key) {
		key, err := jwk.ParseAs(data, jwk.Params{Algorithm: jwk.Algorithm(text(algorithms[i]))})
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	return keys
}

// each returns the elements of an array, or the value that is none.
func each(data json.RawMessage) []json.RawMessage {
	var array []json.RawMessage
	if json.Unmarshal(data, &array) == nil {
		return array
	}
	return []json.RawMessage{data}
}

// text returns the value of a JSON string, and anything else as it is.
func text(data json.RawMessage) string {
	var s string
	if json.Unmarshal(data, &s) == nil {
		return s
	}
	return string(data)
}

// Two vectors say invalid because the API they were made for was for the compact
// serialization only, as jws.Verify is, which refuses them above. Where JSON is
// asked for, they are correct. The other is in encryption.
func TestWycheproofJSONSerialization(t *testing.T) {
	var file wycheproof
	conformance.ReadVectors(t, "wycheproof/json_web_crypto_test.json", &file)
	ran := 0
	for _, group := range file.TestGroups {
		for _, test := range group.Tests {
			if test.JWS == nil || !strings.HasPrefix(string(*test.JWS), "{") {
				continue
			}
			ran++
			keys, err := groupKeys(group.Public, group.Private)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := jws.VerifyJSON(keys, []byte(*test.JWS)); err != nil || test.TcID != 17 {
				t.Errorf("%d %s: %v", test.TcID, test.Comment, err)
			}
		}
	}
	if ran != 1 {
		t.Errorf("%d vectors", ran)
	}
}

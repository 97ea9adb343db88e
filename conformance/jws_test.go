package conformance_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/conformance"
	"github.com/counterfoil/counterfoil/internal/wire"
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
	compact := !strings.HasPrefix(v.Input, "{") && v.Detached == ""
	if !compact || v.Expect == "invalid" {
		// What is not compact is refused in the place of what is.
		if _, err := jws.Parse(v.Input); !errors.Is(err, jws.ErrMalformed) {
			t.Errorf("%v", err)
		}
		return
	}
	key, err := jwk.ParseAs(v.Key, jwk.Params{Algorithm: v.Alg})
	if err != nil {
		t.Fatal(err)
	}
	m, err := jws.Verify(key, v.Input)
	if err != nil {
		t.Fatal(err)
	}
	if got := wire.Encode(m.Payload()); got != v.Payload {
		t.Errorf("payload %s, want %s", got, v.Payload)
	}
	if v.PrivateKey != nil {
		if key, err = jwk.ParseAs(v.PrivateKey, jwk.Params{Algorithm: v.Alg}); err != nil {
			t.Fatal(err)
		}
	}
	if deterministic(v.Alg) {
		signAgain(t, key, v.Input)
	}
}

// signAgain signs the header and payload of a token and wants its signature.
func signAgain(t *testing.T, key *jwk.Key, token string) {
	u, err := jws.Parse(token)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := key.Sign([]byte(u.SigningInput()))
	if err != nil || !bytes.Equal(sig, u.Signature()) {
		t.Errorf("signed again it has another signature: %v", err)
	}
}

// A cookbookVector is a file of cookbook/ (RFC 7520, Section 4, and its kin).
type cookbookVector struct {
	Reproducible bool
	Input        struct {
		Payload string
		Key     json.RawMessage
		Alg     jwk.Algorithm
	}
	Output struct{ Compact *string }
}

func TestCookbookSignature(t *testing.T) {
	for path, detached := range map[string]bool{
		"cookbook/jws/4_1.rsa_v15_signature.json":               false,
		"cookbook/jws/4_2.rsa-pss_signature.json":               false,
		"cookbook/jws/4_3.ecdsa_signature.json":                 false,
		"cookbook/jws/4_4.hmac-sha2_integrity_protection.json":  false,
		"cookbook/jws/4_5.signature_with_detached_content.json": true,
		"cookbook/curve25519/jws.json":                          false,
	} {
		t.Run(path, func(t *testing.T) {
			var v cookbookVector
			conformance.ReadVectors(t, path, &v)
			cookbookSignature(t, v, detached)
		})
	}
	t.Run("cookbook/6.nesting_signatures_and_encryption.json", func(t *testing.T) {
		var v struct{ Sign cookbookVector }
		conformance.ReadVectors(t, "cookbook/6.nesting_signatures_and_encryption.json", &v)
		cookbookSignature(t, v.Sign, false)
	})
}

func cookbookSignature(t *testing.T, v cookbookVector, detached bool) {
	key, err := jwk.ParseAs(v.Input.Key, jwk.Params{Algorithm: v.Input.Alg})
	if err != nil {
		t.Fatal(err)
	}
	token := *v.Output.Compact
	if detached {
		// RFC 7515, Appendix F: to verify it, put the payload back.
		if _, err := jws.Verify(key, token); !errors.Is(err, jwk.ErrSignature) {
			t.Errorf("without its payload: %v", err)
		}
		token = strings.Replace(token, "..", "."+wire.Encode([]byte(v.Input.Payload))+".", 1)
	}
	m, err := jws.Verify(key, token)
	if err != nil {
		t.Fatal(err)
	}
	if string(m.Payload()) != v.Input.Payload {
		t.Errorf("payload %q", m.Payload())
	}
	if v.Reproducible && deterministic(v.Input.Alg) {
		signAgain(t, key, token)
	}
}

// The files that are only in the JSON serialization are not for this API yet:
// their serialized forms must be refused by it.
func TestCookbookJSONSerialization(t *testing.T) {
	for _, path := range []string{
		"cookbook/jws/4_6.protecting_specific_header_fields.json", "cookbook/jws/4_7.protecting_content_only.json", "cookbook/jws/4_8.multiple_signatures.json",
		"cookbook/rfc7797/hmac-sha2_b64_false.json", "cookbook/rfc7797/4.2.hmac-sha2_b64_false.json",
	} {
		var v struct {
			Output map[string]json.RawMessage
		}
		conformance.ReadVectors(t, path, &v)
		for form, token := range v.Output {
			text := string(token)
			json.Unmarshal(token, &text) // a compact one is a string
			if _, err := jws.Parse(text); !errors.Is(err, jws.ErrMalformed) {
				t.Errorf("%s %s: %v", path, form, err)
			}
		}
		if len(v.Output) == 0 {
			t.Errorf("%s: nothing in it", path)
		}
	}
}

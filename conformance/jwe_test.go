package conformance_test

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/conformance"
	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// encryptionWaivers are the vectors of json_web_encryption whose published result
// nobody gets from us, each with the reason. All are published as valid.
var encryptionWaivers = map[int]string{
	100: rsa15, 101: rsa15, 102: rsa15, 103: rsa15, 104: rsa15, 105: rsa15, 112: rsa15, 128: rsa15,
}

const rsa15 = "RSA1_5: every error of it answers a question about the key (RFC 8725, Section 3.2)"

// These two are met by who asks for it.
const (
	directCase = 132 // a key for dir whose alg is the enc; the caller says that it is for dir
	zipCase    = 135 // compressed; the policy allows it
)

func TestWycheproofEncryption(t *testing.T) {
	with := func(more map[int]string) map[int]string {
		more = maps.Clone(more)
		maps.Copy(more, encryptionWaivers)
		return more
	}
	const name = "json_web_encryption_test.json"
	decryptWycheproof(t, name, asked{}, with(map[int]string{directCase: "not asked for", zipCase: "not asked for"}))
	decryptWycheproof(t, name, asked{direct: true}, with(map[int]string{zipCase: "not asked for"}))
	passed, all := decryptWycheproof(t, name, asked{direct: true, zip: true}, encryptionWaivers)
	if want := all - len(encryptionWaivers); passed != want {
		t.Errorf("%d of %d vectors as published, want %d", passed, all, want)
	}
}

// json_web_crypto also has signatures.
func TestWycheproofCryptoEncryption(t *testing.T) {
	if passed, _ := decryptWycheproof(t, "json_web_crypto_test.json", asked{}, nil); passed == 0 {
		t.Error("no vectors")
	}
}

// A wycheproofEncryption is a file, as far as it is about encryption.
type wycheproofEncryption struct {
	NumberOfTests int
	TestGroups    []struct {
		Comment string
		Private json.RawMessage
		Tests   []struct {
			TcID            int
			Comment, Result string
			JWE             *serialized // nil where the vector is about signatures
			PT              hexBytes
		}
	}
}

// asked is what a caller asks for beyond the defaults.
type asked struct{ direct, zip bool }

// decryptWycheproof opens every compact JWE of a file, as verifyWycheproof does
// with signatures.
func decryptWycheproof(t *testing.T, name string, a asked, waivers map[int]string) (passed, ran int) {
	t.Helper()
	var file wycheproofEncryption
	conformance.ReadVectors(t, "wycheproof/"+name, &file)
	for _, group := range file.TestGroups {
		for _, test := range group.Tests {
			if test.JWE == nil {
				continue
			}
			ran++
			plaintext, err := a.decrypt(group.Private, string(*test.JWE))
			as := agrees(err, test.Result) && (err != nil || test.PT == nil || slices.Equal(plaintext, test.PT))
			if as {
				passed++
			}
			switch reason, waived := waivers[test.TcID]; {
			case !waived && !as:
				t.Errorf("%d %s, %s: want %s, got %x, %v", test.TcID, group.Comment, test.Comment, test.Result, plaintext, err)
			case waived && test.Result != "valid":
				t.Errorf("%d is waived and published as %s", test.TcID, test.Result)
			case waived && as:
				t.Errorf("%d is waived without need: %s", test.TcID, reason)
			}
		}
	}
	t.Logf("%s, %+v: %d of %d vectors as published, %d waived", name, a, passed, ran, len(waivers))
	return passed, ran
}

// decrypt pins the algorithm of the key and, since a vector does not say what an
// application expects, the encryption of the token.
func (a asked) decrypt(data json.RawMessage, token string) ([]byte, error) {
	enc := encryptionOf(token)
	var label struct{ Alg string }
	json.Unmarshal(data, &label)
	p := jwk.Params{}
	if a.direct && jwe.Encryption(label.Alg).KeySize() != 0 {
		p = jwk.Params{Algorithm: jwk.Dir, Encryption: jwe.Encryption(label.Alg)}
	}
	var key jwk.Source
	one, err := jwk.ParseAs(data, p)
	key = one
	alg := jwk.Algorithm(label.Alg)
	if one != nil {
		alg = one.Algorithm()
	} else if key, err = jwk.ParsePrivateSet(data); err == nil {
		alg = algorithmOf(token)
	}
	if err != nil {
		return nil, err
	}
	return jwe.Decrypt(key, jwe.Policy{Algorithm: alg, Encryption: enc, AllowZip: a.zip}, token)
}

// header returns what the header of a compact JWE says, nothing where it cannot
// be read.
func header(token string) (h struct {
	Alg jwk.Algorithm
	Enc jwe.Encryption
}) {
	first, _, _ := strings.Cut(token, ".")
	if data, err := wire.Decode(first); err == nil {
		json.Unmarshal(data, &h)
	}
	return h
}

func algorithmOf(token string) jwk.Algorithm { return header(token).Alg }

func encryptionOf(token string) jwe.Encryption {
	if enc := header(token).Enc; enc.KeySize() != 0 {
		return enc
	}
	return jwe.A128GCM
}

// As TestWycheproofJSONSerialization, for encryption.
func TestWycheproofJSONEncryption(t *testing.T) {
	for path, id := range map[string]int{"json_web_crypto_test.json": 66, "json_web_encryption_test.json": 22} {
		var file wycheproofEncryption
		conformance.ReadVectors(t, "wycheproof/"+path, &file)
		ran := 0
		for _, group := range file.TestGroups {
			for _, test := range group.Tests {
				if test.JWE == nil || !strings.HasPrefix(string(*test.JWE), "{") {
					continue
				}
				ran++
				key, err := jwk.Parse(group.Private)
				if err != nil {
					t.Fatal(err)
				}
				m, err := jwe.DecryptJSON(key, jwe.Policy{Algorithm: key.Algorithm(), Encryption: jwe.A256CBCHS512}, []byte(*test.JWE))
				if err != nil || test.TcID != id {
					t.Errorf("%s %d: %v", path, test.TcID, err)
					continue
				}
				if want := "foo"; string(m.Plaintext()) != want {
					t.Errorf("%s %d: %q, want %q", path, test.TcID, m.Plaintext(), want)
				}
			}
		}
		if ran != 1 {
			t.Errorf("%s: %d vectors", path, ran)
		}
	}
}

// An encrypted is a token in any serialization, and how to open it.
type encrypted struct {
	token  string
	policy jwe.Policy
}

func (e encrypted) open(keys jwk.Source) (*jwe.Message, error) {
	if strings.HasPrefix(e.token, "{") {
		return jwe.DecryptJSON(keys, e.policy, []byte(e.token))
	}
	return jwe.DecryptMessage(keys, e.policy, e.token)
}

// refusesRSA15 checks that a message which is for RSA1_5 is refused for that, also
// where a key of the same numbers could try.
func (e encrypted) refusesRSA15(t *testing.T, data json.RawMessage) {
	t.Helper()
	if _, err := jwk.ParseAs(data, jwk.Params{Algorithm: "RSA1_5"}); !errors.Is(err, jwk.ErrUnsupported) {
		t.Errorf("a key for RSA1_5: %v", err)
	}
	key, err := jwk.ParseAs(data, jwk.Params{Algorithm: jwk.RSAOAEP})
	if err != nil {
		t.Fatal(err)
	}
	e.policy.Algorithm = jwk.RSAOAEP
	if _, err := e.open(key); !errors.Is(err, jwe.ErrAlgorithm) || !strings.Contains(err.Error(), "RSA1_5") {
		t.Errorf("%v", err)
	}
}

// RFC 7516, Appendix A, and RFC 7517, Appendix C, which is a password.
func TestRFCEncryption(t *testing.T) {
	ran := 0
	for _, path := range []string{"rfc/rfc7516.json", "rfc/rfc7517.json"} {
		var vectors []rfcVector
		conformance.ReadVectors(t, path, &vectors)
		for _, v := range vectors {
			if v.Kind != "jwe" {
				continue
			}
			ran++
			t.Run(v.ID, func(t *testing.T) { rfcEncryption(t, v) })
		}
	}
	if ran != 6 {
		t.Errorf("%d vectors", ran)
	}
}

func rfcEncryption(t *testing.T, v rfcVector) {
	e := encrypted{v.Input, jwe.Policy{Algorithm: v.Alg, Encryption: v.Enc, MaxIterations: publishedIterations}}
	data := v.Key
	var set struct{ Keys []json.RawMessage }
	if json.Unmarshal(v.Key, &set) == nil && set.Keys != nil { // A.4: RSA1_5, A128KW
		e.policy.Algorithm, data = jwk.A128KW, set.Keys[1]
	}
	if v.Alg == "RSA1_5" {
		e.refusesRSA15(t, data)
		return
	}
	key, err := jwk.ParseAs(data, jwk.Params{Algorithm: e.policy.Algorithm})
	if err != nil {
		t.Fatal(err)
	}
	m, err := e.open(key)
	if err != nil {
		t.Fatal(err)
	}
	if got := wire.Encode(m.Plaintext()); got != v.Payload {
		t.Errorf("plaintext %s, want %s", got, v.Payload)
	}
}

// publishedIterations is above what the published examples of PBES2 have.
const publishedIterations = 10_000

// A cookbookMessage is a file of cookbook/ with a JWE (RFC 7520, Section 5).
type cookbookMessage struct {
	Reproducible bool
	Input        struct {
		Plaintext string
		Key       json.RawMessage // or an array of them
		Password  string          `json:"pwd"`
		Alg       json.RawMessage // or an array of them
		Enc       jwe.Encryption
		AAD       string
	}
	Generated struct{ CEK string }
	Wrapped   json.RawMessage            `json:"encrypting_key"` // an object, or an array
	Output    map[string]json.RawMessage // by form: compact, json, json_flat
}

// cookbookMessages are the files, with the number of forms of each.
var cookbookMessages = map[string]int{
	"jwe/5_1.key_encryption_using_rsa_v15_and_aes-hmac-sha2.json":                             3,
	"jwe/5_2.key_encryption_using_rsa-oaep_with_aes-gcm.json":                                 3,
	"jwe/5_3.key_wrap_using_pbes2-aes-keywrap_with-aes-cbc-hmac-sha2.json":                    3,
	"jwe/5_4.key_agreement_with_key_wrapping_using_ecdh-es_and_aes-keywrap_with_aes-gcm.json": 3,
	"jwe/5_5.key_agreement_using_ecdh-es_with_aes-cbc-hmac-sha2.json":                         3,
	"jwe/5_6.direct_encryption_using_aes-gcm.json":                                            3,
	"jwe/5_7.key_wrap_using_aes-gcm_keywrap_with_aes-cbc-hmac-sha2.json":                      3,
	"jwe/5_8.key_wrap_using_aes-keywrap_with_aes-gcm.json":                                    3,
	"jwe/5_9.compressed_content.json":                                                         3,
	"jwe/5_10.including_additional_authentication_data.json":                                  2,
	"jwe/5_11.protecting_specific_header_fields.json":                                         2,
	"jwe/5_12.protecting_content_only.json":                                                   2,
	"jwe/5_13.encrypting_to_multiple_recipients.json":                                         1,
	"curve25519/ecdh-es.json":                                                                 3,
}

// An iv cannot be given to our API, nor a salt or an ephemeral key, so that none
// of these can be made again as a whole. The wrapped keys of A128KW are.
func TestCookbookEncryption(t *testing.T) {
	for path, forms := range cookbookMessages {
		t.Run(path, func(t *testing.T) {
			var v cookbookMessage
			conformance.ReadVectors(t, "cookbook/"+path, &v)
			if len(v.Output) != forms {
				t.Errorf("%d forms", len(v.Output))
			}
			for form, data := range v.Output {
				v.recipients(t, form, text(data))
			}
		})
	}
}

// recipients opens token with each of the keys.
func (v *cookbookMessage) recipients(t *testing.T, form, token string) {
	t.Helper()
	algorithms, keys := each(v.Input.Alg), each(v.Input.Key)
	for i := range algorithms {
		alg := jwk.Algorithm(text(algorithms[i]))
		e := encrypted{token, jwe.Policy{
			Algorithm: alg, Encryption: v.encryption(), AllowZip: true, MaxIterations: publishedIterations,
		}}
		if alg == "RSA1_5" && len(keys) == 1 {
			e.refusesRSA15(t, keys[i])
			continue
		}
		key, err := v.key(alg, i)
		if alg == "RSA1_5" && errors.Is(err, jwk.ErrUnsupported) {
			continue // the message is for others too
		}
		if err != nil {
			t.Fatal(err)
		}
		m, err := e.open(key)
		if err != nil {
			t.Errorf("%s as %s: %v", form, alg, err)
			continue
		}
		if string(m.Plaintext()) != v.Input.Plaintext || m.Recipient() != i || string(m.AAD()) != v.Input.AAD {
			t.Errorf("%s as %s: recipient %d, aad %q, plaintext %q", form, alg, m.Recipient(), m.AAD(), m.Plaintext())
		}
		if v.Reproducible {
			v.wrapAgain(t, key)
		}
	}
}

// encryption is "enc". Section 5.13 of the cookbook has lost a letter of it where
// the inputs stand.
func (v *cookbookMessage) encryption() jwe.Encryption {
	if v.Input.Enc == "A128CBC-H256" {
		return jwe.A128CBCHS256
	}
	return v.Input.Enc
}

func (v *cookbookMessage) key(alg jwk.Algorithm, i int) (*jwk.Key, error) {
	p := jwk.Params{Algorithm: alg}
	if v.Input.Password != "" {
		return jwk.New([]byte(v.Input.Password), p)
	}
	if alg == jwk.Dir {
		p.Encryption = v.encryption() // the label of its key
	}
	return jwk.ParseAs(each(v.Input.Key)[i], p)
}

// wrapAgain wraps the content encryption key again where that has one result.
func (v *cookbookMessage) wrapAgain(t *testing.T, key *jwk.Key) {
	t.Helper()
	if key.Algorithm() != jwk.A128KW {
		return
	}
	var wrapped struct {
		Key string `json:"encrypted_key"`
	}
	if err := json.Unmarshal(v.Wrapped, &wrapped); err != nil {
		t.Fatal(err)
	}
	if w, err := key.WrapKey(decode(t, v.Generated.CEK), jwk.WrapParams{}); err != nil || wire.Encode(w.Key) != wrapped.Key {
		t.Errorf("wrapped again the key is %s, %v", wire.Encode(w.Key), err)
	}
}

func decode(t *testing.T, s string) []byte {
	t.Helper()
	b, err := wire.Decode(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

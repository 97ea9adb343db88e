package jwe_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// encrypter returns an Encrypter for a key.
func encrypter(t testing.TB, k *jwk.Key, enc jwe.Encryption, h jwe.Header) *jwe.Encrypter {
	t.Helper()
	e, err := jwe.NewEncrypter(k, enc, h)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func encryptJSON(t testing.TB, aad string, recipients ...*jwe.Encrypter) string {
	t.Helper()
	data, err := jwe.EncryptJSON([]byte(secret), []byte(aad), recipients...)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// fields takes a JSON object apart.
func fields(t testing.TB, data string) header {
	t.Helper()
	var h header
	if err := json.Unmarshal([]byte(data), &h); err != nil {
		t.Fatal(err)
	}
	return h
}

func TestFlattened(t *testing.T) {
	k := newKey(t, jwk.Params{KeyID: "kek-1"})
	h, err := jwe.Header{Type: "JWE", ContentType: "text/plain"}.With("ext", []int{1})
	if err != nil {
		t.Fatal(err)
	}
	data := encryptJSON(t, "not a secret", encrypter(t, k, jwe.A256GCM, h))
	m := opensJSON(t, "flattened", k, policy, data)
	got := m.Header()
	if ext, ok := got.Member("ext"); got.Type != "JWE" || got.ContentType != "text/plain" || got.KeyID != "kek-1" || got.Algorithm != jwk.A256GCMKW || got.Encryption != jwe.A256GCM || !ok || string(ext) != "[1]" {
		t.Errorf("%+v", got)
	}
	if string(m.AAD()) != "not a secret" || m.Recipient() != 0 || m.Key() != k {
		t.Errorf("%q, %d", m.AAD(), m.Recipient())
	}
	if f := fields(t, data); f["header"] != nil || f["unprotected"] != nil || f["recipients"] != nil || len(f) != 6 {
		t.Errorf("%s", data)
	}
	// What is not empty is bound to the rest.
	for _, name := range []string{"protected", "encrypted_key", "aad", "iv", "ciphertext", "tag"} {
		f := fields(t, data)
		text := decode(t, f[name].(string))
		text[len(text)/2] ^= 1
		_, err := jwe.DecryptJSON(k, policy, []byte(f.with(name, wire.Encode(text)).json(t)))
		if err == nil {
			t.Errorf("%s changed: opened", name)
		}
		if _, err := jwe.DecryptJSON(k, policy, []byte(f.with(name, nil).json(t))); err == nil {
			t.Errorf("%s left out: opened", name)
		}
	}
	data = encryptJSON(t, "", encrypter(t, k, jwe.A256GCM, jwe.Header{}))
	if m := opensJSON(t, "no aad", k, policy, data); m.AAD() != nil {
		t.Errorf("%q", m.AAD())
	}
	refuseJSON(t, "aad added", k, policy, fields(t, data).with("aad", "AAAA").json(t), jwe.ErrDecrypt)
}

func TestGeneral(t *testing.T) {
	params := []jwk.Params{
		{Algorithm: jwk.RSAOAEP256}, {Algorithm: jwk.ECDHESA128KW}, {Algorithm: jwk.ECDHESA256KW, Curve: "X25519"},
		{Algorithm: jwk.A192KW}, {Algorithm: jwk.A256GCMKW}, {Algorithm: jwk.PBES2HS256A128KW},
	}
	for _, enc := range encryptions {
		var keys []*jwk.Key
		var recipients []*jwe.Encrypter
		for i, p := range params {
			h := jwe.Header{ContentType: "text/plain"}
			if jwk.DefaultIterations(p.Algorithm) > 0 {
				h.Iterations = 1000
			}
			p.KeyID = fmt.Sprint("key-", i)
			keys = append(keys, newKey(t, p))
			recipients = append(recipients, encrypter(t, keys[i], enc, h))
		}
		data := encryptJSON(t, "for all", recipients...)
		for i, k := range keys {
			p := jwe.Policy{Algorithm: k.Algorithm(), Encryption: enc, MaxIterations: 1000}
			m := opensJSON(t, fmt.Sprint(enc, " ", k.Algorithm()), k, p, data)
			if m == nil || m.Recipient() != i || m.Key() != k || string(m.AAD()) != "for all" || m.Header().ContentType != "text/plain" {
				t.Errorf("%s %s: %+v", enc, k.Algorithm(), m)
			}
			// "alg" and "kid" are not protected in it.
			if h := m.Header(); h.Algorithm != "" || h.KeyID != "" || h.Encryption != enc {
				t.Errorf("%+v", h)
			}
		}
		stranger := newKey(t, jwk.Params{Algorithm: jwk.A192KW, KeyID: "stranger"})
		refuseJSON(t, "a stranger", stranger, jwe.Policy{Algorithm: jwk.A192KW, Encryption: enc}, data, jwk.ErrUnknownKey)
		other := newKey(t, jwk.Params{Algorithm: jwk.A128KW})
		refuseJSON(t, "another algorithm", other, jwe.Policy{Algorithm: jwk.A128KW, Encryption: enc}, data, jwe.ErrAlgorithm)
	}
}

func TestGeneralForOne(t *testing.T) {
	for _, params := range []jwk.Params{{}, {Algorithm: jwk.Dir}, {Algorithm: jwk.ECDHES}, {Algorithm: jwk.RSAOAEP256}} {
		k := newKey(t, params)
		data, err := jwe.EncryptGeneral([]byte(secret), []byte("aad"), encrypter(t, k, jwe.A256GCM, jwe.Header{Type: "x"}))
		if err != nil {
			t.Fatal(err)
		}
		list, ok := fields(t, string(data))["recipients"].([]any)
		if !ok || len(list) != 1 || fields(t, string(data))["encrypted_key"] != nil {
			t.Errorf("%s", data)
		}
		m := opensJSON(t, string(k.Algorithm()), k, jwe.Policy{Algorithm: k.Algorithm(), Encryption: jwe.A256GCM}, string(data))
		if m == nil || m.Header().Algorithm != k.Algorithm() || m.Header().Type != "x" || string(m.AAD()) != "aad" {
			t.Errorf("%s: %+v", k.Algorithm(), m)
		}
	}
}

func TestUnverifiedHeader(t *testing.T) {
	k := newKey(t, jwk.Params{KeyID: "k"})
	h, err := jwe.UnverifiedHeader(encrypt(t, k, []byte(secret)))
	if err != nil || h.Algorithm != jwk.A256GCMKW || h.Encryption != jwe.A256GCM || h.KeyID != "k" {
		t.Errorf("%+v, %v", h, err)
	}
	for _, bad := range []string{"", "....", "a.b.c", "e30....."} {
		if h, err := jwe.UnverifiedHeader(bad); !errors.Is(err, jwe.ErrMalformed) {
			t.Errorf("%q: %+v, %v", bad, h, err)
		}
	}
}

// Recipients without kid: each whose part could be ours is tried.
func TestRecipientsWithoutNames(t *testing.T) {
	var keys []*jwk.Key
	var recipients []*jwe.Encrypter
	for range 5 {
		k := newKey(t, jwk.Params{Algorithm: jwk.A128KW})
		data, err := k.MarshalPrivate()
		if err != nil {
			t.Fatal(err)
		}
		if k, err = jwk.Parse([]byte(fields(t, string(data)).with("kid", nil).json(t))); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
		recipients = append(recipients, encrypter(t, k, jwe.A128GCM, jwe.Header{}))
	}
	p := jwe.Policy{Algorithm: jwk.A128KW, Encryption: jwe.A128GCM}
	data := encryptJSON(t, "", recipients...)
	for i, k := range keys {
		if m := opensJSON(t, fmt.Sprint(i), k, p, data); m != nil && m.Recipient() != i {
			t.Errorf("%d opened as %d", i, m.Recipient())
		}
	}
	refuseJSON(t, "none of them", newKey(t, jwk.Params{Algorithm: jwk.A128KW}), p, data, jwe.ErrDecrypt)
}

func TestEncryptJSONRefuses(t *testing.T) {
	a, b := newKey(t, jwk.Params{}), newKey(t, jwk.Params{Algorithm: jwk.A128KW})
	d, agreeing := newDirect(t), newKey(t, jwk.Params{Algorithm: jwk.ECDHES})
	to := func(k *jwk.Key, enc jwe.Encryption, h jwe.Header) *jwe.Encrypter { return encrypter(t, k, enc, h) }
	plain := jwe.Header{}
	for what, recipients := range map[string][]*jwe.Encrypter{
		"nobody":                 {},
		"nil":                    {nil},
		"the zero Encrypter":     {new(jwe.Encrypter)},
		"two zero Encrypters":    {new(jwe.Encrypter), new(jwe.Encrypter)},
		"two encryptions":        {to(a, jwe.A256GCM, plain), to(b, jwe.A128GCM, plain)},
		"two content types":      {to(a, jwe.A256GCM, jwe.Header{ContentType: "a"}), to(b, jwe.A256GCM, jwe.Header{ContentType: "b"})},
		"dir and another":        {to(a, jwe.A256GCM, plain), to(d.Key, jwe.A256GCM, plain)},
		"ECDH-ES and another":    {to(agreeing, jwe.A256GCM, plain), to(a, jwe.A256GCM, plain)},
		"ECDH-ES and one of two": {to(agreeing, jwe.A256GCM, plain), to(agreeing, jwe.A256GCM, plain)},
	} {
		if data, err := jwe.EncryptJSON([]byte(secret), nil, recipients...); err == nil || data != nil {
			t.Errorf("%s: %s", what, data)
		}
	}
	if token, err := new(jwe.Encrypter).Encrypt(nil); token != "" || !errors.Is(err, jwk.ErrUnknownKey) {
		t.Errorf("the zero Encrypter: %q, %v", token, err)
	}
	if _, err := jwe.EncryptJSON(make([]byte, jwe.MaxToken), nil, to(a, jwe.A256GCM, plain)); err == nil {
		t.Error("larger than what is read")
	}
	if _, err := jwe.EncryptJSON(nil, make([]byte, jwe.MaxToken), to(a, jwe.A256GCM, plain)); err == nil {
		t.Error("an aad larger than what is read")
	}
}

// The parts of a message under d, from which documents are put together.
func documentParts(t *testing.T, d direct, protected header, aad string) header {
	t.Helper()
	text := ""
	if protected != nil {
		text = protected.json(t)
	}
	suffix := ""
	if aad != "" {
		suffix = "." + aad
	}
	p := sealGCM(t, d.secret, text, suffix, []byte(secret))
	f := header{"iv": p.iv, "ciphertext": p.text, "tag": p.tag}
	if protected != nil {
		f["protected"] = p.protected
	}
	if aad != "" {
		f["aad"] = aad
	}
	return f
}

func TestHeadersOfAJSONMessage(t *testing.T) {
	d := newDirect(t)
	alg, enc, both := header{"alg": "dir"}, header{"enc": "A256GCM"}, directHeader
	wrapped := both.with("alg", "A128KW")
	whole, half, none := documentParts(t, d, both, ""), documentParts(t, d, enc, ""), documentParts(t, d, nil, "")
	for what, f := range map[string]header{
		"all protected":                     whole,
		"with others unprotected":           whole.with("unprotected", header{"jku": "https://a.example"}).with("header", header{"x": 1}),
		"alg for the recipient":             half.with("header", alg),
		"alg shared":                        half.with("unprotected", alg),
		"nothing protected":                 none.with("unprotected", both),
		"nothing protected, two headers":    none.with("unprotected", enc).with("header", alg),
		"general with one":                  whole.with("recipients", []any{header{}}),
		"general, alg for the recipient":    half.with("recipients", []any{header{"header": alg}}),
		"members that nobody knows":         whole.with("other", []int{1}).with("payload", "x"),
		"an empty header":                   whole.with("header", header{}).with("unprotected", header{}),
		"an aad":                            documentParts(t, d, both, wire.Encode([]byte("aad"))),
		"an aad and nothing protected":      documentParts(t, d, nil, wire.Encode([]byte("aad"))).with("header", both),
		"a recipient with unknown members":  whole.with("recipients", []any{header{"other": 1}}),
		"a kid somewhere, of which the key": whole.with("header", header{"typ": "x"}),
	} {
		opensJSON(t, what, d, directPolicy, f.json(t))
	}
	for what, f := range map[string]header{
		"alg twice":                       whole.with("header", alg),
		"alg twice, the same in both":     half.with("header", alg).with("unprotected", alg),
		"enc shared too":                  whole.with("unprotected", enc),
		"an unknown one twice":            whole.with("header", header{"x": 1}).with("unprotected", header{"x": 1}),
		"both kinds":                      whole.with("recipients", []any{header{}}).with("header", header{"x": 1}),
		"both kinds, with a key":          whole.with("recipients", []any{header{}}).with("encrypted_key", ""),
		"recipients is no array":          whole.with("recipients", header{}),
		"recipients is empty":             whole.with("recipients", []any{}),
		"a recipient is a string":         whole.with("recipients", []any{"x"}),
		"a recipient is null":             whole.with("recipients", json.RawMessage("[null]")),
		"recipients of dir":               half.with("recipients", []any{header{"header": alg}, header{"header": alg}}),
		"recipients that differ in enc":   none.with("recipients", []any{header{"header": wrapped}, header{"header": wrapped.with("enc", "A128GCM")}}),
		"no ciphertext":                   whole.with("ciphertext", nil),
		"ciphertext is null":              whole.with("ciphertext", json.RawMessage("null")),
		"protected is empty":              none.with("protected", "").with("header", both),
		"protected is an object":          whole.with("protected", both),
		"protected is null":               whole.with("protected", json.RawMessage("null")),
		"header is null":                  whole.with("header", json.RawMessage("null")),
		"header is a string":              whole.with("header", wire.Encode([]byte("{}"))),
		"unprotected is an array":         whole.with("unprotected", []any{}),
		"an iv that is a number":          whole.with("iv", 1),
		"a tag with padding":              whole.with("tag", whole["tag"].(string)+"=="),
		"an aad that is not base64url":    whole.with("aad", "a b"),
		"an encrypted key":                whole.with("encrypted_key", "AAAA"),
		"an encrypted key that is null":   whole.with("encrypted_key", json.RawMessage("null")),
		"a large header":                  whole.with("header", header{"x": strings.Repeat("x", jwe.MaxHeader)}),
		"a large unprotected header":      whole.with("unprotected", header{"x": strings.Repeat("x", jwe.MaxHeader)}),
		"a long kid":                      whole.with("header", header{"kid": strings.Repeat("x", jwk.MaxKeyID+1)}),
		"a kid that is a number":          whole.with("header", header{"kid": 1}),
		"the other serialization in JSON": whole.with("protected", nil).with("ciphertext", nil).with("payload", "x"),
		"an aad that is empty":            whole.with("aad", ""),
		"recipients null":                 whole.with("recipients", json.RawMessage("null")),
	} {
		refuseJSON(t, what, d, directPolicy, f.json(t), jwe.ErrMalformed)
	}
	text := whole.json(t)
	for _, bad := range []string{"", "null", "[]", "1", `""`, text + "{}", text[:len(text)-1], "[" + text + "]", "\ufeff" + text, `{"protected":"a",` + text[1:],
		strings.Replace(text, `"iv"`, `"IV"`, 1), `{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + "," + text[1:]} {
		if _, err := jwe.DecryptJSON(d, directPolicy, []byte(bad)); err == nil {
			t.Errorf("opened %.40q", bad)
		}
	}
	opensJSON(t, "white space", d, directPolicy, "\n "+text+" \n")
	// Each form for itself.
	if _, err := jwe.Decrypt(d, directPolicy, text); !errors.Is(err, jwe.ErrMalformed) {
		t.Errorf("Decrypt of JSON: %v", err)
	}
	refuseJSON(t, "a compact one", d, directPolicy, d.forge(t, both, []byte(secret)), jwe.ErrMalformed)
}

// Nothing that anybody may have written shows in what a Message says.
func TestUnprotectedParametersAreNotShown(t *testing.T) {
	d := newDirect(t)
	f := documentParts(t, d, directHeader, "").with("unprotected", header{"typ": "at+jwt", "x": 1}).with("header", header{"cty": "JWT", "y": 2})
	m := opensJSON(t, "unprotected", d, directPolicy, f.json(t))
	h := m.Header()
	_, x := h.Member("x")
	_, y := h.Member("y")
	if h.Type != "" || h.ContentType != "" || x || y || h.Algorithm != jwk.Dir {
		t.Errorf("%+v", h)
	}
	if text := fmt.Sprintf("%v %+v %#v %s", m, m, m, *m); strings.Contains(text, secret) {
		t.Errorf("printing shows the content: %s", text)
	}
}

// Nor does the application learn it by way of its own extension.
func TestThreat42CriticalSeesProtectedOnly(t *testing.T) {
	d := newDirect(t)
	p := directPolicy
	called := false
	p.Critical = map[string]func(jwe.Header, jsontext.Value) error{"ext": func(h jwe.Header, value jsontext.Value) error {
		called = true
		if _, other := h.Member("other"); other || h.Type != "a" || h.ContentType != "" || h.KeyID != "" || string(value) != "1" {
			t.Errorf("%+v, %s", h, value)
		}
		return nil
	}}
	protected := directHeader.with("typ", "a").with("ext", 1).with("crit", []string{"ext"})
	unprotected := header{"cty": "JWT", "kid": d.KeyID(), "other": 1}
	opensJSON(t, "crit", d, p, documentParts(t, d, protected, "").with("unprotected", unprotected).json(t))
	if !called {
		t.Error("nobody was asked")
	}
}

// A long header, and as many recipients as there may be, who all share it: a few
// kilobytes that once cost megabytes and milliseconds.
func TestThreat125HeadersAreReadOnce(t *testing.T) {
	d := newDirect(t)
	many := func(n int, prefix string) header {
		h := header{}
		for i := range n {
			h[fmt.Sprintf("%s%x", prefix, i)] = 1
		}
		return h
	}
	protected := many(400, "").with("enc", "A128GCM")
	shared := documentParts(t, d, protected, "").with("recipients", slices.Repeat([]any{header{}}, jwe.MaxRecipients))
	const limit = 1 << 20 // bytes
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	refuseJSON(t, "shared by all", d, directPolicy, shared.json(t), jwe.ErrAlgorithm)
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > limit {
		t.Errorf("%d bytes", used)
	}
	own := many(400, "r")
	three := documentParts(t, d, protected, "").with("recipients", []any{header{"header": own}, header{"header": own}})
	refuseJSON(t, "together too many", d, directPolicy, three.json(t), jwe.ErrMalformed)
}

// RFC 7516, Appendices A.3 to A.5; the other recipient of A.4 would use RSA1_5.
func TestRFC7516(t *testing.T) {
	const (
		plaintext = "Live long and prosper."
		start     = `{"protected":"eyJlbmMiOiJBMTI4Q0JDLUhTMjU2In0","unprotected":{"jku":"https://server.example.com/keys.jwks"},`
		rsa       = `{"header":{"alg":"RSA1_5","kid":"2011-04-29"},"encrypted_key":"UGhIOguC7IuEvf_NPVaXsGMoLOmwvc1GyqlIKOK1nN94nHPoltGRhWhw7Zx0-kFm1NJn8LE9XShH59_i8J0PH5ZZyNfGy2xGdULU7sHNF6Gp2vPLgNZ__deLKxGHZ7PcHALUzoOegEI-8E66jX2E4zyJKx-YxzZIItRzC5hlRirb6Y5Cl_p-ko3YvkkysZIFNPccxRU7qve1WYPxqbb2Yw8kZqa2rMWI5ng8OtvzlV7elprCbuPhcCdZ6XDP0_F8rkXds2vE4X-ncOIM8hAYHHi29NX0mcKiRaD0-D-ljQTP-cFPgwCp6X-nZZd9OHBv-B3oWh2TbqmScqXMR4gp_A"}`
		kw        = `"header":{"alg":"A128KW","kid":"7"},"encrypted_key":"6KB707dM9YTIgHtLvtgWQ8mKwboJW3of9locizkDTHzBC2IlrT1oOQ"`
		end       = `"iv":"AxY8DCtDaGlsbGljb3RoZQ","ciphertext":"KDlTtXchhZTGufMYmOYGS4HffxPSUrfmqCHXaI9wOGY","tag":"Mz-VPPyU4RlcuYv1IwIvzw"}`
		a3        = "eyJhbGciOiJBMTI4S1ciLCJlbmMiOiJBMTI4Q0JDLUhTMjU2In0.6KB707dM9YTIgHtLvtgWQ8mKwboJW3of9locizkDTHzBC2IlrT1oOQ.AxY8DCtDaGlsbGljb3RoZQ.KDlTtXchhZTGufMYmOYGS4HffxPSUrfmqCHXaI9wOGY.U0m_YmjN04DJvceFICbCVQ"
	)
	k, err := jwk.ParseAs([]byte(`{"kty":"oct","k":"GawgguFyGrWKav7AX4VKUg","kid":"7"}`), jwk.Params{Algorithm: jwk.A128KW})
	if err != nil {
		t.Fatal(err)
	}
	p := jwe.Policy{Algorithm: jwk.A128KW, Encryption: jwe.A128CBCHS256}
	if got, err := jwe.Decrypt(k, p, a3); err != nil || string(got) != plaintext {
		t.Errorf("A.3: %q, %v", got, err)
	}
	for what, data := range map[string]string{
		"A.4": start + `"recipients":[` + rsa + `,{` + kw + `}],` + end,
		"A.5": start + kw + "," + end,
	} {
		m, err := jwe.DecryptJSON(k, p, []byte(data))
		if err != nil || string(m.Plaintext()) != plaintext {
			t.Errorf("%s: %v, %v", what, m, err)
		}
	}
	_, err = jwe.DecryptJSON(k, p, []byte(start+`"recipients":[`+rsa+`],`+end))
	if !errors.Is(err, jwe.ErrAlgorithm) || !strings.Contains(err.Error(), "RSA1_5") {
		t.Errorf("RSA1_5 alone: %v", err)
	}
}

// RFC 7518, Appendix C: the key agreed on, here under content of our own.
func TestRFC7518KeyAgreement(t *testing.T) {
	k, err := jwk.ParseAs([]byte(`{"kty":"EC","crv":"P-256","x":"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ","y":"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck","d":"VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw"}`),
		jwk.Params{Algorithm: jwk.ECDHES})
	if err != nil {
		t.Fatal(err)
	}
	h := agreedHeader(header{"kty": "EC", "crv": "P-256", "x": "gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0", "y": "SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps"}).
		with("apu", "QWxpY2U").with("apv", "Qm9i")
	token := sealGCM(t, decode(t, "VqqN6vgjbSBcIijNcacQGg"), h.json(t), "", []byte(secret)).compact()
	opens(t, "Appendix C", k, agreedPolicy, token)
}

func FuzzDecryptJSON(f *testing.F) {
	d := newDirect(f)
	kek := newKey(f, jwk.Params{Algorithm: jwk.A128KW, KeyID: "k"})
	direct := []byte(fields(f, encryptJSON(f, "aad", encrypter(f, d.Key, jwe.A256GCM, jwe.Header{Type: "x"}))).json(f))
	general := []byte(encryptJSON(f, "", encrypter(f, kek, jwe.A256GCM, jwe.Header{}), encrypter(f, newKey(f, jwk.Params{}), jwe.A256GCM, jwe.Header{})))
	f.Add(direct)
	f.Add(general)
	f.Add([]byte(`{"protected":"e30","unprotected":{"alg":"dir"},"recipients":[{"header":{"enc":"A256GCM"}}],"iv":"","ciphertext":"","tag":""}`))
	wrapped := jwe.Policy{Algorithm: jwk.A128KW, Encryption: jwe.A256GCM, AllowZip: true, MaxIterations: 1000}
	f.Fuzz(func(t *testing.T, data []byte) {
		for key, p := range map[*jwk.Key]jwe.Policy{d.Key: directPolicy, kek: wrapped} {
			m, err := jwe.DecryptJSON(key, p, data)
			if (m == nil) == (err == nil) {
				t.Fatalf("%v, %v", m, err)
			}
			if m != nil && !bytes.Equal(m.Plaintext(), []byte(secret)) {
				t.Fatalf("opened %q", m.Plaintext())
			}
			if _, err := jwe.Decrypt(key, p, string(data)); err == nil {
				t.Fatalf("compact and JSON at once: %q", data)
			}
		}
	})
}

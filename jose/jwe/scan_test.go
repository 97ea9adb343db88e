package jwe

import (
	"reflect"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

// headersToScan are what both ways must read alike.
var headersToScan = []string{
	`{"alg":"dir","enc":"A256GCM"}`,
	`{"alg":"A256GCMKW","enc":"A256GCM","kid":"a b","typ":"x","cty":"JWT","iv":"AAAAAAAAAAAAAAAA","tag":"AAAAAAAAAAAAAAAAAAAAAA"}`,
	`{"alg":"ECDH-ES","enc":"A128GCM","apu":"QWxpY2U","apv":"Qm9i","epk":{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}}`,
	`{"alg":"ECDH-ES","enc":"A128GCM","epk":{"x":"AAAA","crv":"X25519","kty":"OKP"},"kid":"k"}`,
	`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2s":"AAAAAAAAAAA","p2c":1000}`,
	`{"alg":"dir","enc":"A256GCM","kid":""}`,
}

// headersNotToScan are left to the general way.
var headersNotToScan = []string{
	``, `{`, `{}`, `null`, `[]`, `{"alg"}`, `{"alg":}`, `{"alg":"dir"`, `{"alg":"dir"}}`, `{"alg":"dir"} `, ` {"alg":"dir"}`, `{"alg":"dir",}`, `{"alg":"dir""enc":"x"}`,
	`{"alg": "dir"}`, `{"alg":"d\u0069r"}`, `{"\u0061lg":"dir"}`, `{"alg":"dir","alg":"dir"}`, `{"alg":1}`, `{"alg":null}`, `{"alg":"é"}`, "{\"alg\":\"\x01\"}", "{\"alg\":\"\xff\"}",
	`{"alg":"dir","zip":"DEF"}`, `{"alg":"dir","crit":["x"],"x":1}`, `{"alg":"dir","x":"y"}`, `{"alg":"HPKE-0"}`, `{"alg":"HPKE-0-KE","enc":"A128GCM","ek":"AAAA"}`,
	`{"iv":""}`, `{"iv":"A"}`, `{"iv":"AA="}`, `{"p2c":01}`, `{"p2c":-1}`, `{"p2c":1.0}`, `{"p2c":1e3}`, `{"p2c":}`, `{"p2c":99999999999}`, `{"p2c":1000,"p2c":1000}`,
	`{"alg":"PBES2-HS256+A128KW","p2c":1000}`, `{"alg":"PBES2-HS256+A128KW","p2c":999,"p2s":"AAAAAAAAAAA"}`,
	`{"epk":{}}`, `{"epk":{"kty":"EC","kty":"EC"}}`, `{"epk":{"kty":"EC","d":"AAAA"}}`, `{"epk":{"kty":1}}`, `{"epk":{"kty":"EC"}`, `{"epk":{"kty":"EC",}}`, `{"epk":"AAAA"}`,
	`{"epk":{"kty":"EC"},"epk":{"kty":"EC"}}`, `{"epk":{"a":{"b":"c"}}}`,
	`{"alg":"dir","kid":"` + strings.Repeat("x", jwk.MaxKeyID+1) + `"}`,
}

func TestScanner(t *testing.T) {
	for _, text := range headersToScan {
		if _, ok := scanHeader([]byte(text)); !ok {
			t.Errorf("not scanned: %s", text)
		}
		compareScan(t, []byte(text))
	}
	for _, text := range headersNotToScan {
		if _, ok := scanHeader([]byte(text)); ok {
			t.Errorf("scanned: %s", text)
		}
	}
}

// compareScan checks that what the scanner reads the general way reads alike.
func compareScan(t *testing.T, data []byte) {
	t.Helper()
	got, ok := scanHeader(data)
	if !ok {
		return
	}
	m, err := parseMembers(data)
	if err != nil {
		t.Fatalf("%q is scanned and is no header: %v", data, err)
	}
	want := new(params)
	if err := want.read(m); err != nil {
		t.Fatalf("%q is scanned and refused: %v", data, err)
	}
	if err := want.protect(m); err != nil {
		t.Fatalf("%q is scanned and refused: %v", data, err)
	}
	if string(got.wrapped.EPK) != string(want.wrapped.EPK) {
		t.Fatalf("%q: epk %s, %s", data, got.wrapped.EPK, want.wrapped.EPK)
	}
	got.wrapped.EPK, want.wrapped.EPK = nil, nil
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%q: %+v, %+v", data, got, want)
	}
}

func FuzzScanner(f *testing.F) {
	for _, list := range [][]string{headersToScan, headersNotToScan} {
		for _, text := range list {
			f.Add([]byte(text))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) <= MaxHeader {
			compareScan(t, data)
		}
	})
}

package jwe

import (
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

func TestHeadersThatAreRead(t *testing.T) {
	for _, text := range []string{
		`{"alg":"dir","enc":"A256GCM"}`,
		`{"alg":"A256GCMKW","enc":"A256GCM","kid":"a b","typ":"x","cty":"JWT","iv":"AAAAAAAAAAAAAAAA","tag":"AAAAAAAAAAAAAAAAAAAAAA"}`,
		`{"alg":"ECDH-ES","enc":"A128GCM","apu":"QWxpY2U","apv":"Qm9i","epk":{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}}`,
		`{"alg":"ECDH-ES","enc":"A128GCM","epk":{"x":"AAAA","crv":"X25519","kty":"OKP"},"kid":"k"}`,
		`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2s":"AAAAAAAAAAA","p2c":1000}`,
		`{"alg":"dir","enc":"A256GCM","kid":""}`,
		`{}`, `{"alg":"dir"} `, ` {"alg":"dir"}`, `{"alg": "dir"}`, `{"alg":"d\u0069r"}`, `{"\u0061lg":"dir"}`, `{"alg":"é"}`,
		`{"alg":"dir","zip":"DEF"}`, `{"alg":"dir","crit":["x"],"x":1}`, `{"alg":"dir","x":"y"}`, `{"alg":"HPKE-0"}`, `{"alg":"HPKE-0-KE","enc":"A128GCM","ek":"AAAA"}`,
		`{"iv":""}`, `{"epk":{}}`, `{"epk":{"kty":"EC","d":"AAAA"}}`, `{"epk":{"kty":1}}`, `{"epk":"AAAA"}`, `{"epk":{"a":{"b":"c"}}}`, // judged by package jwk
	} {
		if _, err := parseProtected(wire.Encode([]byte(text))); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestHeadersThatAreRefused(t *testing.T) {
	for _, text := range []string{
		``, `{`, `null`, `[]`, `{"alg"}`, `{"alg":}`, `{"alg":"dir"`, `{"alg":"dir"}}`, `{"alg":"dir",}`, `{"alg":"dir""enc":"x"}`,
		`{"alg":"dir","alg":"dir"}`, `{"alg":1}`, `{"alg":null}`, "{\"alg\":\"\x01\"}", "{\"alg\":\"\xff\"}",
		`{"iv":"A"}`, `{"iv":"AA="}`, `{"p2c":01}`, `{"p2c":-1}`, `{"p2c":1.0}`, `{"p2c":1e3}`, `{"p2c":}`, `{"p2c":99999999999}`, `{"p2c":1000,"p2c":1000}`,
		`{"p2c":2147483648}`, `{"p2c":"1000"}`, `{"p2c":null}`,
		`{"alg":"PBES2-HS256+A128KW","p2c":1000}`, `{"alg":"PBES2-HS256+A128KW","p2c":999,"p2s":"AAAAAAAAAAA"}`,
		`{"epk":{"kty":"EC","kty":"EC"}}`, `{"epk":{"kty":"EC"}`, `{"epk":{"kty":"EC",}}`, `{"epk":{"kty":"EC"},"epk":{"kty":"EC"}}`,
		`{"alg":"dir","kid":"` + strings.Repeat("x", jwk.MaxKeyID+1) + `"}`,
	} {
		if _, err := parseProtected(wire.Encode([]byte(text))); err == nil {
			t.Errorf("read: %s", text)
		}
	}
}

// What is read is what was written, however it is spelled.
func TestHeaderValues(t *testing.T) {
	p, err := parseProtected(wire.Encode([]byte(`{"\u0061lg":"ECDH-ES","enc":"A128GCM","kid":"\u006b","typ":"t","cty":"c","apu":"QQ","apv":"Qg","iv":"Qw","tag":"RA","p2s":"RQ","p2c":7,"epk":{"x": 1},"zip":"DEF","x":[2],"crit":["x"]}`)))
	if err != nil {
		t.Fatal(err)
	}
	w := &p.wrapped
	if p.Algorithm != jwk.ECDHES || p.Encryption != A128GCM || p.KeyID != "k" || p.Type != "t" || p.ContentType != "c" || !p.zip {
		t.Errorf("%+v", p.Header)
	}
	if string(p.APU) != "A" || string(p.APV) != "B" || p.Iterations != 7 || string(w.APU) != "A" || string(w.APV) != "B" || w.P2C != 7 {
		t.Errorf("%+v", p.Header)
	}
	if string(w.IV) != "C" || string(w.Tag) != "D" || string(w.P2S) != "E" || string(w.EPK) != `{"x": 1}` {
		t.Errorf("%+v", w)
	}
	if x, ok := p.Member("x"); !ok || string(x) != "[2]" || len(p.members) != 1 || len(p.critical) != 1 || p.critical[0] != "x" {
		t.Errorf("%v, %v", p.members, p.critical)
	}
}

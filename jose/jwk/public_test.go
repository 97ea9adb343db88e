package jwk_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

func TestThreat127ParsePublicRefusesPrivateMembers(t *testing.T) {
	for _, alg := range append(append([]jwk.Algorithm{}, asymmetric...), jwk.RSAOAEP256, jwk.ECDHES) {
		f := generated(t, alg).without("use")
		public := f.public()
		k, err := jwk.ParsePublic(public.json(t))
		if err != nil || k.IsPrivate() {
			t.Errorf("%s: %v", alg, err)
		}
		if _, err := jwk.ParsePublic(f.json(t)); err != jwk.ErrPrivate {
			t.Errorf("%s: %v", alg, err)
		}
		for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"} {
			for _, value := range []any{"AQ", "", nil, 1, []any{}} {
				if _, err := jwk.ParsePublic(public.with(name, value).json(t)); err != jwk.ErrPrivate {
					t.Errorf("%s with %s = %v: %v", alg, name, value, err)
				}
			}
		}
	}
	for _, f := range []fields{generated(t, jwk.HS256), generated(t, jwk.A256GCMKW), {"kty": "oct"}} {
		if _, err := jwk.ParsePublic(f.json(t)); err != jwk.ErrSymmetric {
			t.Error(err)
		}
	}
	if _, err := jwk.ParsePublic(append(generated(t, jwk.ES256).public().json(t), strings.Repeat(" ", jwk.MaxKey)...)); !errors.Is(err, jwk.ErrMalformed) {
		t.Error(err)
	}
	k, err := jwk.ParsePublicAs(generated(t, jwk.RS256).public().without("alg").json(t), jwk.Params{Algorithm: jwk.PS256})
	if err != nil || k.Algorithm() != jwk.PS256 {
		t.Error(k, err)
	}
}

// Numbers that nothing has looked at yet: they would take seconds, and are refused
// for being there.
func TestThreat127PrivateKeyCostsNothing(t *testing.T) {
	number := func(bits int) string {
		b := bytes.Repeat([]byte{0xa5}, bits/8)
		b[len(b)-1] |= 1
		return wire.Encode(b)
	}
	f := fields{"kty": "RSA", "alg": "RS256", "kid": "k", "e": "AQAB", "n": number(8192), "d": number(8192), "p": number(4096), "q": number(4096), "dp": number(4096), "dq": number(4096), "qi": number(4096)}
	data := f.json(t)
	once := func() error { _, err := jwk.ParsePublic(data); return err }
	if err := once(); err != jwk.ErrPrivate {
		t.Fatal(err)
	}
	// A hundred of them take as long as one would for a moment of arithmetic.
	if n := testing.AllocsPerRun(10, func() { once() }); n > 5 {
		t.Errorf("%v allocations: something was computed", n)
	}
	set, err := jwk.ParseSet(fmt.Appendf(nil, `{"keys":[%s]}`, data))
	if err != nil || set.Len() != 0 || set.Skipped()[0].Err != jwk.ErrPrivate {
		t.Error(set, err)
	}
}

func TestThumbprintURI(t *testing.T) {
	// RFC 7638, Section 3.1, and RFC 9278, Section 5.
	const example = `{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}`
	k, err := jwk.Parse([]byte(example))
	if err != nil {
		t.Fatal(err)
	}
	if got := k.ThumbprintURI(); got != "urn:ietf:params:oauth:jwk-thumbprint:sha-256:NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" {
		t.Error(got)
	}
}

// A Key that nobody made is good for nothing and breaks nothing.
func TestZeroKey(t *testing.T) {
	var k jwk.Key
	if k.IsPrivate() || k.IsSymmetric() || k.Accepts("") || k.Thumbprint() != "" || k.Certificates() != nil || k.KeyID() != "" {
		t.Error("the zero Key claims to be something")
	}
	if err := k.Verify(nil, nil); err == nil {
		t.Error("verified")
	}
	if _, err := k.Sign(nil); err == nil {
		t.Error("signed")
	}
	if _, err := k.SignContext(t.Context(), nil); err == nil {
		t.Error("signed")
	}
	if _, err := k.MarshalJSON(); err == nil {
		t.Error("written")
	}
	if _, err := k.MarshalPrivate(); err == nil {
		t.Error("written")
	}
	if _, err := k.CryptoPublic(); err == nil {
		t.Error("exported")
	}
	if _, err := k.CryptoPrivate(); err == nil {
		t.Error("exported")
	}
	if _, err := k.Find("", ""); err == nil {
		t.Error("found")
	}
	if err := k.VerifyCertificates(jwk.CertificateOptions{}); err == nil {
		t.Error("certified")
	}
	if public, err := k.Public(); err != nil || public.IsPrivate() {
		t.Error(err)
	}
	k.WithLimits(jwk.Limits{Issuer: "i"}).Limits()
	_, _ = json.Marshal(&k)
	_ = fmt.Sprint(k, &k)
	set, err := jwk.NewSet(&k)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := set.Find("", "ES256"); err == nil {
		t.Error("found")
	}
}

func TestNilSources(t *testing.T) {
	for _, source := range []jwk.Source{(*jwk.Set)(nil), (*jwk.Key)(nil), new(jwk.Set)} {
		for _, kid := range []string{"", "k"} {
			if k, err := source.Find(kid, "ES256"); k != nil || err != jwk.ErrUnknownKey {
				t.Errorf("%T: %v, %v", source, k, err)
			}
		}
	}
}

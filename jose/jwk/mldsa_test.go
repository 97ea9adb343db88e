package jwk_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"

	"filippo.io/mldsa"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// mldsaSizes are the bytes of a signature (FIPS 204, Table 2).
var mldsaSizes = map[jwk.Algorithm]int{jwk.MLDSA44: 2420, jwk.MLDSA65: 3309, jwk.MLDSA87: 4627}

// The examples of RFC 9964, Appendix A.1, have the key of the seed that is all
// zeros, its thumbprint for a kid, and a token signed without randomness. Typed
// here are the kid and the hash of the signature; all else follows.
func TestRFC9964(t *testing.T) {
	const payload = "It’s a dangerous business, Frodo, going out your door."
	for _, e := range []struct {
		params         mldsa.Parameters
		kid, signature string
	}{
		{mldsa.MLDSA44(), "T4xl70S7MT6Zeq6r9V9fPJGVn76wfnXJ21-gyo0Gu6o", "8651ad35f71a6e01bf62569ad21822c635f1b6cf3c35037bb689074dca560bfa"},
		{mldsa.MLDSA65(), "Suiu29qbfuaBaR4Ats-c6XQBePB_OpAxAwcTR_0KXVM", "2d3d1ba6581e89392226d707e2fe24e3326f80b9f7c6865707be9bd6f89d6ec6"},
		{mldsa.MLDSA87(), "tRn1JNIkgMsABVQBlXeDHxAIcclh-2IX0UdDEzPt5XU", "c521622a50722e369f511589f8405b7d3624b6fb39ae4045333f6485f4d9d42c"},
	} {
		seed := make([]byte, mldsa.PrivateKeySize)
		priv, err := mldsa.NewPrivateKey(e.params, seed)
		if err != nil {
			t.Fatal(err)
		}
		k := accept(t, fields{"kty": "AKP", "alg": e.params.String()}.
			withBytes("pub", priv.PublicKey().Bytes()).withBytes("priv", seed))
		if k.KeyID() != e.kid || k.Thumbprint() != e.kid {
			t.Errorf("%s: thumbprint %s, want %s", e.params, k.Thumbprint(), e.kid)
		}
		header := fmt.Sprintf(`{"alg":%q,"kid":%q}`, e.params, e.kid)
		input := []byte(wire.Encode([]byte(header)) + "." + wire.Encode([]byte(payload)))
		sig, err := priv.SignDeterministic(input, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%x", sha256.Sum256(sig)); got != e.signature {
			t.Errorf("%s: a signature with hash %s, want %s", e.params, got, e.signature)
		}
		if err := k.Verify(input, sig); err != nil {
			t.Errorf("%s: %v", e.params, err)
		}
	}
}

func TestMLDSASizes(t *testing.T) {
	for alg, size := range mldsaSizes {
		k := accept(t, generated(t, alg))
		if sig := mustSign(t, k, input); len(sig) != size {
			t.Errorf("%s: a signature of %d bytes, want %d", alg, len(sig), size)
		}
	}
}

// RFC 9964, Section 5: the context is empty, so that a signature made under any
// other is none of ours.
func TestMLDSAContextIsEmpty(t *testing.T) {
	priv, err := mldsa.GenerateKey(mldsa.MLDSA44())
	if err != nil {
		t.Fatal(err)
	}
	k, err := jwk.New(priv, jwk.Params{Algorithm: jwk.MLDSA44})
	if err != nil {
		t.Fatal(err)
	}
	for context, want := range map[string]error{"": nil, "JWS": jwk.ErrSignature} {
		sig, err := priv.Sign(nil, input, &mldsa.Options{Context: context})
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Verify(input, sig); err != want {
			t.Errorf("context %q: %v, want %v", context, err, want)
		}
	}
	if err := mldsa.Verify(priv.PublicKey(), input, mustSign(t, k, input), nil); err != nil {
		t.Error(err)
	}
}

func TestMLDSAKeyIsExactAndMatching(t *testing.T) {
	for alg := range mldsaSizes {
		f, other := generated(t, alg), generated(t, alg)
		for _, name := range []string{"pub", "priv"} {
			b := f.bytes(t, name)
			for _, bad := range [][]byte{b[:len(b)-1], b[1:], append(bytes.Clone(b), 0), append([]byte{0}, b...), join(b, b)} {
				refuse(t, f.withBytes(name, bad), jwk.ErrMalformed)
			}
			refuse(t, f.with(name, other[name]), jwk.ErrMalformed)
		}
		refuse(t, f.public().with("priv", ""), jwk.ErrMalformed)
		for wrong := range mldsaSizes {
			if wrong != alg {
				refuse(t, f.with("alg", string(wrong)), jwk.ErrMalformed)
			}
		}
		for _, kty := range []string{"OKP", "akp", "EC", "oct"} {
			refuse(t, f.with("kty", kty), jwk.ErrAlgorithm)
		}
	}
	// A point of another type says nothing about a key of this one.
	refuse(t, generated(t, jwk.Ed25519).with("kty", "AKP"), jwk.ErrAlgorithm)
	refuse(t, generated(t, jwk.Ed25519).with("kty", "AKP").with("alg", "ML-DSA-44"), jwk.ErrMalformed)
	refuse(t, generated(t, jwk.MLDSA44).with("alg", "SLH-DSA-SHA2-128s"), jwk.ErrUnsupported)
}

// RFC 9964, Section 3: "alg" is required, and it is part of the thumbprint. The
// caller's word does not stand in for it.
func TestThreat27AKPWithoutAlgorithm(t *testing.T) {
	f := generated(t, jwk.MLDSA44).without("alg")
	refuse(t, f, jwk.ErrNoAlgorithm)
	p := jwk.Params{Algorithm: jwk.MLDSA44}
	if _, err := jwk.ParseAs(f.json(t), p); !errors.Is(err, jwk.ErrNoAlgorithm) {
		t.Errorf("ParseAs: %v", err)
	}
	set, err := jwk.ParseSetAs(setOf(t, f.public()), p)
	if err != nil || set.Len() != 0 || !errors.Is(set.Skipped()[0].Err, jwk.ErrNoAlgorithm) {
		t.Errorf("ParseSetAs: %v, %v", set, err)
	}
}

// The seed in a set that is meant to be public.
func TestThreat127SeedInAPublicSet(t *testing.T) {
	f := generated(t, jwk.MLDSA65)
	set := mustSet(t, setOf(t, f, f.public().with("kid", "public"), generated(t, jwk.ES256).public().with("kid", "ec").with("priv", "AA")))
	if set.Len() != 1 || set.Keys()[0].KeyID() != "public" {
		t.Errorf("%v", set.Keys())
	}
	for _, s := range set.Skipped() {
		if s.Err != jwk.ErrPrivate {
			t.Errorf("key %d: %v", s.Index, s.Err)
		}
		silent(t, s.Err, f)
	}
}

func TestNewMLDSA(t *testing.T) {
	priv, err := mldsa.GenerateKey(mldsa.MLDSA65())
	if err != nil {
		t.Fatal(err)
	}
	k, err := jwk.New(priv, jwk.Params{Algorithm: jwk.MLDSA65})
	if err != nil {
		t.Fatal(err)
	}
	pub, err := jwk.New(priv.PublicKey(), jwk.Params{Algorithm: jwk.MLDSA65})
	if err != nil {
		t.Fatal(err)
	}
	if k.Thumbprint() != pub.Thumbprint() || pub.IsPrivate() || pub.Verify(input, mustSign(t, k, input)) != nil {
		t.Errorf("%v and %v", k, pub)
	}
	for _, bad := range []any{
		(*mldsa.PrivateKey)(nil), (*mldsa.PublicKey)(nil), new(mldsa.PrivateKey), new(mldsa.PublicKey), priv.Bytes(),
	} {
		if _, err := jwk.New(bad, jwk.Params{Algorithm: jwk.MLDSA65}); !errors.Is(err, jwk.ErrAlgorithm) {
			t.Errorf("%T: %v", bad, err)
		}
	}
	for _, alg := range []jwk.Algorithm{jwk.MLDSA44, jwk.MLDSA87, jwk.Ed25519, jwk.HS256} {
		for _, material := range []any{priv, priv.PublicKey()} {
			if _, err := jwk.New(material, jwk.Params{Algorithm: alg}); !errors.Is(err, jwk.ErrAlgorithm) {
				t.Errorf("%T for %s: %v", material, alg, err)
			}
		}
	}
}

package jwk_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"io"
	"math/big"
	"testing"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

// A device holds a private key of the standard library and shows its public half.
type device struct {
	public crypto.PublicKey
	sign   func(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error)
}

func (d *device) Public() crypto.PublicKey { return d.public }

func (d *device) SignContext(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return d.sign(ctx, digest, opts)
}

// A card is a device that knows nothing of contexts.
type card struct{ *device }

func (c card) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return c.sign(context.Background(), digest, opts)
}

func (card) SignContext() {} // of another signature: not a ContextSigner

// newDevice returns a device with the private key of k.
func newDevice(t testing.TB, k *jwk.Key) *device {
	t.Helper()
	private, err := k.CryptoPrivate()
	if err != nil {
		t.Fatal(err)
	}
	signer := private.(crypto.Signer)
	return &device{signer.Public(), func(_ context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
		return signer.Sign(rand.Reader, digest, opts)
	}}
}

func newOpaque(t testing.TB, signer any, alg jwk.Algorithm) *jwk.Key {
	t.Helper()
	k, err := jwk.New(signer, jwk.Params{Algorithm: alg, KeyID: "k"})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestOpaqueKeys(t *testing.T) {
	for _, alg := range asymmetric {
		local := accept(t, generated(t, alg))
		for _, signer := range []any{newDevice(t, local), card{newDevice(t, local)}} {
			k := newOpaque(t, signer, alg)
			if !k.IsPrivate() || k.IsSymmetric() || k.Thumbprint() != local.Thumbprint() {
				t.Errorf("%s: %v", alg, k)
			}
			input := []byte("input")
			sig := mustSign(t, k, input)
			far, err := k.SignContext(t.Context(), input)
			if err != nil {
				t.Fatal(err)
			}
			public, err := k.Public()
			if err != nil {
				t.Fatal(err)
			}
			for _, verifier := range []*jwk.Key{k, public, local} {
				if verifier.Verify(input, sig) != nil || verifier.Verify(input, far) != nil || verifier.Verify([]byte("other"), sig) == nil {
					t.Errorf("%s: %v", alg, verifier)
				}
			}
			if public.IsPrivate() {
				t.Errorf("%s: the public half is private", alg)
			}
		}
	}
}

// Only the signer has the private key: nothing can be written out.
func TestOpaqueKeysShowNothing(t *testing.T) {
	for _, alg := range asymmetric {
		local := accept(t, generated(t, alg))
		k := newOpaque(t, newDevice(t, local), alg)
		for name, f := range map[string]func() error{
			"MarshalPrivate":    func() error { _, err := k.MarshalPrivate(); return err },
			"MarshalPrivatePEM": func() error { _, err := k.MarshalPrivatePEM(); return err },
			"MarshalPrivateDER": func() error { _, err := k.MarshalPrivateDER(); return err },
			"CryptoPrivate":     func() error { _, err := k.CryptoPrivate(); return err },
		} {
			if err := f(); !errors.Is(err, jwk.ErrOpaque) {
				t.Errorf("%s: %s: %v", alg, name, err)
			}
		}
		own, err := k.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		public, _ := local.Public()
		want, err := public.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if alg != jwk.EdDSA && generated(t, alg)["kid"] == "k" && !bytes.Equal(own, want) {
			t.Errorf("%s: %s, want %s", alg, own, want)
		}
		refusePrivateMembers(t, alg, own)
		if pem, err := k.MarshalPEM(); err != nil || len(pem) == 0 {
			t.Errorf("%s: %v", alg, err)
		}
		set, err := jwk.NewSet(k)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := set.MarshalJSON(); !errors.Is(err, jwk.ErrPrivate) {
			t.Errorf("%s: published: %v", alg, err)
		}
	}
}

// What the signer is asked is what its interface says: the hash and its options,
// or the message where there is no hash.
func TestOpaqueKeyAsksRight(t *testing.T) {
	type key struct{}
	for _, alg := range asymmetric {
		d := newDevice(t, accept(t, generated(t, alg)))
		sign := d.sign
		d.sign = func(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			if ctx.Value(key{}) != "mine" {
				t.Errorf("%s: another context", alg)
			}
			if hash := opts.HashFunc(); hash == 0 && string(digest) != "input" || hash != 0 && len(digest) != hash.Size() {
				t.Errorf("%s: %d bytes for %v", alg, len(digest), hash)
			}
			pss, ok := opts.(*rsa.PSSOptions)
			if ok != (alg[:2] == "PS") || ok && (pss.SaltLength != rsa.PSSSaltLengthEqualsHash || pss.Hash.Size() != len(digest)) {
				t.Errorf("%s: options %v", alg, opts)
			}
			return sign(ctx, digest, opts)
		}
		k := newOpaque(t, d, alg)
		if _, err := k.SignContext(context.WithValue(t.Context(), key{}, "mine"), []byte("input")); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

func TestSignContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	local := accept(t, generated(t, jwk.ES256))
	d := newDevice(t, local)
	d.sign = func(ctx context.Context, _ []byte, _ crypto.SignerOpts) ([]byte, error) { return nil, ctx.Err() }
	for _, k := range []*jwk.Key{local, newOpaque(t, d, jwk.ES256), newOpaque(t, card{d}, jwk.ES256)} {
		if sig, err := k.SignContext(ctx, []byte("input")); !errors.Is(err, context.Canceled) || sig != nil {
			t.Errorf("%v", err)
		}
	}
	public, _ := local.Public()
	if _, err := public.SignContext(t.Context(), nil); !errors.Is(err, jwk.ErrNotPrivate) {
		t.Error(err)
	}
	kek := accept(t, generated(t, jwk.A256GCMKW))
	if _, err := kek.SignContext(t.Context(), nil); !errors.Is(err, jwk.ErrUse) {
		t.Error(err)
	}
}

// An answer that does not verify does not leave: not that of another key, not a
// damaged one, and not ECDSA in another spelling.
func TestOpaqueKeyWithABadAnswer(t *testing.T) {
	for _, alg := range asymmetric {
		d, other := newDevice(t, accept(t, generated(t, alg))), newDevice(t, accept(t, freshKey(t, alg)))
		good := d.sign
		for name, sign := range map[string]func(context.Context, []byte, crypto.SignerOpts) ([]byte, error){
			"of another key": other.sign,
			"empty":          func(context.Context, []byte, crypto.SignerOpts) ([]byte, error) { return nil, nil },
			"a bit flipped": func(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
				sig, err := good(ctx, digest, opts)
				sig[len(sig)-1] ^= 1
				return sig, err
			},
			"a byte behind": func(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
				sig, err := good(ctx, digest, opts)
				return append(sig, 0), err
			},
		} {
			d.sign = sign
			k := newOpaque(t, d, alg)
			if sig, err := k.Sign([]byte("input")); err == nil || sig != nil {
				t.Errorf("%s: %s: got out", alg, name)
			}
		}
	}
}

// freshKey is generated with RSA numbers of its own.
func freshKey(t testing.TB, alg jwk.Algorithm) fields {
	t.Helper()
	k, err := jwk.Generate(jwk.Params{Algorithm: alg})
	if err != nil {
		t.Fatal(err)
	}
	return fieldsOf(t, k)
}

func TestOpaqueKeyECDSASpellings(t *testing.T) {
	for alg, curve := range map[jwk.Algorithm]elliptic.Curve{jwk.ES256: elliptic.P256(), jwk.ES384: elliptic.P384(), jwk.ES512: elliptic.P521()} {
		d := newDevice(t, accept(t, generated(t, alg)))
		sign, n := d.sign, curve.Params().N
		type signature struct{ R, S *big.Int }
		for name, change := range map[string]func(s signature, der []byte) []byte{
			"r and s as in a JWS": func(s signature, _ []byte) []byte {
				size := (n.BitLen() + 7) / 8
				return append(s.R.FillBytes(make([]byte, size)), s.S.FillBytes(make([]byte, size))...)
			},
			"r + n":   func(s signature, _ []byte) []byte { return asn1Of(t, signature{new(big.Int).Add(s.R, n), s.S}) },
			"s + n":   func(s signature, _ []byte) []byte { return asn1Of(t, signature{s.R, new(big.Int).Add(s.S, n)}) },
			"-s":      func(s signature, _ []byte) []byte { return asn1Of(t, signature{s.R, new(big.Int).Neg(s.S)}) },
			"zero":    func(s signature, _ []byte) []byte { return asn1Of(t, signature{new(big.Int), s.S}) },
			"r alone": func(s signature, _ []byte) []byte { return asn1Of(t, struct{ R *big.Int }{s.R}) },
			"a third": func(s signature, _ []byte) []byte { return asn1Of(t, struct{ R, S, T *big.Int }{s.R, s.S, s.S}) },
			"long form": func(_ signature, der []byte) []byte {
				if der[1] >= 0x80 {
					return append([]byte{0x30, 0x82, 0}, der[2:]...)
				}
				return append([]byte{0x30, 0x81}, der[1:]...)
			},
			"padded": func(_ signature, der []byte) []byte { // one more zero before r
				at := 2 + int(der[1]>>7)
				der = bytes.Clone(der)
				der[at-1]++
				der[at+1]++
				return append(append(bytes.Clone(der[:at+2]), 0), der[at+2:]...)
			},
		} {
			d.sign = func(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
				der, err := sign(ctx, digest, opts)
				if err != nil {
					return nil, err
				}
				var s signature
				if _, err := asn1.Unmarshal(der, &s); err != nil {
					return nil, err
				}
				return change(s, der), nil
			}
			if sig, err := newOpaque(t, d, alg).Sign([]byte("input")); err == nil || sig != nil {
				t.Errorf("%s: %s: taken", alg, name)
			}
		}
		// Short numbers come out in full length.
		d.sign = sign
		k := newOpaque(t, d, alg)
		for range 300 {
			if sig := mustSign(t, k, []byte("input")); len(sig) != 2*((n.BitLen()+7)/8) {
				t.Fatalf("%s: %d bytes", alg, len(sig))
			}
			if alg != jwk.ES256 {
				break
			}
		}
	}
}

func asn1Of(t testing.TB, v any) []byte {
	t.Helper()
	der, err := asn1.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestNewRefusesOpaqueKeys(t *testing.T) {
	d := newDevice(t, accept(t, generated(t, jwk.ES256)))
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		signer any
		alg    jwk.Algorithm
		want   error
	}{
		"another curve": {d, jwk.ES384, jwk.ErrAlgorithm},
		"for RSA":       {d, jwk.RS256, jwk.ErrAlgorithm},
		"for HMAC":      {d, jwk.HS256, jwk.ErrAlgorithm},
		"for agreement": {d, jwk.ECDHES, jwk.ErrAlgorithm},
		"no public key": {&device{}, jwk.ES256, jwk.ErrAlgorithm},
		"itself":        {&device{public: &device{}}, jwk.ES256, jwk.ErrAlgorithm},
		"a secret":      {&device{public: []byte("01234567890123456789012345678901")}, jwk.HS256, jwk.ErrAlgorithm},
		"private":       {&device{public: new(ecdsa.PrivateKey)}, jwk.ES256, jwk.ErrAlgorithm},
		"a nil pointer": {&device{public: (*ecdsa.PublicKey)(nil)}, jwk.ES256, jwk.ErrAlgorithm},
		"weak":          {&device{public: &short.PublicKey}, jwk.RS256, jwk.ErrWeakKey},
		//lint:ignore SA1019 a key that crypto/ecdsa would not make
		"off the curve":   {&device{public: &ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)}}, jwk.ES256, jwk.ErrMalformed},
		"without numbers": {&device{public: &ecdsa.PublicKey{Curve: elliptic.P256()}}, jwk.ES256, jwk.ErrMalformed},
	} {
		if _, err := jwk.New(c.signer, jwk.Params{Algorithm: c.alg}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

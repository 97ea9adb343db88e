package jwk_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

// An exchanger holds a private key of crypto/ecdh and answers what agree says.
type exchanger struct {
	public *ecdh.PublicKey
	agree  func(*ecdh.PublicKey) ([]byte, error)
}

func (e *exchanger) PublicKey() *ecdh.PublicKey                { return e.public }
func (e *exchanger) Curve() ecdh.Curve                         { return e.public.Curve() }
func (e *exchanger) ECDH(peer *ecdh.PublicKey) ([]byte, error) { return e.agree(peer) }

// A decrypter holds a private key of crypto/rsa and answers what decrypt says.
type decrypter struct {
	public  crypto.PublicKey
	decrypt func(msg []byte, opts crypto.DecrypterOpts) ([]byte, error)
}

func (d *decrypter) Public() crypto.PublicKey { return d.public }

func (d *decrypter) Decrypt(_ io.Reader, msg []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	return d.decrypt(msg, opts)
}

// outside returns the private key of k as somebody else would hold it.
func outside(t testing.TB, k *jwk.Key) any {
	t.Helper()
	private, err := k.CryptoPrivate()
	if err != nil {
		t.Fatal(err)
	}
	if own, ok := private.(*ecdh.PrivateKey); ok {
		return &exchanger{own.PublicKey(), own.ECDH}
	}
	own := private.(crypto.Decrypter)
	return &decrypter{own.Public(), func(msg []byte, opts crypto.DecrypterOpts) ([]byte, error) {
		return own.Decrypt(nil, msg, opts)
	}}
}

// heldOutside are keys for alg: one on each curve that the algorithm leaves open.
func heldOutside(t testing.TB, alg jwk.Algorithm) (locals []*jwk.Key) {
	t.Helper()
	if alg == jwk.RSAOAEP || alg == jwk.RSAOAEP256 || alg == jwk.RSAOAEP384 || alg == jwk.RSAOAEP512 {
		return []*jwk.Key{accept(t, generated(t, alg))}
	}
	curves := []string{"P-256", "P-384", "P-521", "X25519"}
	if len(alg) > 5 && alg[:5] == "HPKE-" {
		curves = []string{""}
	}
	for _, crv := range curves {
		k, err := jwk.Generate(jwk.Params{Algorithm: alg, Curve: crv})
		if err != nil {
			t.Fatal(err)
		}
		locals = append(locals, k)
	}
	return locals
}

// wrapped makes a message key by the public half of k, and opens it again by k.
func wrapped(k, sender *jwk.Key) (cek []byte, open func(*jwk.Key) ([]byte, error), err error) {
	const enc = "A256GCM"
	switch {
	case k.Algorithm().Integrated():
		encapsulated, sealed, err := sender.SealIntegrated([]byte("content"), nil)
		return []byte("content"), func(k *jwk.Key) ([]byte, error) { return k.OpenIntegrated(encapsulated, sealed, nil) }, err
	case k.Direct():
		cek, w, err := sender.AgreeKey(enc, jwk.WrapParams{})
		return cek, func(k *jwk.Key) ([]byte, error) { return k.AgreedKey(enc, w) }, err
	}
	cek = bytes.Repeat([]byte{7}, 32)
	w, err := sender.WrapKey(cek, jwk.WrapParams{Encryption: enc})
	return cek, func(k *jwk.Key) ([]byte, error) { return k.UnwrapKey(w) }, err
}

var openedOutside = append([]jwk.Algorithm{"HPKE-0", "HPKE-1", "HPKE-2", "HPKE-3", "HPKE-4", "HPKE-7", "HPKE-0-KE", "HPKE-4-KE"}, encryptingPairs...)

func TestKeysThatOpenOutside(t *testing.T) {
	for _, alg := range openedOutside {
		for _, local := range heldOutside(t, alg) {
			far := newOpaque(t, outside(t, local), alg)
			public, err := far.Public()
			if err != nil {
				t.Fatal(err)
			}
			if !far.IsPrivate() || public.IsPrivate() || far.Thumbprint() != local.Thumbprint() {
				t.Errorf("%s: %v", alg, far)
			}
			cek, open, err := wrapped(far, public)
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range []*jwk.Key{far, local} {
				if got, err := open(k); err != nil || !bytes.Equal(got, cek) {
					t.Errorf("%s: %x, %v", alg, got, err)
				}
			}
			if _, err := open(public); !errors.Is(err, jwk.ErrNotPrivate) {
				t.Errorf("%s: the public half: %v", alg, err)
			}
		}
	}
}

func TestKeysThatOpenOutsideShowNothing(t *testing.T) {
	for _, alg := range openedOutside {
		for _, local := range heldOutside(t, alg) {
			far := newOpaque(t, outside(t, local), alg)
			if _, err := far.MarshalPrivate(); !errors.Is(err, jwk.ErrOpaque) {
				t.Errorf("%s: MarshalPrivate: %v", alg, err)
			}
			if _, err := far.MarshalPrivatePEM(); !errors.Is(err, jwk.ErrOpaque) {
				t.Errorf("%s: MarshalPrivatePEM: %v", alg, err)
			}
			if _, err := far.CryptoPrivate(); !errors.Is(err, jwk.ErrOpaque) {
				t.Errorf("%s: CryptoPrivate: %v", alg, err)
			}
			own, err := far.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			refusePrivateMembers(t, alg, own)
		}
	}
}

// A holder that cannot be asked says nothing about the message; any other trouble
// of his could, and is not told apart.
func TestHolderThatDoesNotAnswer(t *testing.T) {
	away := fmt.Errorf("unplugged: %w", jwk.ErrUnavailable)
	for _, alg := range openedOutside {
		local := heldOutside(t, alg)[0]
		public, err := local.Public()
		if err != nil {
			t.Fatal(err)
		}
		_, open, err := wrapped(local, public)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct{ answer, want error }{{away, jwk.ErrUnavailable}, {errors.New("padding"), jwk.ErrUnwrap}} {
			holder := outside(t, local)
			switch h := holder.(type) {
			case *exchanger:
				h.agree = func(*ecdh.PublicKey) ([]byte, error) { return nil, c.answer }
			case *decrypter:
				h.decrypt = func([]byte, crypto.DecrypterOpts) ([]byte, error) { return nil, c.answer }
			}
			if _, err := open(newOpaque(t, holder, alg)); !errors.Is(err, c.want) || errors.Is(err, c.answer) != (c.answer == away) {
				t.Errorf("%s: %v, want %v", alg, err, c.want)
			}
		}
	}
}

// An agreed secret without its leading zeros would be another key, and that of a
// point of low order is known to everybody.
func TestHolderThatAgreesWrong(t *testing.T) {
	for _, alg := range []jwk.Algorithm{jwk.ECDHESA256KW, jwk.ECDHES, "HPKE-3"} {
		local, err := jwk.Generate(jwk.Params{Algorithm: alg, Curve: "X25519"})
		if err != nil {
			t.Fatal(err)
		}
		public, err := local.Public()
		if err != nil {
			t.Fatal(err)
		}
		_, open, err := wrapped(local, public)
		if err != nil {
			t.Fatal(err)
		}
		for _, answer := range [][]byte{nil, make([]byte, 32), bytes.Repeat([]byte{1}, 31), bytes.Repeat([]byte{1}, 33)} {
			holder := outside(t, local).(*exchanger)
			holder.agree = func(*ecdh.PublicKey) ([]byte, error) { return answer, nil }
			if _, err := open(newOpaque(t, holder, alg)); !errors.Is(err, jwk.ErrUnwrap) {
				t.Errorf("%s: %d bytes: %v", alg, len(answer), err)
			}
		}
	}
}

func TestNewRefusesHolders(t *testing.T) {
	ec := outside(t, heldOutside(t, jwk.ECDHESA256KW)[0])
	rsa := outside(t, heldOutside(t, jwk.RSAOAEP)[0])
	signer := card{newDevice(t, accept(t, generated(t, jwk.ES256)))}
	for _, c := range []struct {
		what   string
		holder any
		alg    jwk.Algorithm
	}{
		{"an agreement that signs", ec, jwk.ES256},
		{"an agreement for RSA", ec, jwk.RSAOAEP},
		{"a decrypter that signs", rsa, jwk.RS256},
		{"a decrypter that agrees", rsa, jwk.ECDHES},
		{"a signer that agrees", signer, jwk.ECDHES},
		{"a signer that decrypts", signer, jwk.RSAOAEP},
		{"an agreement as a secret", ec, jwk.A256GCMKW},
		{"a curve of another suite", ec, "HPKE-3"},
		{"no public key", &exchanger{}, jwk.ECDHES},
		{"no public key", &decrypter{}, jwk.RSAOAEP},
		{"another public key", &decrypter{public: signer.public}, jwk.RSAOAEP},
	} {
		if k, err := jwk.New(c.holder, jwk.Params{Algorithm: c.alg}); !errors.Is(err, jwk.ErrAlgorithm) {
			t.Errorf("%s: %v, %v", c.what, k, err)
		}
	}
}

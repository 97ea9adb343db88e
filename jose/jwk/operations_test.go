package jwk_test

import (
	"slices"
	"testing"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

func TestThreat35WrongUse(t *testing.T) {
	for _, alg := range all {
		f := generated(t, alg)
		right, wrong := "sig", "enc"
		if slices.Contains(encrypting, alg) {
			right, wrong = wrong, right
		}
		accept(t, f.without("use"))
		accept(t, f.with("use", right))
		for _, use := range []string{wrong, "SIG", "signature", "tls"} {
			refuse(t, f.with("use", use), jwk.ErrUse)
		}
	}
	// An EC key for encryption implies no signing algorithm either.
	refuse(t, generated(t, jwk.ES256).without("alg").with("use", "enc"), jwk.ErrUnsupported)
}

func TestThreat35WrongKeyOps(t *testing.T) {
	for _, alg := range signing {
		f := generated(t, alg)
		for _, ops := range [][]string{
			{}, {"encrypt"}, {"wrapKey"}, {"sign", "decrypt"}, {"verify", "wrapKey"}, {"deriveKey"}, {"sign", "deriveBits"}, {"Sign"}, {"other"},
		} {
			refuse(t, f.with("key_ops", ops), jwk.ErrUse)
		}
		refuse(t, f.with("key_ops", []string{"sign", "sign"}), jwk.ErrMalformed)
		for _, bad := range []any{"sign", nil, 1, fields{"sign": true}, []any{"sign", 1}, []any{"sign", []string{}}} {
			refuse(t, f.with("key_ops", bad), jwk.ErrMalformed)
		}
	}
	refuse(t, generated(t, jwk.ES256).public().with("key_ops", []string{"sign"}), jwk.ErrUse)
	for _, ops := range [][]string{{}, {"sign"}, {"verify", "wrapKey"}, {"encrypt", "sign"}} {
		refuse(t, generated(t, jwk.A256GCMKW).with("key_ops", ops), jwk.ErrUse)
	}
}

func TestThreat35KeyOpsAtEachOperation(t *testing.T) {
	f := generated(t, jwk.ES256).without("use")
	signer := accept(t, f.with("key_ops", []string{"sign"}))
	verifier := accept(t, f.with("key_ops", []string{"verify", "extension"}))
	sig := mustSign(t, signer, input)
	if err := verifier.Verify(input, sig); err != nil {
		t.Error(err)
	}
	if err := signer.Verify(input, sig); err != jwk.ErrUse {
		t.Errorf("a key for signing verified: %v", err)
	}
	if sig, err := verifier.Sign(input); sig != nil || err != jwk.ErrUse {
		t.Errorf("a key for verifying signed: %v", err)
	}
	pub, err := signer.Public()
	if err != nil {
		t.Fatal(err)
	}
	if err := pub.Verify(input, sig); err != nil {
		t.Errorf("the public half of a key for signing: %v", err)
	}
	for _, k := range []*jwk.Key{signer, pub, verifier} {
		again := accept(t, fieldsOf(t, k))
		if (again.Verify(input, sig) == nil) != (k.Verify(input, sig) == nil) {
			t.Error("key_ops were lost on the way")
		}
		if fieldsOf(t, k)["use"] != nil { // RFC 7517, Section 4.3
			t.Error("use beside key_ops")
		}
	}
}

// What a key for A*KW is labelled with differs from one maker to the next.
func TestThreat126KeyOpsOfWrappingKeys(t *testing.T) {
	f := generated(t, jwk.A256GCMKW).without("use")
	if f["key_ops"] != nil || generated(t, jwk.HS256)["key_ops"] != nil {
		t.Error("a generated key carries key_ops")
	}
	cek := make([]byte, 32)
	for _, ops := range [][]string{{"wrapKey", "unwrapKey"}, {"encrypt", "decrypt"}, {"encrypt", "decrypt", "wrapKey", "unwrapKey"}} {
		k := accept(t, f.with("key_ops", ops))
		w, err := k.WrapKey(cek, jwk.WrapParams{})
		if err != nil {
			t.Fatalf("%v: %v", ops, err)
		}
		if _, err := k.UnwrapKey(w); err != nil {
			t.Errorf("%v: %v", ops, err)
		}
	}
	w, _ := accept(t, f).WrapKey(cek, jwk.WrapParams{})
	for _, op := range []string{"wrapKey", "encrypt"} {
		if _, err := accept(t, f.with("key_ops", []string{op})).UnwrapKey(w); err != jwk.ErrUse {
			t.Errorf("%s unwrapped: %v", op, err)
		}
	}
	for _, op := range []string{"unwrapKey", "decrypt"} {
		if _, err := accept(t, f.with("key_ops", []string{op})).WrapKey(cek, jwk.WrapParams{}); err != jwk.ErrUse {
			t.Errorf("%s wrapped: %v", op, err)
		}
	}
}

package jwe_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// shared is a key and an Encrypter that several goroutines use at once.
type shared struct {
	*jwe.Encrypter
	key    *jwk.Key
	policy jwe.Policy
}

func newShared(t testing.TB, alg jwk.Algorithm, enc jwe.Encryption) shared {
	key := generate(t, jwk.Params{Algorithm: alg})
	return shared{encrypter(t, key, enc, jwe.Header{}), key, jwe.Policy{Algorithm: alg, Encryption: enc}}
}

// pass sends text through both serializations. What it returns belongs to the
// caller: every other element must stay equal to the one before.
func (s shared) pass(t *testing.T, text []byte) (out [][]byte) {
	token, err := s.Encrypt(text)
	if err != nil {
		t.Error(err)
		return nil
	}
	m, err := jwe.DecryptMessage(s.key, s.policy, token)
	if err != nil {
		t.Error(err)
		return nil
	}
	data, err := jwe.EncryptJSON(text, []byte("aad"), s.Encrypter)
	if err != nil {
		t.Error(err)
		return nil
	}
	j, err := jwe.DecryptJSON(s.key, s.policy, data)
	if err != nil {
		t.Error(err)
		return nil
	}
	return [][]byte{text, m.Plaintext(), text, j.Plaintext(), []byte("aad"), j.AAD(), bytes.Clone(data), data}
}

// Memory is used again from one message to the next: nothing that a caller was
// given may change behind his back.
func TestConcurrentUse(t *testing.T) {
	var all []shared
	for _, alg := range []jwk.Algorithm{jwk.Dir, jwk.A128KW, jwk.A256GCMKW, jwk.ECDHES, jwk.ECDHESA128KW} {
		all = append(all, newShared(t, alg, jwe.A256GCM), newShared(t, alg, jwe.A128CBCHS256))
	}
	all = append(all, newShared(t, "HPKE-0", ""))
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			var pairs [][]byte
			for i := range 3 * len(all) {
				text := bytes.Repeat(fmt.Appendf(nil, "%d of %d.", i, g), 1+5*i)
				pairs = append(pairs, all[(g+i)%len(all)].pass(t, text)...)
			}
			for i := 0; i < len(pairs); i += 2 {
				if !bytes.Equal(pairs[i], pairs[i+1]) {
					t.Errorf("%.30q became %.30q", pairs[i], pairs[i+1])
				}
			}
		})
	}
	wg.Wait()
}

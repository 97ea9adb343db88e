package jwe_test

import (
	"crypto/ecdh"
	"errors"
	"fmt"
	"testing"

	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// A module holds a private key and, while it is plugged in, agrees by it.
type module struct {
	*ecdh.PrivateKey
	away bool
}

func (m *module) ECDH(peer *ecdh.PublicKey) ([]byte, error) {
	if m.away {
		return nil, fmt.Errorf("no token in the slot: %w", jwk.ErrUnavailable)
	}
	return m.PrivateKey.ECDH(peer)
}

// "Try again later" is another answer than "not for this key": whoever keeps keys
// under a key in a module must not take the one for the other.
func TestModuleThatIsAway(t *testing.T) {
	for _, alg := range []jwk.Algorithm{jwk.ECDHES, jwk.ECDHESA256KW} {
		held, err := generate(t, jwk.Params{Algorithm: alg}).CryptoPrivate()
		if err != nil {
			t.Fatal(err)
		}
		m := &module{PrivateKey: held.(*ecdh.PrivateKey)}
		key, err := jwk.New(m, jwk.Params{Algorithm: alg, KeyID: "kek"})
		if err != nil {
			t.Fatal(err)
		}
		token := encrypt(t, key, []byte(secret))
		p := jwe.Policy{Algorithm: alg, Encryption: jwe.A256GCM}
		if got, err := jwe.Decrypt(key, p, token); err != nil || string(got) != secret {
			t.Errorf("%s: %q, %v", alg, got, err)
		}
		m.away = true
		if _, err := jwe.Decrypt(key, p, token); !errors.Is(err, jwk.ErrUnavailable) || errors.Is(err, jwe.ErrDecrypt) {
			t.Errorf("%s: away: %v", alg, err)
		}
	}
}

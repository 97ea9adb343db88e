package verifier_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/verifier"
)

// Issuers such as Microsoft Entra publish RSA keys that do not say their
// algorithm. A verifier that takes one algorithm of RSA says it for them.
func TestKeysWithoutAlgorithm(t *testing.T) {
	key := generate(t, jwk.RS256)
	bubble(t, func(t *testing.T, o *origin) {
		o.set(func() { o.signing, o.noFeed = []*jwk.Key{key}, true })
		bare := strings.Replace(string(o.jwks()), `,"alg":"RS256"`, "", 1)
		o.door("/jwks", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(bare)) })
		token := o.token(t, claims{"rsq": nil})
		for _, algorithms := range [][]jwk.Algorithm{{jwk.RS256}, {jwk.ES256, jwk.RS256}} {
			told := o.ready(t, func(c *verifier.Config) { c.Algorithms = algorithms })
			if err := verify(t, told, token); err != nil {
				t.Errorf("%v: %v", algorithms, err)
			}
		}
		for _, algorithms := range [][]jwk.Algorithm{nil, {jwk.RS256, jwk.PS256}} {
			v := o.verifier(t, func(c *verifier.Config) { c.Algorithms = algorithms })
			if err := verify(t, v, token); !errors.Is(err, jwk.ErrUnknownKey) {
				t.Errorf("%v: %v", algorithms, err)
			}
		}
	})
}

package hpke_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwe/hpke"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// Two examples of draft-ietf-jose-hpke-encrypt, one for each mode: messages that
// were made elsewhere.
func TestExamplesOfTheDraft(t *testing.T) {
	data, err := os.ReadFile("testdata/draft-examples.json")
	if err != nil {
		t.Fatal(err)
	}
	var examples []struct {
		Alg     jwk.Algorithm
		JWK     json.RawMessage
		Compact string
	}
	if err := json.Unmarshal(data, &examples); err != nil {
		t.Fatal(err)
	}
	encryptions := map[jwk.Algorithm]jwe.Encryption{hpke.HPKE0: hpke.Integrated, hpke.HPKE3KE: jwe.A128GCM}
	for _, example := range examples {
		key, err := jwk.Parse(example.JWK)
		if err != nil {
			t.Fatalf("%s: %v", example.Alg, err)
		}
		policy := jwe.Policy{Algorithm: example.Alg, Encryption: encryptions[example.Alg]}
		plaintext, err := jwe.Decrypt(key, policy, example.Compact)
		if err != nil {
			t.Errorf("%s: %v", example.Alg, err)
			continue
		}
		if !strings.HasPrefix(string(plaintext), "You can trust us") {
			t.Errorf("%s: opened to another text", example.Alg)
		}
	}
	if len(examples) != len(encryptions) {
		t.Errorf("%d examples, want %d", len(examples), len(encryptions))
	}
}

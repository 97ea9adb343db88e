package jwe_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/counterfoil/counterfoil/jose/jwe"
)

// FuzzHeader encrypts under whatever header it is given. A message that opens says
// by the ordinary, looser decoder too what the policy wants, twice the same.
func FuzzHeader(f *testing.F) {
	d := newDirect(f)
	for _, header := range []string{
		`{"alg":"dir","enc":"A256GCM"}`, `{"enc":"A256GCM","kid":"","alg":"dir","x":[{"y":null}]}`, `{"alg":"dir","enc":"A256GCM","crit":["x"],"x":1}`,
		`{"alg":"dir","alg":"dir","enc":"A256GCM"}`, `{"\u0061lg":"dir","enc":"A256GCM"}`, `{"ALG":"dir","enc":"A256GCM"}`, `{"alg":"dir","enc":"A256GCM","zip":"DEF"}`,
		`{"alg":"dir","enc":"A256GCM","p2c":1000,"epk":{},"iv":"AA","tag":"AA","apu":"QQ"}`,
	} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		token := sealGCM(t, d.secret, header, "", []byte(secret)).compact()
		m, err := jwe.DecryptMessage(d, directPolicy, token)
		if err != nil {
			if m != nil || errors.Is(err, jwe.ErrDecrypt) {
				t.Fatalf("%q: %v", header, err)
			}
			return
		}
		var members map[string]any
		if err := json.Unmarshal([]byte(header), &members); err != nil || members["alg"] != "dir" || members["enc"] != "A256GCM" {
			t.Fatalf("opened under %q: %v", header, err)
		}
		for _, name := range []string{"crit", "zip"} {
			if _, ok := members[name]; ok {
				t.Fatalf("opened under %q", header)
			}
		}
		again, err := jwe.DecryptMessage(d, directPolicy, token)
		if err != nil || string(again.Plaintext()) != secret || again.Header().KeyID != m.Header().KeyID || again.Header().Type != m.Header().Type {
			t.Fatalf("%q: not the same again: %v", header, err)
		}
	})
}

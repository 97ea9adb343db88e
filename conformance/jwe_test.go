package conformance_test

import (
	"encoding/hex"
	"encoding/json"
	"testing"

	"github.com/counterfoil/counterfoil/conformance"
	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// sealing is all that package jwe does so far.
var sealing = jwe.Policy{Algorithm: jwk.A256GCMKW, Encryption: jwe.A256GCM}

// Vectors for what jwe does must come out as published; all others, valid or not,
// must be refused.
func TestWycheproofEncryption(t *testing.T) {
	passed, refused := 0, 0
	for _, path := range []string{"wycheproof/json_web_encryption_test.json", "wycheproof/json_web_crypto_test.json"} {
		var file struct {
			TestGroups []struct {
				Private json.RawMessage
				Tests   []struct {
					TcID            int
					JWE             serialized
					PT              string
					Result, Comment string
				}
			}
		}
		conformance.ReadVectors(t, path, &file)
		for _, group := range file.TestGroups {
			key, keyErr := jwk.Parse(group.Private)
			for _, test := range group.Tests {
				if test.JWE == "" {
					continue
				}
				err := keyErr
				var plaintext []byte
				if err == nil {
					plaintext, err = jwe.Decrypt(key, sealing, string(test.JWE))
				}
				switch want := test.Result == "valid" && isSealing(string(test.JWE)); {
				case want != (err == nil):
					t.Errorf("%s %d, %s: want %s, got %v", path, test.TcID, test.Comment, test.Result, err)
				case want && hex.EncodeToString(plaintext) != test.PT:
					t.Errorf("%s %d: %x, want %s", path, test.TcID, plaintext, test.PT)
				case want:
					passed++
				default:
					refused++
				}
			}
		}
	}
	t.Logf("%d vectors for A256GCMKW with A256GCM opened, %d others refused", passed, refused)
	if passed == 0 {
		t.Error("no vectors")
	}
}

// isSealing reports whether the header of a compact JWE names our two algorithms.
func isSealing(token string) bool {
	for i := range len(token) {
		if token[i] != '.' {
			continue
		}
		var h struct{ Alg, Enc string }
		data, err := wire.Decode(token[:i])
		return err == nil && json.Unmarshal(data, &h) == nil &&
			h.Alg == string(sealing.Algorithm) && h.Enc == string(sealing.Encryption)
	}
	return false
}

// RFC 7520, Section 5.7, wraps with A256GCMKW a key for a content encryption that
// is not here yet: the wrapping can be checked by itself.
func TestCookbookKeyWrap(t *testing.T) {
	var v struct {
		Input     struct{ Key json.RawMessage }
		Generated struct{ CEK string }
		Wrapped   struct {
			IV, Tag string
			Key     string `json:"encrypted_key"`
		} `json:"encrypting_key"`
	}
	conformance.ReadVectors(t, "cookbook/jwe/5_7.key_wrap_using_aes-gcm_keywrap_with_aes-cbc-hmac-sha2.json", &v)
	key, err := jwk.Parse(v.Input.Key)
	if err != nil {
		t.Fatal(err)
	}
	cek, err := key.UnwrapKey(jwk.Wrapped{Key: decode(t, v.Wrapped.Key), IV: decode(t, v.Wrapped.IV), Tag: decode(t, v.Wrapped.Tag)})
	if err != nil || wire.Encode(cek) != v.Generated.CEK {
		t.Errorf("%s, %v", wire.Encode(cek), err)
	}
}

func decode(t *testing.T, s string) []byte {
	t.Helper()
	b, err := wire.Decode(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

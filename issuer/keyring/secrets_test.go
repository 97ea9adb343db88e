package keyring_test

import (
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// raw connects to a SQLite file beside the store.
func raw(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// privates lists the private parts of a ring, and of further keys, in each form in
// which a careless print would show them.
func privates(t testing.TB, ring *keyring.Keyring, more ...*jwk.Key) map[string]string {
	t.Helper()
	leaks := map[string]string{}
	_, mac := ring.CurrentRefreshKey()
	forms(leaks, "the refresh key", mac)
	forms(leaks, "the feed's secret", ring.HandleSecret())
	for _, alg := range ring.Algorithms() {
		s, err := ring.Signer(alg)
		if err != nil {
			t.Fatal(err)
		}
		more = append(more, s.Key())
	}
	for i, key := range append(more, ring.FeedKey()) {
		data, err := key.MarshalPrivate()
		if err != nil {
			t.Fatal(err)
		}
		var members map[string]any
		if err := json.Unmarshal(data, &members); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"d", "k"} {
			if text, ok := members[name].(string); ok {
				b, err := base64.RawURLEncoding.DecodeString(text)
				if err != nil {
					t.Fatal(err)
				}
				forms(leaks, fmt.Sprintf("%s of key %d (%s)", name, i, key.Algorithm()), b)
			}
		}
	}
	return leaks
}

// forms adds the first bytes of a secret as text, hex, base64 and lists of numbers.
func forms(leaks map[string]string, what string, secret []byte) {
	b := secret[:12]
	leaks[what+" as it is"] = string(b)
	leaks[what+" in hex"] = hex.EncodeToString(b)
	leaks[what+" in capital hex"] = strings.ToUpper(hex.EncodeToString(b))
	leaks[what+" in base64url"] = base64.RawURLEncoding.EncodeToString(b)
	leaks[what+" in base64"] = base64.RawStdEncoding.EncodeToString(b)
	leaks[what+" as numbers"] = strings.Trim(fmt.Sprint(b), "[]")
	leaks[what+" in Go"] = strings.Trim(fmt.Sprintf("%#v", b), "[]byte{}")
	leaks[what+" in JSON"] = strings.ReplaceAll(strings.Trim(fmt.Sprint(b), "[]"), " ", ",")
}

// panicked returns what is printed when somebody panics with a value.
func panicked(v any) (text string) {
	defer func() { text = fmt.Sprint(recover()) }()
	panic(v)
}

// secretIn returns the bytes of a sealed secret that is no key of JOSE.
func secretIn(t testing.TB, plain []byte) []byte {
	t.Helper()
	var secret struct {
		K string `json:"k"`
	}
	if err := json.Unmarshal(plain, &secret); err != nil {
		t.Fatal(err)
	}
	b, err := base64.RawURLEncoding.DecodeString(secret.K)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

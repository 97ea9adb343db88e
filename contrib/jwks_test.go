package contrib_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/counterfoil/counterfoil/contrib/es256k"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwks"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// A set somewhere else has a key for ES256K: it is used where the configuration
// names the extension, and left out where it does not.
func TestRemoteSet(t *testing.T) {
	key, err := jwk.Generate(jwk.Params{Algorithm: es256k.Algorithm, Extensions: extensions})
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	token, err := jws.Sign(key, jws.Header{}, []byte("to whom it may concern"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jwk-set+json")
		w.Write([]byte(`{"keys":[` + string(public) + `]}`))
	}))
	defer server.Close()
	for _, list := range [][]jwk.Extension{nil, extensions} {
		remote, err := jwks.Open(jwks.Config{URL: server.URL, Extensions: list})
		if err != nil {
			t.Fatal(err)
		}
		defer remote.Close()
		<-remote.Loaded()
		if _, err := jws.Verify(remote, token); (err == nil) != (list != nil) {
			t.Errorf("with %d extensions: %v", len(list), err)
		}
	}
}

func TestRemoteSetWithTwoExtensionsForOneAlgorithm(t *testing.T) {
	twice := []jwk.Extension{es256k.Extension(), es256k.Extension()}
	if r, err := jwks.Open(jwks.Config{URL: "http://127.0.0.1:1", Extensions: twice}); err == nil {
		r.Close()
		t.Error("opened")
	}
}

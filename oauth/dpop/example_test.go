package dpop_test

import (
	"fmt"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/jose/jwt"
	"github.com/counterfoil/counterfoil/oauth/dpop"
)

// A token endpoint learns the key to which it will bind the access token.
func ExampleVerify() {
	// The client: a key of its own, and a proof for one request.
	key, err := jwk.Generate(jwk.Params{Algorithm: jwk.ES256})
	if err != nil {
		panic(err)
	}
	proof, err := prove(key, "POST", "https://id.example/token")
	if err != nil {
		panic(err)
	}

	// The server.
	policy := dpop.Policy{Now: time.Now}
	got, err := dpop.Verify(policy, dpop.Request{Method: "POST", URL: "https://id.example/token", TokenEndpoint: true}, proof)
	if err != nil {
		panic(err)
	}
	fmt.Println("cnf.jkt is that of the client's key:", got.Thumbprint() == key.Thumbprint())

	// The same proof at another place, with the access token that it led to.
	_, err = dpop.Verify(policy, dpop.Request{
		Method: "GET", URL: "https://rs.example/orders", AccessToken: "Kz~8mXK1EalYznwH", Thumbprint: got.Thumbprint(),
	}, proof)
	fmt.Println(dpop.ErrorCode(err), "-", err)
	// Output:
	// cnf.jkt is that of the client's key: true
	// invalid_dpop_proof - htm is not the method of the request
}

// prove is what a client does for each of its requests.
func prove(key *jwk.Key, method, url string) (string, error) {
	public, err := key.Public()
	if err != nil {
		return "", err
	}
	header, err := jws.Header{Type: jwt.TypeDPoPProof}.With("jwk", public)
	if err != nil {
		return "", err
	}
	payload := fmt.Appendf(nil, `{"jti":%q,"htm":%q,"htu":%q,"iat":%d}`, "e1j3V_bKic8-LAEB", method, url, time.Now().Unix())
	return jws.Sign(key, header, payload)
}

package statuslist_test

import (
	"fmt"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
	"github.com/counterfoil/counterfoil/oauth/statuslist"
)

// An issuer takes one of its tokens back; whoever holds the list sees it.
func Example() {
	key, err := jwk.Generate(jwk.Params{Algorithm: jwk.ES256})
	if err != nil {
		panic(err)
	}
	token, err := publish(key, "https://id.example/status/1", 7)
	if err != nil {
		panic(err)
	}

	policy := statuslist.Policy{URI: "https://id.example/status/1", Now: time.Now}
	list, err := statuslist.Verify(policy, key, token)
	if err != nil {
		panic(err)
	}
	for _, index := range []int{6, 7, 1 << 20} {
		fmt.Println(index, list.At(index) == statuslist.Valid)
	}
	// Output:
	// 6 true
	// 7 false
	// 1048576 false
}

// publish signs a list in which one token is invalid.
func publish(key *jwk.Key, uri string, revoked int) (string, error) {
	list, err := statuslist.New(1, 1000)
	if err != nil {
		return "", err
	}
	if err := list.Set(revoked, statuslist.Invalid); err != nil {
		return "", err
	}
	return jwt.Sign(key, jwt.TypeStatusListToken, jwt.Claims{
		Subject: uri, IssuedAt: time.Now(), Expiry: time.Now().Add(time.Hour),
	}, map[string]any{"ttl": 600, "status_list": list})
}

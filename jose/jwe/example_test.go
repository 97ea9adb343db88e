package jwe_test

import (
	"errors"
	"fmt"
	"log"

	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

func Example() {
	key, err := jwk.Generate(jwk.Params{Algorithm: jwk.A256GCMKW})
	if err != nil {
		log.Fatal(err)
	}
	sealed, err := jwe.Encrypt(key, jwe.A256GCM, "text/plain", []byte("for your eyes only"))
	if err != nil {
		log.Fatal(err)
	}
	plaintext, err := jwe.Decrypt(key, jwe.Policy{Algorithm: jwk.A256GCMKW, Encryption: jwe.A256GCM}, sealed)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", plaintext)
	// Output: for your eyes only
}

// A sender has only the public half of the recipient's key.
func ExampleNewEncrypter() {
	recipient, err := jwk.Generate(jwk.Params{Algorithm: jwk.ECDHES, Curve: "X25519", KeyID: "2026-01"})
	if err != nil {
		log.Fatal(err)
	}
	public, err := recipient.Public()
	if err != nil {
		log.Fatal(err)
	}
	to, err := jwe.NewEncrypter(public, jwe.A256GCM, jwe.Header{ContentType: "application/json"})
	if err != nil {
		log.Fatal(err)
	}
	for _, text := range []string{`{"a":1}`, `{"a":2}`} {
		sealed, err := to.Encrypt([]byte(text))
		if err != nil {
			log.Fatal(err)
		}
		m, err := jwe.DecryptMessage(recipient, jwe.Policy{Algorithm: jwk.ECDHES, Encryption: jwe.A256GCM}, sealed)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s for %s: %s\n", m.Header().ContentType, m.Header().KeyID, m.Plaintext())
	}
	// Output:
	// application/json for 2026-01: {"a":1}
	// application/json for 2026-01: {"a":2}
}

// One message for several, each with another kind of key.
func ExampleEncryptJSON() {
	var keys []*jwk.Key
	var recipients []*jwe.Encrypter
	for _, p := range []jwk.Params{
		{Algorithm: jwk.ECDHESA256KW, KeyID: "alice"},
		{Algorithm: jwk.RSAOAEP256, KeyID: "bob"},
		{Algorithm: jwk.A256KW, KeyID: "carol"},
	} {
		key, err := jwk.Generate(p)
		if err != nil {
			log.Fatal(err)
		}
		to, err := jwe.NewEncrypter(key, jwe.A256GCM, jwe.Header{})
		if err != nil {
			log.Fatal(err)
		}
		keys, recipients = append(keys, key), append(recipients, to)
	}
	data, err := jwe.EncryptJSON([]byte("dinner at eight"), []byte("invitation"), recipients...)
	if err != nil {
		log.Fatal(err)
	}
	for _, key := range keys {
		p := jwe.Policy{Algorithm: key.Algorithm(), Encryption: jwe.A256GCM}
		m, err := jwe.DecryptJSON(key, p, data)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s, recipient %d, %s: %s\n", key.KeyID(), m.Recipient(), m.AAD(), m.Plaintext())
	}
	// Output:
	// alice, recipient 0, invitation: dinner at eight
	// bob, recipient 1, invitation: dinner at eight
	// carol, recipient 2, invitation: dinner at eight
}

// A password is read only where the policy says how much work it may cost.
func ExamplePolicy_password() {
	password := []byte("correct horse battery staple")
	key, err := jwk.New(password, jwk.Params{Algorithm: jwk.PBES2HS256A128KW})
	if err != nil {
		log.Fatal(err)
	}
	sealed, err := jwe.Encrypt(key, jwe.A128GCM, "", []byte("backup"))
	if err != nil {
		log.Fatal(err)
	}
	policy := jwe.Policy{Algorithm: jwk.PBES2HS256A128KW, Encryption: jwe.A128GCM}
	_, err = jwe.Decrypt(key, policy, sealed)
	fmt.Println(errors.Is(err, jwe.ErrIterations))

	policy.MaxIterations = jwe.MaxIterations
	plaintext, err := jwe.Decrypt(key, policy, sealed)
	fmt.Printf("%s %v\n", plaintext, err)
	// Output:
	// true
	// backup <nil>
}

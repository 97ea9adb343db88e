package jwk_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"log"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// A kms stands for the client of a key management service: it has the public key,
// and asks the service for signatures, which come back in ASN.1.
type kms struct {
	public crypto.PublicKey
	call   func(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error)
}

func (k *kms) Public() crypto.PublicKey { return k.public }

func (k *kms) SignContext(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return k.call(ctx, digest, opts)
}

// dialKMS plays the service as well.
func dialKMS() (*kms, error) {
	far, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return &kms{far.Public(), func(_ context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
		return far.Sign(rand.Reader, digest, opts)
	}}, nil
}

// A private key that never leaves its service. What a crypto.Signer holds, such as
// a token of PKCS #11, goes the same way.
func ExampleContextSigner() {
	service, err := dialKMS()
	if err != nil {
		log.Fatal(err)
	}
	key, err := jwk.New(service, jwk.Params{Algorithm: jwk.ES256, KeyID: "kms-2026-01"})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background() // of the request: the service is far away
	signer, err := jws.NewSigner(key, jws.Header{Type: "greeting"})
	if err != nil {
		log.Fatal(err)
	}
	token, err := signer.SignContext(ctx, []byte("hello"))
	if err != nil {
		log.Fatal(err)
	}
	public, err := key.Public()
	if err != nil {
		log.Fatal(err)
	}
	message, err := jws.Verify(public, token)
	if err != nil {
		log.Fatal(err)
	}
	_, err = key.MarshalPrivate()
	fmt.Printf("%s by %s\n%v\n", message.Payload(), message.Key().KeyID(), err)
	// Output:
	// hello by kms-2026-01
	// jwk: the private key is held outside this process
}

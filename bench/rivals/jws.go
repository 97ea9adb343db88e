package rivals

import (
	"github.com/go-jose/go-jose/v4"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"
)

// A SignatureLibrary verifies any serialization of a JWS.
type SignatureLibrary struct {
	Name, Version string

	// Verifier returns the payload of what has a good signature by this key.
	Verifier func(alg string, public any) (func(data []byte) (payload []byte, err error), error)
}

// JWS are the libraries that know the JSON serialization.
var JWS = []SignatureLibrary{
	{"go-jose", "4.1.8", goJoseJWS},
	{"jwx", "3.3.0", jwxJWS},
}

func goJoseJWS(alg string, public any) (func([]byte) ([]byte, error), error) {
	algs := []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)}
	return func(data []byte) ([]byte, error) {
		//lint:ignore SA1019 either serialization, as the caller gives it
		message, err := jose.ParseSigned(string(data), algs)
		if err != nil {
			return nil, err
		}
		if len(message.Signatures) == 1 {
			return message.Verify(public)
		}
		_, _, payload, err := message.VerifyMulti(public)
		return payload, err
	}, nil
}

func jwxJWS(alg string, public any) (func([]byte) ([]byte, error), error) {
	a, ok := jwa.LookupSignatureAlgorithm(alg)
	if !ok {
		return nil, ErrUnsupported
	}
	key := jws.WithKey(a, public)
	return func(data []byte) ([]byte, error) { return jws.Verify(data, key) }, nil
}

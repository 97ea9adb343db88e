package conformance_test

import (
	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// ours is the library under test, asked as the peers are.
type ours struct{}

func (ours) ask(r request) (answer, error) {
	do := map[string]func(request) (answer, error){
		"sign": ourSign, "verify": ourVerify,
	}[r.Op]
	if do == nil {
		return answer{}, errUnsupported
	}
	return do(r)
}

// parse reads the keys of a request, each for r.Alg where it says nothing else.
func (r request) parse() ([]*jwk.Key, error) {
	var keys []*jwk.Key
	for _, data := range r.Keys {
		key, err := jwk.Parse(data)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func ourSign(r request) (answer, error) {
	keys, err := r.parse()
	if err != nil {
		return answer{}, err
	}
	signer, err := jws.NewSigner(keys[0], jws.Header{Algorithm: jwk.Algorithm(r.Alg)})
	if err != nil {
		return answer{}, err
	}
	payload := decoded(r.Payload)
	switch r.Form {
	case "compact":
		token, err := signer.Sign(payload)
		return answer{Token: token}, err
	}
	return answer{}, errUnsupported
}

func ourVerify(r request) (answer, error) {
	keys, err := r.parse()
	if err != nil {
		return answer{}, err
	}
	switch r.Form {
	case "compact":
		m, err := jws.Verify(keys[0], r.Token)
		if err != nil {
			return answer{}, err
		}
		return answer{Payload: wire.Encode(m.Payload())}, nil
	}
	return answer{}, errUnsupported
}

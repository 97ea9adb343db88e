package conformance_test

import (
	"strings"

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
	header := jws.Header{Algorithm: jwk.Algorithm(r.Alg)}
	if strings.HasPrefix(r.Form, "unencoded") {
		header = header.WithUnencoded()
	}
	var signers []*jws.Signer
	for _, key := range keys {
		s, err := jws.NewSigner(key, header)
		if err != nil {
			return answer{}, err
		}
		signers = append(signers, s)
	}
	token, err := signForm(r.Form, decoded(r.Payload), signers)
	return answer{Token: token}, err
}

func signForm(form string, payload []byte, signers []*jws.Signer) (string, error) {
	var doc []byte
	var err error
	switch form {
	case "compact":
		return signers[0].Sign(payload)
	case "detached", "unencoded":
		return signers[0].SignDetached(payload)
	case "general":
		doc, err = jws.SignJSON(payload, signers...)
	default:
		doc, err = signers[0].SignFlattened(payload)
	}
	return string(doc), err
}

func ourVerify(r request) (answer, error) {
	keys, err := r.parse()
	if err != nil {
		return answer{}, err
	}
	s := signed{r.Token, decoded(r.Payload), jws.Options{Unencoded: strings.HasPrefix(r.Form, "unencoded")}}
	m, err := s.verify(keys[0])
	if err != nil {
		return answer{}, err
	}
	return answer{Payload: wire.Encode(m.Payload())}, nil
}

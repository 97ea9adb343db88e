package conformance_test

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

// ours is the library under test, asked as the peers are.
type ours struct{}

func (ours) ask(r request) (answer, error) {
	do := map[string]func(request) (answer, error){
		"sign": ourSign, "verify": ourVerify, "encrypt": ourEncrypt, "decrypt": ourDecrypt,
		"nest": ourNest, "unnest": ourUnnest,
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

// ourIterations are few, since each message is read several times.
const ourIterations = 2 * jwk.MinIterations

func ourEncrypt(r request) (answer, error) {
	keys, err := r.parse()
	if err != nil {
		return answer{}, err
	}
	header := jwe.Header{Algorithm: jwk.Algorithm(r.Alg), APU: decoded(r.APU), APV: decoded(r.APV)}
	if strings.HasPrefix(r.Alg, "PBES2") {
		header.Iterations = ourIterations
	}
	var encrypters []*jwe.Encrypter
	for _, key := range keys {
		e, err := jwe.NewEncrypter(key, jwe.Encryption(r.Enc), header)
		if err != nil {
			return answer{}, err
		}
		encrypters = append(encrypters, e)
	}
	var token string
	if r.Form == "compact" {
		token, err = encrypters[0].Encrypt(decoded(r.Payload))
	} else {
		var doc []byte
		doc, err = jwe.EncryptJSON(decoded(r.Payload), decoded(r.AAD), encrypters...)
		token = string(doc)
	}
	return answer{Token: token}, err
}

func ourDecrypt(r request) (answer, error) {
	keys, err := r.parse()
	if err != nil {
		return answer{}, err
	}
	e := encrypted{r.Token, jwe.Policy{
		Algorithm: jwk.Algorithm(r.Alg), Encryption: jwe.Encryption(r.Enc), AllowZip: r.Zip, MaxIterations: jwe.MaxIterations,
	}}
	m, err := e.open(keys[0])
	if err != nil {
		return answer{}, err
	}
	if string(m.AAD()) != string(decoded(r.AAD)) {
		return answer{}, errors.New("another aad")
	}
	return answer{Payload: wire.Encode(m.Plaintext())}, nil
}

// ourNest signs with the first key, for the second.
func ourNest(r request) (answer, error) {
	keys, err := r.parse()
	if err != nil {
		return answer{}, err
	}
	to, err := jwe.NewEncrypter(keys[1], jwe.Encryption(r.Enc), jwe.Header{ContentType: "JWT"})
	if err != nil {
		return answer{}, err
	}
	var c struct {
		Iss, Sub, Aud string
		Iat, Exp      int64
	}
	if err := json.Unmarshal(decoded(r.Payload), &c); err != nil {
		return answer{}, err
	}
	token, err := jwt.SignNested(keys[0], nestedType, jwt.Claims{
		Issuer: c.Iss, Subject: c.Sub, Audience: []string{c.Aud}, IssuedAt: time.Unix(c.Iat, 0), Expiry: time.Unix(c.Exp, 0),
	}, nil, to)
	return answer{Token: token}, err
}

// nestedType is the "typ" of the token inside.
const nestedType = "at+jwt"

func ourUnnest(r request) (answer, error) {
	keys, err := r.parse()
	if err != nil {
		return answer{}, err
	}
	policy := jwt.Policy{InsecureSkipIssuer: true, Audience: "orders", Type: nestedType, Now: time.Now}
	token, err := jwt.VerifyNested[struct{}](policy, keys[0],
		jwe.Policy{Algorithm: jwk.Algorithm(r.KeyAlg), Encryption: jwe.Encryption(r.Enc)}, keys[1], r.Token)
	if err != nil {
		return answer{}, err
	}
	return answer{Payload: wire.Encode(token.Payload())}, nil
}

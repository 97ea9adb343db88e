package rivals

import (
	"crypto"
	_ "crypto/sha256" // for thumbprints
	"encoding/base64"
	"encoding/json"
	"errors"

	"github.com/go-jose/go-jose/v4"
	"github.com/lestrrat-go/jwx/v3/jwk"
)

var errKey = errors.New("not a valid key")

// A KeyLibrary reads keys.
type KeyLibrary struct {
	Name, Version string

	// Parse reads a JWK and returns its RFC 7638 thumbprint.
	Parse func(data []byte) (Thumbprint, error)
	// ParseSet reads a JWK Set and returns the number of its keys and a function
	// that finds one by its kid.
	ParseSet func(data []byte) (n int, find func(kid string) bool, err error)
	// Thumbprints are those of the keys of a set, in their order.
	Thumbprints func(data []byte) ([]Thumbprint, error)
}

// A Thumbprint names a key, in base64url.
type Thumbprint string

// JWK are the libraries that read keys.
var JWK = []KeyLibrary{
	{"go-jose", "4.1.8", goJoseKey, goJoseKeys, goJoseThumbprints},
	{"jwx", "3.3.0", jwxKey, jwxKeys, jwxThumbprints},
}

func thumbprint(sum []byte, err error) (Thumbprint, error) {
	return Thumbprint(base64.RawURLEncoding.EncodeToString(sum)), err
}

func goJoseKey(data []byte) (Thumbprint, error) {
	var key jose.JSONWebKey
	if err := json.Unmarshal(data, &key); err != nil {
		return "", err
	}
	if !key.Valid() {
		return "", errKey
	}
	return thumbprint(key.Thumbprint(crypto.SHA256))
}

func goJoseKeys(data []byte) (int, func(string) bool, error) {
	var set jose.JSONWebKeySet
	err := json.Unmarshal(data, &set)
	return len(set.Keys), func(kid string) bool { return len(set.Key(kid)) > 0 }, err
}

func jwxKey(data []byte) (Thumbprint, error) {
	key, err := jwk.ParseKey(data)
	if err != nil {
		return "", err
	}
	if err := key.Validate(); err != nil {
		return "", err
	}
	return thumbprint(key.Thumbprint(crypto.SHA256))
}

func jwxKeys(data []byte) (int, func(string) bool, error) {
	set, err := jwk.Parse(data)
	if err != nil {
		return 0, nil, err
	}
	return set.Len(), func(kid string) bool {
		_, ok := set.LookupKeyID(kid)
		return ok
	}, nil
}

func goJoseThumbprints(data []byte) (list []Thumbprint, err error) {
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, err
	}
	for _, key := range set.Keys {
		t, err := thumbprint(key.Thumbprint(crypto.SHA256))
		if err != nil || !key.Valid() {
			return nil, errKey
		}
		list = append(list, t)
	}
	return list, nil
}

func jwxThumbprints(data []byte) (list []Thumbprint, err error) {
	set, err := jwk.Parse(data)
	if err != nil {
		return nil, err
	}
	for i := range set.Len() {
		key, _ := set.Key(i)
		if err := key.Validate(); err != nil {
			return nil, err
		}
		t, err := thumbprint(key.Thumbprint(crypto.SHA256))
		if err != nil {
			return nil, err
		}
		list = append(list, t)
	}
	return list, nil
}

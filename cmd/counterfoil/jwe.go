package main

import (
	"bytes"
	"context"
	"errors"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

func (a *app) jweCommand() *cobra.Command {
	return a.group("jwe", "Encrypt and decrypt any bytes", a.jweEncryptCommand(), a.jweDecryptCommand())
}

// checkEnc refuses content encryptions that there are not.
func checkEnc(enc jwk.Encryption) error {
	if enc.KeySize() > 0 {
		return nil
	}
	return misuse("there is no content encryption %q: take A256GCM, A192GCM, A128GCM, A256CBC-HS512, A192CBC-HS384 or A128CBC-HS256", enc)
}

// contentEncryption is what the flag says, or what the key leaves no choice about.
func contentEncryption(key *jwk.Key, enc jwk.Encryption, flag string) (jwk.Encryption, error) {
	switch {
	case key.Algorithm().Integrated() && enc != "":
		return "", misuse("%s has its own content encryption: leave --%s out", key.Algorithm(), flag)
	case key.Algorithm().Integrated():
		return "", nil
	case enc == "" && key.Encryption() == "":
		return "", hinted(misuse("--%s is required: how the content is encrypted", flag), "--"+flag+" A256GCM")
	case enc == "":
		return key.Encryption(), nil
	}
	if err := checkEnc(enc); err != nil {
		return "", err
	}
	return enc, checkDirect(key, enc, flag)
}

// checkDirect refuses a key for dir that is too long or too short for enc, by trying.
func checkDirect(key *jwk.Key, enc jwk.Encryption, flag string) error {
	if key.Algorithm() != jwk.Dir {
		return nil
	}
	if _, err := key.Seal(enc, nil, nil, nil); errors.Is(err, jwk.ErrUnsupported) {
		return misuse("this key for dir is not for --%s %s: it has another length, or says another", flag, enc)
	}
	return nil
}

// readRecipient reads the key of somebody to encrypt for: a JWK, or the one key in
// a set that can be meant.
func (a *app) readRecipient(ctx context.Context, k keyFlags) (*jwk.Key, error) {
	source, err := a.readKeys(ctx, k)
	if err != nil {
		return nil, err
	}
	key, ok := source.(*jwk.Key)
	if !ok {
		if key, err = oneRecipient(source.(*jwk.Set), k.alg); err != nil {
			return nil, err
		}
	}
	if key.IsPrivate() && !key.IsSymmetric() {
		return nil, hinted(misuse("%s holds a private key, and to encrypt takes the public one", k.source), "counterfoil jwk public "+k.source+" > pub.json")
	}
	if err := key.CanEncrypt(); err != nil {
		return nil, hinted(misuse("the key in %s is for %s, which does not encrypt", k.source, key.Algorithm()), "counterfoil jwk generate --alg ECDH-ES makes one that does")
	}
	return key, nil
}

// oneRecipient finds the only key in a set that encrypts by alg, or at all.
func oneRecipient(set *jwk.Set, alg string) (found *jwk.Key, err error) {
	for _, key := range set.Keys() {
		if key.CanEncrypt() != nil || alg != "" && !key.Accepts(alg) {
			continue
		}
		if found != nil {
			return nil, hinted(misuse("several keys of this set encrypt"), "say by which algorithm with --alg, or put the one key into a file")
		}
		found = key
	}
	if found == nil {
		return nil, misuse("no key of this set encrypts by this algorithm")
	}
	return found, nil
}

// protectedHeader returns the protected header of a JWE that nobody has decrypted
// yet. It may come from anybody.
func protectedHeader(token []byte) (jsontext.Value, error) {
	segment := token
	if isJSON(token) {
		var document struct {
			Protected string `json:"protected"`
		}
		if err := wire.Unmarshal(token, &document); err != nil {
			return nil, jwe.ErrMalformed
		}
		segment = []byte(document.Protected)
	} else if i := bytes.IndexByte(token, '.'); i >= 0 {
		segment = token[:i]
	}
	header, err := wire.Decode(segment)
	if err != nil || len(header) > jwe.MaxHeader || wire.Unmarshal(header, &map[string]jsontext.Value{}) != nil {
		return nil, jwe.ErrMalformed
	}
	return header, nil
}

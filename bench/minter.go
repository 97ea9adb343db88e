package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/notary"

	_ "modernc.org/sqlite" // the driver of an issuer's database
)

// A minter makes tokens as the issuer does whose data folder it has read, faster
// than anybody could sign in: a genuine one gives it the claims.
type minter struct {
	signer *jws.Signer
	notary *notary.Local
	rest   []byte // of the payload, after the jti
}

func newMinter(iss *issuer) (*minter, error) {
	held, err := iss.signIn()
	if err != nil {
		return nil, err
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(held.Access, ".")[1])
	if err != nil {
		return nil, err
	}
	_, rest, err := notary.SplitPayload(payload)
	if err != nil {
		return nil, err
	}
	key, err := iss.signingKey()
	if err != nil {
		return nil, err
	}
	signer, err := jws.NewSigner(key, jws.Header{Algorithm: key.Algorithm(), KeyID: key.KeyID(), Type: tokenType})
	if err != nil {
		return nil, err
	}
	local, err := iss.notary()
	return &minter{signer: signer, notary: local, rest: rest}, err
}

// signingKey opens the key that signs, as the issuer does.
func (iss *issuer) signingKey() (*jwk.Key, error) {
	data, err := os.ReadFile(filepath.Join(iss.data, "kek.json"))
	if err != nil {
		return nil, err
	}
	kek, err := jwk.Parse(bytes.TrimSpace(data))
	if err != nil {
		return nil, err
	}
	source := url.URL{Scheme: "file", Opaque: filepath.Join(iss.data, "counterfoil.db"), RawQuery: "mode=ro&_pragma=busy_timeout(5000)"}
	db, err := sql.Open("sqlite", source.String())
	if err != nil {
		return nil, err
	}
	defer db.Close()
	var sealed string
	if err := db.QueryRow("SELECT sealed FROM keys WHERE use = 'at+jwt' AND state = 'active'").Scan(&sealed); err != nil {
		return nil, err
	}
	plain, err := jwe.Decrypt(kek, jwe.Policy{Algorithm: "A256GCMKW", Encryption: "A256GCM"}, sealed)
	if err != nil {
		return nil, err
	}
	return jwk.Parse(plain)
}

// notary opens the notary's secret.
func (iss *issuer) notary() (*notary.Local, error) {
	text, err := os.ReadFile(filepath.Join(iss.data, "notary.key"))
	if err != nil {
		return nil, err
	}
	secret, err := base64.RawURLEncoding.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(secret) != notary.SecretSize {
		return nil, errors.New("notary.key does not hold a secret")
	}
	return notary.NewLocal(notary.Secret(secret)), nil
}

// untagged makes a token whose jti is as most issuers write it: 128 random bits.
func (m *minter) untagged() (string, error) {
	var id [16]byte
	rand.Read(id[:])
	return m.signer.Sign(notary.Join(base64.RawURLEncoding.EncodeToString(id[:]), m.rest))
}

// tagged makes a token that the issuer would make.
func (m *minter) tagged() (string, error) {
	jti, err := m.notary.Tag(context.Background(), m.signer.Key().KeyID(), notary.Sum(m.signer.Header(), m.rest))
	if err != nil {
		return "", err
	}
	return m.signer.Sign(notary.Join(jti, m.rest))
}

// witnessed makes a token with the notary's signature in its header.
func (m *minter) witnessed() (string, error) {
	jti, witness, err := m.notary.TagWitness(context.Background(), m.signer.Key().KeyID(), m.signer.Header(), m.rest)
	if err != nil {
		return "", err
	}
	signer, err := m.signer.With(notary.WitnessHeader, witness)
	if err != nil {
		return "", err
	}
	return signer.Sign(notary.Join(jti, m.rest))
}

// many makes n tokens.
func many(n int, mint func() (string, error)) ([]string, error) {
	tokens := make([]string, n)
	for i := range tokens {
		var err error
		if tokens[i], err = mint(); err != nil {
			return nil, fmt.Errorf("token %d: %w", i, err)
		}
	}
	return tokens, nil
}

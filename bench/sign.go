package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/counterfoil/counterfoil/bench/rivals"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

// What was promised of signing.
const (
	signHMACRival = 0.42
	signPublicKey = 1.06
)

// signCost compares signing the same token.
func signCost(s settings) ([]section, error) {
	sec := section{
		title: "Signing",
		notes: "The same claims from a typed struct. gbrlsnchs and cristalhq write `\"typ\":\"JWT\"` and cannot write another.",
		head:  comparisonHead("sign"),
	}
	for _, alg := range algorithms {
		want := promise{bare: signPublicKey, why: whySign[alg]}
		if alg == jwk.HS256 {
			want = promise{rival: signHMACRival, why: whySign[alg]}
		}
		if err := compareAlgorithm(s, &sec, alg, "sign", signOps, want); err != nil {
			return nil, err
		}
	}
	return []section{sec}, nil
}

func signOps(alg jwk.Algorithm) ([]operation, error) {
	key, err := newSigner(alg)
	if err != nil {
		return nil, err
	}
	token, err := signToken(key.key)
	if err != nil {
		return nil, err
	}
	input, claims := []byte(token[:strings.LastIndexByte(token, '.')]), registered()
	sign, err := bareSign(alg, key.private)
	if err != nil {
		return nil, err
	}
	signer, err := jwt.NewSigner(key.key, tokenType)
	if err != nil {
		return nil, err
	}
	ops := []operation{
		{library: "bare", run: func() error {
			_, err := sign(input)
			return err
		}},
		{library: "Counterfoil", run: func() error {
			_, err := signer.Sign(claims, access)
			return err
		}},
	}
	for _, lib := range rivals.JWT {
		op, err := rivalSign(lib, alg, key)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", lib.Name, err)
		}
		ops = append(ops, op)
	}
	return ops, nil
}

func rivalSign(lib rivals.Library, alg jwk.Algorithm, key signer) (operation, error) {
	if alg == jwk.Ed25519 {
		alg = jwk.EdDSA
	}
	sign, err := lib.Signer(string(alg), keyID, key.private)
	if errors.Is(err, rivals.ErrUnsupported) {
		return operation{library: lib.Name}, nil
	}
	if err != nil {
		return operation{}, err
	}
	claims := rivalClaims(registered())
	return operation{library: lib.Name, run: func() error {
		_, err := sign(claims)
		return err
	}}, nil
}

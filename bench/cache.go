package main

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
	"github.com/counterfoil/counterfoil/verifier"
)

// What was promised of tokens that a verifier has seen before.
const (
	cachedTokens = 100_000
	cachedTime   = 1500 // ns
)

// cacheCost measures checking a token again at a verifier that remembers many.
func cacheCost(s settings) ([]section, error) {
	sec := section{
		title: "Checking a token again",
		notes: fmt.Sprintf("A verifier that remembers %d tokens of the first table, each with a `jti` of its own, checked in an order that no processor cache can guess; "+
			"beside it the bare verification that is saved. Issuer, audience, times and revocation are looked at each time. Under RS256 and PS256, whose tokens take long to make, only the length of the token is different: it is hashed once.", cachedTokens),
		head: []string{"algorithm", "bare verify", "check of a remembered token", "allocations"},
	}
	for _, alg := range []jwk.Algorithm{jwk.ES256, jwk.Ed25519} {
		if !s.rows.MatchString(string(alg)) {
			continue
		}
		progress("cache", alg, "signing", cachedTokens, "tokens")
		row, t, err := cachedRow(s, alg)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", alg, err)
		}
		sec.rows, sec.targets = append(sec.rows, row), append(sec.targets, t)
	}
	return []section{sec}, nil
}

func cachedRow(s settings, alg jwk.Algorithm) ([]string, target, error) {
	key, err := newSigner(alg)
	if err != nil {
		return nil, target{}, err
	}
	tokens, err := manyTokens(key.key)
	if err != nil {
		return nil, target{}, err
	}
	keys, err := jwk.NewSet(key.verify)
	if err != nil {
		return nil, target{}, err
	}
	v, err := verifier.Open(context.Background(), verifier.Config{
		Issuer: issuerURL, Audience: audience, Keys: keys, CacheTokens: 2 * cachedTokens, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, target{}, err
	}
	defer v.Close()
	if err := warm(v, tokens); err != nil {
		return nil, target{}, err
	}
	check, err := bareCheck(alg, key, tokens[0])
	if err != nil {
		return nil, target{}, err
	}
	at := 0
	ops := inRow("cached "+string(alg), []operation{{library: "bare", run: check}, {library: "Counterfoil", run: func() error {
		at = (at + 61_813) % len(tokens) // prime to their number
		_, err := v.Verify(context.Background(), tokens[at])
		return err
	}}})
	took, err := interleave(s, ops)
	if err != nil {
		return nil, target{}, err
	}
	row := []string{string(alg), nanos(took[bare]), nanos(took[ours]), fmt.Sprintf("%.0f", allocations(ops[ours]))}
	return row, target{fmt.Sprintf("check a remembered token, %s, %d of them", alg, cachedTokens), median(took[ours]), cachedTime, "ns", whyCache}, nil
}

// manyTokens signs them on all processors.
func manyTokens(key *jwk.Key) ([]string, error) {
	tokens, errs := make([]string, cachedTokens), make([]error, runtime.NumCPU())
	var wg sync.WaitGroup
	for worker := range errs {
		wg.Go(func() {
			c := registered()
			c.Expiry = c.IssuedAt.Add(12 * time.Hour)
			for i := worker; i < len(tokens) && errs[worker] == nil; i += len(errs) {
				c.ID = "AAECAwQFBgcICQoLDA0ODx" + strconv.Itoa(100_000+i)
				tokens[i], errs[worker] = jwt.Sign(key, tokenType, c, access)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return tokens, nil
}

// warm shows every token once.
func warm(v *verifier.Verifier, tokens []string) error {
	for _, token := range tokens {
		if _, err := v.Verify(context.Background(), token); err != nil {
			return err
		}
	}
	return nil
}

package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/counterfoil/counterfoil/bench/rivals"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

// What was promised of verifying, as a multiple of the bare operation and of the
// best rival.
const (
	verifyHMAC       = 3.6
	verifyHMACRival  = 0.2
	verifyHMACAllocs = 4
	verifyPublicKey  = 1.06
)

// Indices of the first two operations of each comparison.
const (
	bare = iota
	ours
	firstRival
)

// verifyCost compares verifying a token with the bare operation of the key and
// with the other libraries: same process, same token, CPU time, slice by slice.
func verifyCost(s settings) ([]section, error) {
	sec := section{
		title: "Verifying",
		notes: fmt.Sprintf("One token of %d bytes (under HS256) into a typed struct: algorithm pinned, issuer, audience and expiry checked, header read. "+
			"CPU time of the process; × is the multiple of the bare operation, the median over the rounds of that round's quotient. "+
			"After the comma: allocations. The rivals' token calls the algorithm Ed25519 by its older name EdDSA, which they all know.", tokenBytes),
		head: comparisonHead("verify"),
	}
	for _, alg := range algorithms {
		if err := compareAlgorithm(s, &sec, alg, "verify", verifyOps, verifyTargets(alg)); err != nil {
			return nil, err
		}
	}
	return []section{sec}, nil
}

func comparisonHead(verb string) []string {
	head := []string{"algorithm", "bare " + verb, "**Counterfoil**"}
	for _, lib := range rivals.JWT {
		head = append(head, lib.Name+" "+lib.Version)
	}
	return head
}

// promise is what a row of a comparison must show; 0 promises nothing.
type promise struct {
	bare, rival, allocs float64
	why                 string
}

func verifyTargets(alg jwk.Algorithm) promise {
	if alg == jwk.HS256 {
		return promise{verifyHMAC, verifyHMACRival, verifyHMACAllocs, whyVerify[alg]}
	}
	return promise{bare: verifyPublicKey, why: whyVerify[alg]}
}

// compareAlgorithm measures one algorithm and adds a row and its targets.
func compareAlgorithm(s settings, sec *section, alg jwk.Algorithm, verb string, opsOf func(jwk.Algorithm) ([]operation, error), want promise) error {
	if !s.rows.MatchString(string(alg)) {
		return nil
	}
	ops, err := opsOf(alg)
	if err != nil {
		return fmt.Errorf("%s: %w", alg, err)
	}
	return sec.compare(s, verb+" "+string(alg), inRow(string(alg), ops), want)
}

// compare measures the operations of one row, bare and ours first, and adds the
// row and its targets.
func (sec *section) compare(s settings, what string, ops []operation, want promise) error {
	progress(what)
	took, err := interleave(s, ops)
	if err != nil {
		return err
	}
	row := []string{ops[ours].row}
	for i, op := range ops {
		if op.run == nil {
			row = append(row, "–")
			continue
		}
		row = append(row, fmt.Sprintf("%s (%s), %.0f", nanos(took[i]), multiple(quotient(took[i], took[bare])), allocations(op)))
	}
	sec.rows = append(sec.rows, row)
	sec.targets = append(sec.targets, want.targets(what, ops, took)...)
	return nil
}

// targets compares what was measured with the promise.
func (p promise) targets(what string, ops []operation, took [][]float64) []target {
	var list []target
	if p.bare != 0 {
		list = append(list, target{what + " : bare operation", quotient(took[ours], took[bare]), p.bare, "×", p.why})
	}
	if p.rival != 0 {
		best := firstRival + fastest(took[firstRival:])
		list = append(list, target{what + " : best rival (" + ops[best].library + ")", quotient(took[ours], took[best]), p.rival, "×", p.why})
	}
	if p.allocs != 0 {
		list = append(list, target{what, allocations(ops[ours]), p.allocs, "allocations", p.why})
	}
	return list
}

// verifyOps are the bare operation, ours, and each rival's, in this order. An
// algorithm that a rival lacks leaves an operation without run.
func verifyOps(alg jwk.Algorithm) ([]operation, error) {
	key, err := newSigner(alg)
	if err != nil {
		return nil, err
	}
	token, err := signToken(key.key)
	if err != nil {
		return nil, err
	}
	check, err := bareCheck(alg, key, token)
	if err != nil {
		return nil, err
	}
	ops := []operation{
		{library: "bare", run: check},
		{library: "Counterfoil", run: func() error {
			_, err := jwt.Verify[rivals.Access](policy, key.verify, token)
			return err
		}},
	}
	for _, lib := range rivals.JWT {
		op, err := rivalVerify(lib, alg, key, token)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", lib.Name, err)
		}
		ops = append(ops, op)
	}
	return ops, nil
}

// bareCheck verifies the token's signing input under a signature of its own.
func bareCheck(alg jwk.Algorithm, key signer, token string) (func() error, error) {
	input := []byte(token[:strings.LastIndexByte(token, '.')])
	sign, err := bareSign(alg, key.private)
	if err != nil {
		return nil, err
	}
	signature, err := sign(input)
	if err != nil {
		return nil, err
	}
	signature = slices.Clone(signature)
	verify, err := bareVerify(alg, key.public)
	if err != nil {
		return nil, err
	}
	return func() error { return verify(input, signature) }, nil
}

func rivalVerify(lib rivals.Library, alg jwk.Algorithm, key signer, token string) (operation, error) {
	if alg == jwk.Ed25519 {
		alg = jwk.EdDSA
		var err error
		if key, err = key.under(alg); err != nil {
			return operation{}, err
		}
		if token, err = signToken(key.key); err != nil {
			return operation{}, err
		}
	}
	verify, err := lib.Verifier(string(alg), keyID, key.public, rivalPolicy)
	if errors.Is(err, rivals.ErrUnsupported) {
		return operation{library: lib.Name}, nil
	}
	if err != nil {
		return operation{}, err
	}
	return operation{library: lib.Name, run: func() error {
		_, err := verify(token)
		return err
	}}, nil
}

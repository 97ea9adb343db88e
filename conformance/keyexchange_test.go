package conformance_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

// keyKinds are the types of keys, each with an algorithm that it can be for.
var keyKinds = []struct {
	name, kty, curve string
	alg              jwk.Algorithm
}{
	{"RSA", "RSA", "", jwk.RS256},
	{"EC, P-256", "EC", "P-256", jwk.ES256},
	{"EC, P-384", "EC", "P-384", jwk.ES384},
	{"EC, P-521", "EC", "P-521", jwk.ES512},
	{"OKP, Ed25519", "OKP", "Ed25519", jwk.EdDSA},
	{"OKP, X25519", "OKP", "X25519", jwk.ECDHES},
	{"oct", "oct", "", jwk.HS512},
	{"AKP, ML-DSA-65", "AKP", "", jwk.MLDSA65},
}

// keys exchanges keys themselves. Both ways: they write again what they read of
// ours, and we what we read of theirs, with the same numbers; the thumbprints are
// equal.
func (r *report) keys(t *testing.T, keys *keys) {
	s := r.section("Keys", "type", "as")
	for _, kind := range keyKinds {
		ask := request{Alg: string(kind.alg), Type: kind.kty, Curve: kind.curve}
		x := keyExchange{ask: ask, own: keys.curve(t, kind.alg, kind.curve, 0)}
		jwkRow, thumbprintRow := s.row(kind.name, "JWK"), s.row(kind.name, "thumbprint")
		t.Run(kind.name, func(t *testing.T) {
			for i, p := range r.peers {
				jwkRow.outcomes[i] = outcome{x.report(t, p, x.rewrite), x.report(t, p, x.generate)}
				same := x.report(t, p, x.thumbprint)
				thumbprintRow.outcomes[i] = outcome{same, same}
			}
		})
		if kind.kty == "oct" {
			continue // PEM has no secrets
		}
		pemRow := s.row(kind.name, "PEM")
		t.Run(kind.name+" in PEM", func(t *testing.T) {
			for i, p := range r.peers {
				same := x.report(t, p, x.pem)
				pemRow.outcomes[i] = outcome{same, same}
			}
		})
	}
}

// A keyExchange is what is done with keys of one type.
type keyExchange struct {
	ask request
	own *jwk.Key
}

func (x keyExchange) report(t *testing.T, p *peer, do func(*peer) error) bool {
	t.Helper()
	err := do(p)
	if err != nil && !errors.Is(err, errUnsupported) {
		t.Errorf("%s: %v", p.name, err)
	}
	return err == nil
}

// rewrite has a peer read our private key and write it.
func (x keyExchange) rewrite(p *peer) error {
	own, err := x.own.MarshalPrivate()
	if err != nil {
		return err
	}
	r := x.ask
	r.Op, r.Keys = "jwk", []json.RawMessage{own}
	written, err := p.ask(r)
	if err != nil {
		return err
	}
	key, err := jwk.ParseAs([]byte(written.Token), jwk.Params{Algorithm: x.own.Algorithm(), KeyID: x.own.KeyID()})
	if err != nil {
		return err
	}
	if !key.IsPrivate() { // all that latchset can write, with key_ops
		if key.Thumbprint() != x.own.Thumbprint() {
			err = errors.New("another key")
		}
		return err
	}
	return x.same(key)
}

// generate has a peer make a key, which we read and write.
func (x keyExchange) generate(p *peer) error {
	r := x.ask
	r.Op = "generate"
	made, err := p.ask(r)
	if err != nil {
		return err
	}
	key, err := jwk.ParseAs([]byte(made.Token), jwk.Params{Algorithm: x.own.Algorithm()})
	if err != nil {
		return err
	}
	written, err := key.MarshalPrivate()
	if err != nil {
		return err
	}
	var got, want map[string]any
	if err := errors.Join(json.Unmarshal(written, &got), json.Unmarshal([]byte(made.Token), &want)); err != nil {
		return err
	}
	for _, name := range []string{"crv", "x", "y", "n", "e", "d", "p", "q", "dp", "dq", "qi", "k", "pub", "priv"} {
		if got[name] != want[name] {
			return errors.New("another " + name)
		}
	}
	return nil
}

// thumbprint has a peer compute the URI of RFC 9278.
func (x keyExchange) thumbprint(p *peer) error {
	data, err := x.own.MarshalPrivate()
	if err != nil {
		return err
	}
	r := x.ask
	r.Op, r.Keys = "thumbprint", []json.RawMessage{data}
	got, err := p.ask(r)
	if err == nil && got.Token != x.own.ThumbprintURI() {
		err = errors.New("another thumbprint: " + got.Token)
	}
	return err
}

// pem has a peer read both our keys in PEM and write them, which we read.
func (x keyExchange) pem(p *peer) error {
	private, err := x.own.MarshalPrivatePEM()
	if err != nil {
		return err
	}
	public, err := x.own.MarshalPEM()
	if err != nil {
		return err
	}
	for _, data := range [][]byte{private, public} {
		r := x.ask
		r.Op, r.Token = "pem", string(data)
		written, err := p.ask(r)
		if err != nil {
			return err
		}
		key, err := jwk.ParsePEM([]byte(written.Token), jwk.Params{Algorithm: x.own.Algorithm(), KeyID: x.own.KeyID()})
		if err != nil {
			return err
		}
		if err := x.same(key); err != nil {
			return err
		}
	}
	return nil
}

// same compares a key with our own, or with its public half.
func (x keyExchange) same(key *jwk.Key) error {
	own := x.own
	if !key.IsPrivate() {
		var err error
		if own, err = own.Public(); err != nil {
			return err
		}
	}
	want, err := own.MarshalPrivate()
	if err != nil {
		return err
	}
	if got, err := key.MarshalPrivate(); err != nil || string(got) != string(want) {
		return errors.New("other numbers")
	}
	return nil
}

package jwk

import (
	"github.com/counterfoil/counterfoil/internal/wire"
)

// A keyJSON is a JWK in the order in which it is written.
type keyJSON struct {
	Type       string      `json:"kty"`
	KeyID      string      `json:"kid,omitzero"`
	Use        string      `json:"use,omitzero"`
	Operations operations  `json:"key_ops,omitzero"`
	Algorithm  Algorithm   `json:"alg"`
	Curve      string      `json:"crv,omitzero"`
	X          string      `json:"x,omitzero"`
	Y          string      `json:"y,omitzero"`
	N          string      `json:"n,omitzero"`
	E          string      `json:"e,omitzero"`
	D          string      `json:"d,omitzero"`
	P          string      `json:"p,omitzero"`
	Q          string      `json:"q,omitzero"`
	DP         string      `json:"dp,omitzero"`
	DQ         string      `json:"dq,omitzero"`
	QI         string      `json:"qi,omitzero"`
	K          string      `json:"k,omitzero"`
	Pub        string      `json:"pub,omitzero"`
	Priv       string      `json:"priv,omitzero"`
	X5C        []string    `json:"x5c,omitzero"`
	X5T        string      `json:"x5t,omitzero"`
	X5TS256    string      `json:"x5t#S256,omitzero"`
	Limits     *limitsJSON `json:"counterfoil,omitzero"`
}

// MarshalJSON returns the JWK of the public part, with nothing private in it.
// For a symmetric key the error is [ErrSymmetric].
func (k *Key) MarshalJSON() ([]byte, error) {
	pub, err := k.Public()
	if err != nil {
		return nil, err
	}
	return pub.MarshalPrivate()
}

// MarshalPrivate returns the whole JWK. Whoever reads it holds the key. For a key
// held elsewhere the error is [ErrOpaque].
func (k *Key) MarshalPrivate() ([]byte, error) {
	if isOpaque(k.held()) {
		return nil, ErrOpaque
	}
	if k.material == nil {
		return nil, malformed("no key")
	}
	w := keyJSON{
		Type:       k.info.kty,
		KeyID:      k.kid,
		Operations: k.ops,
		Algorithm:  k.alg,
		Limits:     k.Limits().wire(k.also),
	}
	if k.ops == nil { // RFC 7517, Section 4.3: not both
		w.Use = useOf(k.info)
	}
	if c := k.certificates; c != nil {
		w.X5C, w.X5T, w.X5TS256 = c.x5c(), c.sha1, c.sha256
	}
	fields := map[string]*string{
		"crv": &w.Curve, "x": &w.X, "y": &w.Y, "n": &w.N, "e": &w.E, "d": &w.D, "p": &w.P,
		"q": &w.Q, "dp": &w.DP, "dq": &w.DQ, "qi": &w.QI, "k": &w.K, "pub": &w.Pub, "priv": &w.Priv,
	}
	for _, m := range k.material.members() {
		*fields[m.name] = m.value
	}
	return wire.Marshal(w)
}

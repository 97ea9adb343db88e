package jws

import (
	"context"
	"io"

	"github.com/counterfoil/counterfoil/internal/wire"
)

// WithContext returns a copy of the Signer whose key works under ctx, for one
// request: a key that a service holds (see [jwk.ContextSigner]) is asked with ctx,
// and no key signs after ctx has ended.
func (s *Signer) WithContext(ctx context.Context) *Signer {
	within := *s
	within.ctx = ctx
	return &within
}

// SignContext is [Signer.Sign] under ctx, as by [Signer.WithContext].
func (s *Signer) SignContext(ctx context.Context, payload []byte) (string, error) {
	return s.WithContext(ctx).Sign(payload)
}

// signature signs a signing input.
func (s *Signer) signature(input []byte) ([]byte, error) {
	if s.ctx == nil {
		return s.key.Sign(input)
	}
	return s.key.SignContext(s.ctx, input)
}

// SignDetached returns the signature of payload as a compact token with an empty
// middle part (RFC 7515, Appendix F). The payload has any length and travels
// beside it, for [VerifyDetached].
func (s *Signer) SignDetached(payload []byte) (string, error) {
	signature, err := s.signature(s.input(payload))
	if err != nil {
		return "", err
	}
	return s.compact("", signature)
}

// SignReader is [Signer.SignDetached] for a payload that is read to its end and
// not kept. As [Options.VerifyReader] says, the algorithms Ed25519, EdDSA and
// ML-DSA take no more than [jwk.MaxWhole] bytes of it, encoded, and then return
// [jwk.ErrNotStreamable].
func (s *Signer) SignReader(payload io.Reader) (string, error) {
	in := s.key.NewStream()
	if _, err := io.WriteString(in, s.header+"."); err != nil {
		return "", err
	}
	if err := copyPayload(in, payload, s.unencoded); err != nil {
		return "", err
	}
	ctx := s.ctx
	if ctx == nil {
		ctx = context.Background()
	}
	signature, err := in.Sign(ctx)
	if err != nil {
		return "", err
	}
	return s.compact("", signature)
}

// signUnencoded is Sign for a payload that is signed as it is.
func (s *Signer) signUnencoded(payload []byte) (string, error) {
	if err := checkCompactPayload(payload); err != nil {
		return "", err
	}
	if len(payload) > MaxToken {
		return "", ErrTooLarge
	}
	signature, err := s.signature(s.input(payload))
	if err != nil {
		return "", err
	}
	return s.compact(string(payload), signature)
}

// input returns what is signed.
func (s *Signer) input(payload []byte) []byte {
	return newInput(len(s.header), payload, s.unencoded).under(s.header)
}

// compact puts a token together.
func (s *Signer) compact(payload string, signature []byte) (string, error) {
	token := s.header + "." + payload + "." + wire.Encode(signature)
	if len(token) > MaxToken {
		return "", ErrTooLarge
	}
	return token, nil
}

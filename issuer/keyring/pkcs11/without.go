//go:build !pkcs11 || !cgo

package pkcs11

import (
	"context"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

// A Token is one token of one module. This build cannot open any.
type Token struct{}

// Open answers [ErrNotBuilt].
func Open(context.Context, Config) (*Token, error) { return nil, ErrNotBuilt }

// KEK answers [ErrNotBuilt].
func (*Token) KEK(context.Context, Existence) (*jwk.Key, error) { return nil, ErrNotBuilt }

// MakeKey answers [ErrNotBuilt].
func (*Token) MakeKey(context.Context, jwk.Params) (*jwk.Key, string, error) {
	return nil, "", ErrNotBuilt
}

// FindKey answers [ErrNotBuilt].
func (*Token) FindKey(context.Context, string, jwk.Params) (*jwk.Key, error) {
	return nil, ErrNotBuilt
}

// ForgetKey answers [ErrNotBuilt].
func (*Token) ForgetKey(context.Context, string) error { return ErrNotBuilt }

// Close does nothing.
func (*Token) Close() error { return nil }

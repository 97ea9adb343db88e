package revocation_test

import (
	"errors"
	"testing"

	"github.com/counterfoil/counterfoil/revocation"
)

func TestExchange(t *testing.T) {
	private, public := feedKey(t)
	good := revocation.Exchange{
		Issuer: issuer, Path: revocation.SeenPath, Nonce: "0123456789abcdef", Request: []byte("records"), Answer: []byte(`{"wrong":[],"again":[]}`),
	}
	token, err := good.Sign(private)
	if err != nil {
		t.Fatal(err)
	}
	if err := good.Verify(public, token); err != nil {
		t.Fatal(err)
	}
	for i := range token {
		bad := []byte(token)
		bad[i] ^= 1
		if good.Verify(public, string(bad)) == nil {
			t.Fatalf("accepted with byte %d flipped", i)
		}
	}
	for name, c := range map[string]struct {
		change func(e *revocation.Exchange)
		want   error
	}{
		"issuer":      {func(e *revocation.Exchange) { e.Issuer += "/" }, revocation.ErrIssuer},
		"path":        {func(e *revocation.Exchange) { e.Path = revocation.EvidencePath }, revocation.ErrFormat},
		"nonce":       {func(e *revocation.Exchange) { e.Nonce += "0" }, revocation.ErrFormat},
		"short nonce": {func(e *revocation.Exchange) { e.Nonce = "" }, revocation.ErrFormat},
		"request":     {func(e *revocation.Exchange) { e.Request = []byte("record") }, revocation.ErrFormat},
		"answer":      {func(e *revocation.Exchange) { e.Answer = []byte(`{"wrong":[0],"again":[]}`) }, revocation.ErrFormat},
		"swapped":     {func(e *revocation.Exchange) { e.Request, e.Answer = e.Answer, e.Request }, revocation.ErrFormat},
		"moved bytes": {func(e *revocation.Exchange) {
			e.Request, e.Answer = append(append([]byte{}, e.Request...), e.Answer[0]), e.Answer[1:]
		}, revocation.ErrFormat},
	} {
		e := good
		if c.change(&e); !errors.Is(e.Verify(public, token), c.want) {
			t.Errorf("another %s: %v", name, e.Verify(public, token))
		}
	}
	_, other := feedKey(t)
	if err := good.Verify(other, token); !errors.Is(err, revocation.ErrFeedKey) {
		t.Errorf("by another key: %v", err)
	}
	if err := good.Verify(public, ""); !errors.Is(err, revocation.ErrFormat) {
		t.Errorf("unsigned: %v", err)
	}
	for _, nonce := range []string{"", "0123456789abcde", string(make([]byte, 65))} {
		e := good
		e.Nonce = nonce
		if _, err := e.Sign(private); !errors.Is(err, revocation.ErrFormat) {
			t.Errorf("signed for a nonce of %d bytes: %v", len(nonce), err)
		}
	}
}

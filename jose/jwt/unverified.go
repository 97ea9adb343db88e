package jwt

import (
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// An Unverified is a token that has been read and not checked: whatever it says
// may come from anybody. It serves to choose an issuer and to show a token to a
// person. Nothing turns it into a [Token].
type Unverified struct {
	token  *jws.Unverified
	issuer string
}

// ParseUnverified reads a token. Structure, header and claims are held to the
// same rules as in [Verify]; neither signature nor any claim is checked.
func ParseUnverified(token string) (*Unverified, error) {
	u, err := jws.Parse(token)
	if err != nil {
		return nil, err
	}
	o := wire.NewObject()
	defer o.Release()
	if o.Parse(string(u.UnverifiedPayload())) != nil {
		return nil, errNotObject
	}
	issuer, _ := o.Find("iss").Unquote()
	return &Unverified{token: u, issuer: issuer}, nil
}

// Format implements [fmt.Formatter]: no verb prints the token.
func (u Unverified) Format(s fmt.State, _ rune) { io.WriteString(s, "jwt.Unverified") }

// UnverifiedHeader returns the header. It may come from anybody.
func (u *Unverified) UnverifiedHeader() jws.Header { return u.token.UnverifiedHeader() }

// UnverifiedClaims returns the claims, one JSON object. They may come from
// anybody.
func (u *Unverified) UnverifiedClaims() jsontext.Value {
	return jsontext.Value(u.token.UnverifiedPayload()).Clone()
}

// UnverifiedIssuer returns "iss", or "" if there is none or it is not a string.
// It serves to find the policy and keys under which the token may then verify.
func (u *Unverified) UnverifiedIssuer() string { return u.issuer }

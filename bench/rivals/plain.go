package rivals

import (
	"encoding/json"
	"slices"
)

// plainClaims are for a library that leaves the claims to its caller, who reads
// them with encoding/json.
type plainClaims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  audience `json:"aud"`
	Expiry    float64  `json:"exp"`
	IssuedAt  float64  `json:"iat,omitempty"`
	NotBefore float64  `json:"nbf,omitempty"`
	ID        string   `json:"jti,omitempty"`
	Access
}

// check compares the claims with the policy.
func (c *plainClaims) check(p Policy) (Claims, error) {
	now := float64(p.Now().Unix())
	switch {
	case c.Issuer != p.Issuer:
		return Claims{}, errIssuer
	case !slices.Contains(c.Audience, p.Audience):
		return Claims{}, errAudience
	case c.Expiry <= now || c.NotBefore > now || c.IssuedAt > now:
		return Claims{}, errExpired
	}
	return Claims{
		Issuer: c.Issuer, Subject: c.Subject, ID: c.ID, Audience: c.Audience, Access: c.Access,
		Expiry: int64(c.Expiry), IssuedAt: int64(c.IssuedAt), NotBefore: int64(c.NotBefore),
	}, nil
}

// An audience is a string or an array of strings.
type audience []string

func (a *audience) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '[' {
		return json.Unmarshal(data, (*[]string)(a))
	}
	*a = make([]string, 1)
	return json.Unmarshal(data, &(*a)[0])
}

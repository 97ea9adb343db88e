package oauth

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/counterfoil/counterfoil/internal/wire"
)

// MaxMetadata is the largest metadata document that [ParseMetadata] reads, in bytes.
const MaxMetadata = 64 << 10

// The well-known places of metadata, below the issuer.
const (
	// WellKnownOAuth is the path of RFC 8414, Section 3.
	WellKnownOAuth = "/.well-known/oauth-authorization-server"
	// WellKnownOpenID is the path of OpenID Connect Discovery 1.0, Section 4.
	WellKnownOpenID = "/.well-known/openid-configuration"
)

// ErrIssuer reports a metadata document that speaks for another issuer than the
// one it was fetched from (RFC 8414, Section 3.3).
var ErrIssuer = errors.New("metadata names another issuer")

// Metadata is what an issuer says about itself: RFC 8414, Section 2, and OpenID
// Connect Discovery 1.0, Section 3. A member that is absent is not served.
type Metadata struct {
	Issuer                string   `json:"issuer"`
	AuthorizationEndpoint string   `json:"authorization_endpoint,omitempty"`
	TokenEndpoint         string   `json:"token_endpoint,omitempty"`
	RevocationEndpoint    string   `json:"revocation_endpoint,omitempty"`
	IntrospectionEndpoint string   `json:"introspection_endpoint,omitempty"`
	UserinfoEndpoint      string   `json:"userinfo_endpoint,omitempty"`
	JWKSURI               string   `json:"jwks_uri,omitempty"`
	SignedJWKSURI         string   `json:"signed_jwks_uri,omitempty"` // OpenID Federation 1.0, Section 5.2.1
	Scopes                []string `json:"scopes_supported,omitempty"`
	ResponseTypes         []string `json:"response_types_supported"`
	GrantTypes            []string `json:"grant_types_supported,omitempty"`
	SubjectTypes          []string `json:"subject_types_supported,omitempty"`
	IDTokenAlgorithms     []string `json:"id_token_signing_alg_values_supported,omitempty"`
	TokenAuthMethods      []string `json:"token_endpoint_auth_methods_supported,omitempty"`
	RevocationAuthMethods []string `json:"revocation_endpoint_auth_methods_supported,omitempty"`

	// Feed is the base URL of the revocation feed: /manifest, /key, /tail and
	// the rest lie below it. Empty means that the issuer has no feed.
	Feed string `json:"counterfoil_feed,omitempty"`
	// SignIn and SignOut are the first-party endpoints.
	SignIn  string `json:"counterfoil_sign_in,omitempty"`
	SignOut string `json:"counterfoil_sign_out,omitempty"`
}

// ParseMetadata reads the document that was fetched for issuer. It refuses one
// above [MaxMetadata], one that is not strict JSON, and with [ErrIssuer] one that
// names another issuer, compared byte for byte.
func ParseMetadata(data []byte, issuer string) (*Metadata, error) {
	if len(data) > MaxMetadata {
		return nil, fmt.Errorf("metadata is larger than %d bytes", MaxMetadata)
	}
	var m Metadata
	if err := wire.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	if m.Issuer != issuer {
		return nil, ErrIssuer
	}
	return &m, nil
}

// WellKnownURLs returns where the metadata of issuer may be found, in the order
// to try: the form of OpenID Connect Discovery, which appends, then the form of
// RFC 8414, Section 3.1, which inserts the well-known part before the path.
func WellKnownURLs(issuer string) ([]string, error) {
	u, err := url.Parse(issuer)
	if err != nil || u.Scheme == "" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("issuer is not a URL with a host and without query or fragment")
	}
	origin, path := u.Scheme+"://"+u.Host, strings.TrimSuffix(u.EscapedPath(), "/")
	return []string{
		strings.TrimSuffix(issuer, "/") + WellKnownOpenID,
		origin + WellKnownOAuth + path,
	}, nil
}

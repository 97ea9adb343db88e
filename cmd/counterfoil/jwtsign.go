package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

// A signing is what jwt sign was asked for.
type signing struct {
	key  keyFlags
	life time.Duration
	head signHeader
	seal sealFlags
}

func (a *app) jwtSignCommand() *cobra.Command {
	var s signing
	cmd := &cobra.Command{
		Use: "sign --key FILE [CLAIMS]", Short: "Sign claims from a JSON file or stdin", Args: atMost("file"),
		Long: `Sign claims from a JSON file or stdin. With --encrypt-to the token is then encrypted,
so that only the holder of that key reads the claims.`,
		Example: `echo '{"iss":"https://id.example","aud":"orders","sub":"u1"}' |
	counterfoil jwt sign --key key.json --life 15m`,
		RunE: func(cmd *cobra.Command, args []string) error {
			token, err := a.signClaims(cmd, &s, args)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(a.stdout, token)
			return err
		},
	}
	flags := cmd.Flags()
	s.key.register(flags, "key", "private or symmetric key: a `FILE` or - (required)")
	flags.DurationVar(&s.life, "life", 0, "set iat to now and exp this much later")
	s.head.register(flags)
	s.seal.register(flags)
	return cmd
}

// signClaims reads key and claims and makes the token.
func (a *app) signClaims(cmd *cobra.Command, s *signing, args []string) (string, error) {
	if err := oneStdin(s.key.source, s.seal.to.source, firstOr(args, "-")); err != nil {
		return "", err
	}
	key, data, err := a.readToSign(cmd, s.key, args)
	if err != nil {
		return "", err
	}
	claims, extra, err := splitClaims(data)
	if err != nil {
		return "", err
	}
	if s.life != 0 {
		claims.IssuedAt = a.now()
		claims.Expiry = claims.IssuedAt.Add(s.life)
	}
	if claims.Expiry.IsZero() {
		return "", hinted(misuse("the claims have no exp: such a token would be good for ever"), "give it a life: --life 15m")
	}
	to, err := a.sealer(cmd, s.seal)
	if err != nil {
		return "", err
	}
	h, err := s.head.of(key)
	if err != nil {
		return "", err
	}
	token, err := signJWT(key, h, claims, extra)
	if err != nil || to == nil {
		return token, explainSignJWT(err)
	}
	return to.Encrypt([]byte(token))
}

func signJWT(key *jwk.Key, h jws.Header, claims jwt.Claims, extra map[string]jsontext.Value) (string, error) {
	s, err := jwt.NewHeaderSigner(key, h)
	if err != nil {
		return "", err
	}
	return s.Sign(claims, extra)
}

// explainSignJWT says what kind of key it takes.
func explainSignJWT(err error) error {
	switch {
	case errors.Is(err, jwk.ErrNotPrivate):
		return hinted(errors.New("this is a public key, and to sign takes the private one"), "counterfoil jwk generate --alg ES256 makes one")
	case errors.Is(err, jwk.ErrUse):
		return hinted(errors.New("this key is not for signing"), "counterfoil jwk generate --alg ES256 makes one that is")
	}
	return err
}

// sealFlags say for whom a token is encrypted.
type sealFlags struct {
	to  keyFlags
	enc string
}

func (f *sealFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.to.source, "encrypt-to", "", "encrypt for this public or shared key: a `FILE`, - or an https URL")
	flags.StringVar(&f.to.alg, "encrypt-alg", "", "algorithm of that key, if it does not name one itself")
	flags.StringVar(&f.enc, "enc", "", "content encryption, such as A256GCM (required with --encrypt-to)")
}

// sealer returns nil when the token is not to be encrypted.
func (a *app) sealer(cmd *cobra.Command, f sealFlags) (*jwe.Encrypter, error) {
	if f.to.source == "" {
		if f.enc != "" {
			return nil, misuse("--enc without --encrypt-to encrypts nothing")
		}
		return nil, nil
	}
	key, err := a.readRecipient(cmd.Context(), f.to)
	if err != nil {
		return nil, err
	}
	enc, err := contentEncryption(key, jwe.Encryption(f.enc), "enc")
	if err != nil {
		return nil, err
	}
	return jwe.NewEncrypter(key, enc, jwe.Header{ContentType: defaultType})
}

// A signHeader is what flags put into the header of a token.
type signHeader struct {
	typ, jku string
	x5t, x5c bool
}

func (f *signHeader) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.typ, "typ", defaultType, "\"typ\" of the header")
	flags.StringVar(&f.jku, "jku", "", "`URL` of the key set, as \"jku\" of the header")
	flags.BoolVar(&f.x5t, "x5t", false, "put the hashes of the key's certificate into the header: \"x5t\" and \"x5t#S256\"")
	flags.BoolVar(&f.x5c, "x5c", false, "put the key's certificates into the header: \"x5c\"")
}

// of returns the header of tokens signed by key.
func (f *signHeader) of(key *jwk.Key) (jws.Header, error) {
	h := jws.Header{Type: f.typ}
	x5t, x5tS256 := key.CertificateThumbprints()
	if f.x5t && x5tS256 == "" || f.x5c && key.Certificates() == nil {
		return h, hinted(misuse("the key has no certificates"), "counterfoil jwk convert --to jwk --certificates CHAIN.pem gives it some")
	}
	if f.typ == "" {
		return h, hinted(misuse("a token without a type can be taken for another kind"), "--typ JWT")
	}
	if f.jku != "" && !strings.HasPrefix(f.jku, "https://") {
		return h, misuse("--jku is an https URL")
	}
	var x5c [][]byte // which JSON writes in standard base64
	for _, cert := range key.Certificates() {
		x5c = append(x5c, cert.Raw)
	}
	for _, m := range []struct {
		name  string
		value any
		set   bool
	}{{"jku", f.jku, f.jku != ""}, {"x5t", x5t, f.x5t && x5t != ""}, {"x5t#S256", x5tS256, f.x5t}, {"x5c", x5c, f.x5c}} {
		if !m.set {
			continue
		}
		var err error
		if h, err = h.With(m.name, m.value); err != nil {
			return h, err
		}
	}
	return h, nil
}

// splitClaims reads a JSON object and takes the registered claims out of it.
func splitClaims(data []byte) (c jwt.Claims, extra map[string]jsontext.Value, err error) {
	if err := wire.Unmarshal(data, &extra); err != nil || extra == nil {
		return c, nil, misuse("the claims are not one JSON object")
	}
	var registered struct {
		Issuer    string         `json:"iss"`
		Subject   string         `json:"sub"`
		Audience  jsontext.Value `json:"aud"`
		Expiry    float64        `json:"exp"`
		NotBefore float64        `json:"nbf"`
		IssuedAt  float64        `json:"iat"`
		ID        string         `json:"jti"`
	}
	if err := wire.Unmarshal(data, &registered); err != nil {
		return c, nil, misuse("a registered claim is of the wrong type: exp, nbf and iat are seconds since 1970, the others strings")
	}
	c = jwt.Claims{
		Issuer: registered.Issuer, Subject: registered.Subject, ID: registered.ID,
		Expiry: numericDate(registered.Expiry), NotBefore: numericDate(registered.NotBefore), IssuedAt: numericDate(registered.IssuedAt),
	}
	if c.Audience, err = readAudience(registered.Audience); err != nil {
		return c, nil, err
	}
	maps.DeleteFunc(extra, func(name string, _ jsontext.Value) bool {
		return slices.Contains([]string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti"}, name)
	})
	return c, extra, nil
}

// readAudience takes one string or a list of them (RFC 7519, Section 4.1.3).
func readAudience(v jsontext.Value) (list []string, err error) {
	if v == nil {
		return nil, nil
	}
	var one string
	if wire.Unmarshal(v, &one) == nil {
		return []string{one}, nil
	}
	if wire.Unmarshal(v, &list) != nil {
		return nil, misuse("aud is neither a string nor a list of strings")
	}
	return list, nil
}

func numericDate(seconds float64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(seconds*float64(time.Second)))
}

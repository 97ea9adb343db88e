package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

// defaultType is the "typ" of RFC 7519, Section 5.1.
const defaultType = "JWT"

func (a *app) jwtCommand() *cobra.Command {
	return a.group("jwt", "Sign, verify and look into tokens",
		a.jwtSignCommand(), a.jwtVerifyCommand(), a.jwtDecodeCommand())
}

func (a *app) jwtSignCommand() *cobra.Command {
	var (
		key    keyFlags
		header signHeader
		life   time.Duration
	)
	cmd := &cobra.Command{
		Use: "sign --key FILE [CLAIMS]", Short: "Sign claims from a JSON file or stdin", Args: atMost("file"),
		Example: `echo '{"iss":"https://id.example","aud":"orders","sub":"u1"}' |
	counterfoil jwt sign --key key.json --life 15m`,
		RunE: func(cmd *cobra.Command, args []string) error {
			signer, data, err := a.readToSign(cmd, key, args)
			if err != nil {
				return err
			}
			claims, extra, err := splitClaims(data)
			if err != nil {
				return err
			}
			if life != 0 {
				claims.IssuedAt = a.now()
				claims.Expiry = claims.IssuedAt.Add(life)
			}
			if claims.Expiry.IsZero() {
				return hinted(misuse("the claims have no exp: such a token would be good for ever"), "give it a life: --life 15m")
			}
			h, err := header.of(signer)
			if err != nil {
				return err
			}
			s, err := jwt.NewHeaderSigner(signer, h)
			if err != nil {
				return err
			}
			token, err := s.Sign(claims, extra)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(a.stdout, token)
			return err
		},
	}
	key.register(cmd.Flags(), "key", "private or symmetric key: a `FILE` or - (required)")
	header.register(cmd.Flags())
	cmd.Flags().DurationVar(&life, "life", 0, "set iat to now and exp this much later")
	return cmd
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

func (a *app) jwtVerifyCommand() *cobra.Command {
	var (
		keys    keyFlags
		policy  jwt.Policy
		at      string
		machine bool
	)
	cmd := &cobra.Command{
		Use: "verify --keys SET --issuer I --audience A TOKEN", Short: "Verify a token and print its claims", Args: atMost("token"),
		Long: `Verify a token and print its claims.

TOKEN is the token itself, a file, or - for stdin (the default). Revocation is not
looked at: that takes a verifier that follows the issuer's feed.`,
		Example: "counterfoil jwt verify --keys https://id.example/jwks --issuer https://id.example --audience orders --typ at+jwt -",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(cmd.Flags(), "keys", "issuer", "audience"); err != nil {
				return err
			}
			now, err := a.parseTime(at)
			if err != nil {
				return err
			}
			policy.Now = func() time.Time { return now }
			if policy.Leeway == 0 {
				policy.Leeway = jwt.NoLeeway
			}
			if err := oneStdin(keys.source, firstOr(args, "-")); err != nil {
				return err
			}
			token, err := a.readToken(firstOr(args, "-"))
			if err != nil {
				return err
			}
			source, err := a.readKeys(cmd.Context(), keys)
			if err != nil {
				return err
			}
			tok, err := jwt.Verify[jsontext.Value](policy, source, token)
			if err != nil {
				return explain(err, now, token)
			}
			a.say("verified: %s by key %q, expires %s", tok.Header().Algorithm, tok.Key().KeyID(), distance(now, tok.Expiry()))
			if machine {
				return a.printJSON(tok.Claims())
			}
			return a.printIndented(tok.Claims())
		},
	}
	flags := cmd.Flags()
	keys.register(flags, "keys", "key or `SET` of keys: a file, - or an https URL (required)")
	flags.StringVar(&policy.Issuer, "issuer", "", "what \"iss\" must be (required)")
	flags.StringVar(&policy.Audience, "audience", "", "what \"aud\" must name (required)")
	flags.StringVar(&policy.Type, "typ", defaultType, "what \"typ\" must be; at+jwt for access tokens")
	flags.DurationVar(&policy.Leeway, "leeway", jwt.DefaultLeeway, "clock skew to forgive")
	flags.DurationVar(&policy.MaxLife, "max-life", jwt.DefaultMaxLife, "longest life to accept, from iat to exp")
	flags.StringVar(&at, "at", "", "verify as of `TIME`, RFC 3339 or seconds since 1970 (default now)")
	flags.BoolVar(&machine, "json", false, "print the claims on one line")
	return cmd
}

func (a *app) parseTime(s string) (time.Time, error) {
	if s == "" {
		return a.now(), nil
	}
	if seconds, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.Unix(seconds, 0), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, misuse("--at takes a time such as 2026-01-02T15:04:05Z, or seconds since 1970")
	}
	return t, nil
}

// explain says why a token was refused and what to type next.
func explain(err error, now time.Time, token string) error {
	const look = "to look inside without trusting it: counterfoil jwt decode"
	if expired, ok := errors.AsType[*jwt.ExpiredError](err); ok {
		return hinted(fmt.Errorf("token expired %s (exp %s)", distance(now, expired.Expiry), stamp(expired.Expiry)), look)
	}
	if early, ok := errors.AsType[*jwt.NotYetError](err); ok {
		return hinted(fmt.Errorf("token is good only %s (%s %s)", distance(now, early.At), early.Claim, stamp(early.At)), look)
	}
	switch e := jwt.Explain(err); {
	case e.Claim == "typ":
		return hinted(err, "say which type you want with --typ, such as --typ at+jwt for an access token")
	case e.Hint != "" && (e.Stage == jwt.StageForm || e.Stage == jwt.StageClaims || e.Stage == jwt.StageLimits):
		return hinted(err, e.Hint)
	}
	return hinted(explainKey(err, token), look)
}

// explainKey says what a key has to do with a token that was refused.
func explainKey(err error, token string) error {
	switch {
	case errors.Is(err, jwk.ErrSignature):
		return errors.New("the signature is not by this key: the token was changed, or another key signed it")
	case errors.Is(err, jwk.ErrUnknownKey):
		return fmt.Errorf("none of the keys is the one that the token names%s", kidOf(token))
	}
	return err
}

// kidOf quotes the key id of a token that could not be verified, for the message.
func kidOf(token string) string {
	u, err := jws.Parse(token)
	if err != nil || u.UnverifiedHeader().KeyID == "" {
		return ""
	}
	return fmt.Sprintf(" (kid %q)", u.UnverifiedHeader().KeyID)
}

// stamp writes a time for people, and a dash for none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

func (a *app) jwtDecodeCommand() *cobra.Command {
	var machine bool
	cmd := &cobra.Command{
		Use: "decode TOKEN", Short: "Look into a token without trusting it", Args: atMost("token"),
		Long: `Look into a token without trusting it. Nothing is verified.

TOKEN is the token itself, a file, or - for stdin (the default).`,
		Example: "counterfoil jwt decode token.txt",
		RunE: func(_ *cobra.Command, args []string) error {
			token, err := a.readToken(firstOr(args, "-"))
			if err != nil {
				return err
			}
			u, err := jwt.ParseUnverified(token)
			if err != nil {
				return err
			}
			a.say("NOTHING WAS VERIFIED: anybody can have written what follows")
			header, err := headerJSON(token)
			if err != nil {
				return err
			}
			if machine {
				return a.printJSON(decoded{false, len(token), header, u.UnverifiedClaims()})
			}
			return a.printDecoded(token, header, u.UnverifiedClaims())
		},
	}
	cmd.Flags().BoolVar(&machine, "json", false, "print one JSON object")
	return cmd
}

// decoded is the --json form of jwt decode.
type decoded struct {
	Verified bool           `json:"verified"` // always false
	Size     int            `json:"size"`     // bytes of the token
	Header   jsontext.Value `json:"header"`
	Claims   jsontext.Value `json:"claims"`
}

// headerJSON returns the header as it was written. The token has been parsed before.
func headerJSON(token string) (jsontext.Value, error) {
	segment, _, _ := strings.Cut(token, ".")
	header, err := wire.Decode(segment)
	return jsontext.Value(header), err
}

func (a *app) printDecoded(token string, header, claims jsontext.Value) error {
	var b strings.Builder
	parts := strings.Split(token, ".")
	for _, part := range []struct {
		name   string
		object jsontext.Value
	}{{"header", header}, {"claims", claims}} {
		fmt.Fprintf(&b, "%s\n", part.name)
		if err := a.writeMembers(&b, part.object); err != nil {
			return err
		}
	}
	fmt.Fprintf(&b, "size\n  %d bytes of at most %d: header %d, claims %d, signature %d\n", len(token), jws.MaxToken, len(parts[0]), len(parts[1]), len(parts[2]))
	_, err := a.stdout.Write([]byte(b.String()))
	return err
}

// writeMembers writes an object in its own order, a line for each member, and
// times so that people can read them.
func (a *app) writeMembers(b *strings.Builder, object jsontext.Value) error {
	dec := jsontext.NewDecoder(strings.NewReader(string(object)))
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	for dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		if err != nil {
			return err
		}
		key := name.String()
		value, err := dec.ReadValue()
		if err != nil {
			return err
		}
		fmt.Fprintf(b, "  %-10s %s%s\n", printable(key), printable(string(value)), a.timeNote(key, value))
	}
	return nil
}

func (a *app) timeNote(name string, value jsontext.Value) string {
	if !slices.Contains([]string{"exp", "nbf", "iat", "auth_time"}, name) {
		return ""
	}
	seconds, err := strconv.ParseFloat(string(value), 64)
	if err != nil || seconds < 0 || seconds > 1e12 {
		return ""
	}
	t := time.Unix(int64(seconds), 0)
	return fmt.Sprintf("  (%s, %s)", stamp(t), distance(a.now(), t))
}

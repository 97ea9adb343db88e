package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

// A verification is what jwt verify was asked for.
type verification struct {
	keys    keyFlags
	policy  jwt.Policy
	decrypt decryption
	at      string
	machine bool
}

func (a *app) jwtVerifyCommand() *cobra.Command {
	var v verification
	cmd := &cobra.Command{
		Use: "verify --keys SET --issuer I --audience A TOKEN", Short: "Verify a token and print its claims", Args: atMost("token"),
		Long: `Verify a token and print its claims.

TOKEN is the token itself, a file, or - for stdin (the default). One that is encrypted
is opened first, by --decrypt-key. Revocation is not looked at: that takes a verifier
that follows the issuer's feed.`,
		Example: "counterfoil jwt verify --keys https://id.example/jwks --issuer https://id.example --audience orders --typ at+jwt -",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(cmd.Flags(), "keys", "issuer", "audience"); err != nil {
				return err
			}
			return a.jwtVerify(cmd.Context(), &v, firstOr(args, "-"))
		},
	}
	flags := cmd.Flags()
	v.keys.register(flags, "keys", "key or `SET` of keys: a file, - or an https URL (required)")
	flags.StringVar(&v.policy.Issuer, "issuer", "", "what \"iss\" must be (required)")
	flags.StringVar(&v.policy.Audience, "audience", "", "what \"aud\" must name (required)")
	flags.StringVar(&v.policy.Type, "typ", defaultType, "what \"typ\" must be; at+jwt for access tokens")
	flags.DurationVar(&v.policy.Leeway, "leeway", jwt.DefaultLeeway, "clock skew to forgive")
	flags.DurationVar(&v.policy.MaxLife, "max-life", jwt.DefaultMaxLife, "longest life to accept, from iat to exp")
	v.decrypt.register(flags, "decrypt-")
	flags.StringVar(&v.at, "at", "", "verify as of `TIME`, RFC 3339 or seconds since 1970 (default now)")
	flags.BoolVar(&v.machine, "json", false, "print the claims on one line")
	return cmd
}

// jwtVerify verifies the token at input and prints its claims.
func (a *app) jwtVerify(ctx context.Context, v *verification, input string) error {
	now, err := a.parseTime(v.at)
	if err != nil {
		return err
	}
	v.policy.Now = func() time.Time { return now }
	if v.policy.Leeway == 0 {
		v.policy.Leeway = jwt.NoLeeway
	}
	if err := oneStdin(v.keys.source, v.decrypt.key, input); err != nil {
		return err
	}
	token, err := a.readToken(input)
	if err != nil {
		return err
	}
	tok, err := a.verifyJWT(ctx, v, token)
	if err != nil {
		return err
	}
	a.say("verified: %s by key %q, expires %s", tok.Header().Algorithm, tok.Key().KeyID(), distance(now, tok.Expiry()))
	if v.machine {
		return a.printJSON(tok.Claims())
	}
	return a.printIndented(tok.Claims())
}

// verifyJWT reads the keys and verifies a token, which is opened before if there
// is a key for that.
func (a *app) verifyJWT(ctx context.Context, v *verification, token string) (*jwt.Token[jsontext.Value], error) {
	keys, err := a.readKeys(ctx, v.keys)
	if err != nil {
		return nil, err
	}
	if v.decrypt.key == "" {
		tok, err := jwt.Verify[jsontext.Value](v.policy, keys, token)
		return tok, v.explain(err, token)
	}
	decrypt, policy, err := a.readDecryption(ctx, v.decrypt)
	if err != nil {
		return nil, err
	}
	tok, err := jwt.VerifyNested[jsontext.Value](v.policy, keys, policy, decrypt, token)
	if err == nil {
		return tok, nil
	}
	inside, sealed := jwe.Decrypt(decrypt, policy, token)
	if sealed != nil {
		return nil, v.decrypt.explain(sealed, []byte(token))
	}
	return nil, v.explain(err, string(inside))
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
func (v *verification) explain(err error, token string) error {
	const look = "to look inside without trusting it: counterfoil jwt decode"
	if err == nil {
		return nil
	}
	now := v.policy.Now()
	if expired, ok := errors.AsType[*jwt.ExpiredError](err); ok {
		return hinted(fmt.Errorf("token expired %s (exp %s)", distance(now, expired.Expiry), stamp(expired.Expiry)), look)
	}
	if early, ok := errors.AsType[*jwt.NotYetError](err); ok {
		return hinted(fmt.Errorf("token is good only %s (%s %s)", distance(now, early.At), early.Claim, stamp(early.At)), look)
	}
	switch e := jwt.Explain(err); {
	case e.Stage == jwt.StagePolicy:
		return &misuseError{err}
	case e.Reason == jwt.ReasonEncrypted:
		return hinted(err, "--decrypt-key FILE --decrypt-enc A256GCM opens it first")
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

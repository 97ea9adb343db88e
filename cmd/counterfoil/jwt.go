package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

// defaultType is the "typ" of RFC 7519, Section 5.1.
const defaultType = jwt.TypeJWT

func (a *app) jwtCommand() *cobra.Command {
	return a.group("jwt", "Sign, verify and look into tokens",
		a.jwtSignCommand(), a.jwtVerifyCommand(), a.jwtDecodeCommand())
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
			d, err := decode(token)
			if err != nil {
				return hinted(err, jwt.Explain(err).Hint)
			}
			a.say("NOTHING WAS VERIFIED: anybody can have written what follows")
			if d.Encrypted {
				a.say("the content is encrypted: counterfoil jwe decrypt, or jwt verify --decrypt-key, opens it")
			}
			if machine {
				return a.printJSON(d)
			}
			return a.printDecoded(token, d)
		},
	}
	cmd.Flags().BoolVar(&machine, "json", false, "print one JSON object")
	return cmd
}

// decoded is the --json form of jwt decode.
type decoded struct {
	Verified  bool           `json:"verified"` // always false
	Size      int            `json:"size"`     // bytes of the token
	Header    jsontext.Value `json:"header"`
	Encrypted bool           `json:"encrypted,omitzero"`
	Claims    jsontext.Value `json:"claims,omitzero"` // absent if encrypted
}

// decode reads what anybody can read of a token.
func decode(token string) (d decoded, err error) {
	d.Size = len(token)
	u, err := jwt.ParseUnverified(token)
	switch {
	case errors.Is(err, jws.ErrEncrypted):
		d.Encrypted = true
	case err != nil:
		return d, err
	default:
		d.Claims = u.UnverifiedClaims()
	}
	d.Header, err = protectedHeader([]byte(token))
	return d, err
}

func (a *app) printDecoded(token string, d decoded) error {
	var b strings.Builder
	for _, part := range []struct {
		name   string
		object jsontext.Value
	}{{"header", d.Header}, {"claims", d.Claims}} {
		if part.object == nil {
			continue
		}
		fmt.Fprintf(&b, "%s\n", part.name)
		if err := a.writeMembers(&b, part.object); err != nil {
			return err
		}
	}
	b.WriteString(sizes(token, d.Encrypted))
	_, err := a.stdout.Write([]byte(b.String()))
	return err
}

// sizes says which part of a token takes how much of it.
func sizes(token string, encrypted bool) string {
	limit, names := jws.MaxToken, []string{"header", "claims", "signature"}
	if encrypted {
		limit, names = jwt.MaxNested, []string{"header", "encrypted key", "iv", "ciphertext", "tag"}
	}
	parts := strings.Split(token, ".")
	for i, name := range names {
		names[i] = fmt.Sprintf("%s %d", name, len(parts[i]))
	}
	return fmt.Sprintf("size\n  %d bytes of at most %d: %s\n", len(token), limit, strings.Join(names, ", "))
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

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

func (a *app) jwsCommand() *cobra.Command {
	return a.group("jws", "Sign and verify any bytes", a.jwsSignCommand(), a.jwsVerifyCommand())
}

// A jwsForm is how a JWS is written.
type jwsForm struct {
	format   string
	detached bool
	b64      bool
}

func (f jwsForm) check() error {
	switch f.format {
	case "compact", "flattened", "general":
		return nil
	}
	return misuse("--format is compact, flattened or general")
}

func (a *app) jwsSignCommand() *cobra.Command {
	var (
		key  keyFlags
		typ  string
		form jwsForm
	)
	cmd := &cobra.Command{
		Use: "sign --key FILE [FILE]", Short: "Sign a file or stdin", Args: atMost("file"),
		Example: "counterfoil jws sign --key key.json release.txt > release.jws\n" +
			"counterfoil jws sign --key key.json --detached --b64=false release.tar > release.jws",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := form.check(); err != nil {
				return err
			}
			if err := required(cmd.Flags(), "key"); err != nil {
				return err
			}
			input := firstOr(args, "-")
			if err := oneStdin(key.source, input); err != nil {
				return err
			}
			k, err := a.readKey(key)
			if err != nil {
				return err
			}
			signer, err := form.signer(k, typ)
			if err != nil {
				return err
			}
			token, err := a.signFile(signer, form, input)
			if err != nil {
				return explainSign(err, form)
			}
			_, err = fmt.Fprintf(a.stdout, "%s\n", token)
			return err
		},
	}
	key.register(cmd.Flags(), "key", "private or symmetric key: a `FILE` or - (required)")
	cmd.Flags().StringVar(&typ, "typ", "", "\"typ\" of the header (default none)")
	cmd.Flags().StringVar(&form.format, "format", "compact", "compact, flattened or general (JSON)")
	cmd.Flags().BoolVar(&form.detached, "detached", false, "leave the payload out; it may be of any size")
	cmd.Flags().BoolVar(&form.b64, "b64", true, "false: sign the payload without base64url, RFC 7797")
	return cmd
}

func (f jwsForm) signer(key *jwk.Key, typ string) (*jws.Signer, error) {
	h := jws.Header{Type: typ}
	if !f.b64 {
		h = h.WithUnencoded()
	}
	return jws.NewSigner(key, h)
}

// signFile signs a file or stdin. Only a detached payload is not read into memory.
func (a *app) signFile(s *jws.Signer, f jwsForm, name string) ([]byte, error) {
	if f.detached {
		return a.signDetached(s, f, name)
	}
	payload, err := a.readInput(name)
	if err != nil {
		return nil, err
	}
	switch f.format {
	case "flattened":
		return s.SignFlattened(payload)
	case "general":
		return jws.SignJSON(payload, s)
	}
	token, err := s.Sign(payload)
	return []byte(token), err
}

func (a *app) signDetached(s *jws.Signer, f jwsForm, name string) ([]byte, error) {
	payload, err := a.openInput(name)
	if err != nil {
		return nil, err
	}
	defer payload.Close()
	token, err := s.SignReader(payload)
	if err != nil {
		return nil, err
	}
	switch f.format {
	case "flattened":
		return jws.FlattenDetached(token)
	case "general":
		return jws.JoinDetached(token)
	}
	return []byte(token), nil
}

// explainSign says which form would take the payload.
func explainSign(err error, f jwsForm) error {
	_, large := errors.AsType[*inputError](err)
	switch {
	case large:
		return hinted(err, "--detached takes a payload of any size, and leaves it out of the token")
	case errors.Is(err, jwk.ErrNotStreamable):
		return tooLongForKey(err)
	case errors.Is(err, jws.ErrTooLarge) && f.format == "compact":
		return hinted(err, "--format flattened takes up to 1 MiB, --detached any size")
	case errors.Is(err, jws.ErrMalformed) && !f.detached && !f.b64:
		return hinted(err, "--detached leaves it out of the token")
	}
	return err
}

func tooLongForKey(err error) error {
	return hinted(err, "a key for ES256 or RS256 takes any size")
}

// openInput opens a file, or stdin for "-".
func (a *app) openInput(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(a.stdin), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, unreadable(name, err)
	}
	return f, nil
}

func (a *app) jwsVerifyCommand() *cobra.Command {
	var (
		keys    keyFlags
		payload string
	)
	cmd := &cobra.Command{
		Use: "verify --keys SET JWS", Short: "Verify a signature and print the payload", Args: atMost("JWS"),
		Long: "Verify a signature and print the payload. The JWS is compact or JSON; of several\n" +
			"signatures one good one is enough. A detached payload is read and not printed.",
		Example: "counterfoil jws verify --keys pub.json release.jws\n" +
			"counterfoil jws verify --keys pub.json --payload release.tar release.jws",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(cmd.Flags(), "keys"); err != nil {
				return err
			}
			if err := oneStdin(keys.source, payload, firstOr(args, "-")); err != nil {
				return err
			}
			token, err := a.readArgument(firstOr(args, "-"), jws.MaxDocument)
			if err != nil {
				return err
			}
			source, err := a.readKeys(cmd.Context(), keys)
			if err != nil {
				return err
			}
			msg, err := a.verifyJWS(source, token, payload)
			if err != nil {
				return explainJWS(err, token, payload)
			}
			a.sayVerified(msg, token)
			_, err = a.stdout.Write(msg.Payload())
			return err
		},
	}
	keys.register(cmd.Flags(), "keys", "key or `SET` of keys: a file, - or an https URL (required)")
	cmd.Flags().StringVar(&payload, "payload", "", "`FILE` with the detached payload, or -")
	return cmd
}

// isJSON tells the serializations apart (RFC 7516, Section 9).
func isJSON(token []byte) bool { return bytes.HasPrefix(bytes.TrimLeft(token, " \t\r\n"), []byte("{")) }

// isCompact reports whether a token has the compact form, whatever it is worth.
func isCompact(token []byte) bool {
	_, err := jws.Parse(string(token))
	return err == nil
}

// verifyJWS verifies a token in the form that it is in, with a payload that is
// detached if a file is named.
func (a *app) verifyJWS(keys jwk.Source, token []byte, payload string) (*jws.Message, error) {
	accept := jws.Options{Unencoded: true}
	if payload == "" {
		if isJSON(token) {
			return accept.VerifyJSON(keys, token)
		}
		return accept.Verify(keys, string(token))
	}
	r, err := a.openInput(payload)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if isJSON(token) {
		return accept.VerifyReaderJSON(keys, token, r)
	}
	return accept.VerifyReader(keys, string(token), r)
}

func (a *app) sayVerified(msg *jws.Message, token []byte) {
	which := ""
	if isJSON(token) {
		which = fmt.Sprintf("signature %d, ", msg.Index())
	}
	a.say("verified: %s%s by key %q", which, msg.Header().Algorithm, msg.Key().KeyID())
}

// explainJWS says why a JWS was refused, and what else may be wrong.
func explainJWS(err error, token []byte, payload string) error {
	detached := errors.Is(err, jws.ErrDetached) || bytes.Contains(token, []byte("..")) && errors.Is(err, jwk.ErrSignature)
	_, several := errors.AsType[*jws.SignaturesError](err)
	switch {
	case errors.Is(err, jwk.ErrNotStreamable):
		return tooLongForKey(err)
	case detached && payload == "":
		return hinted(err, "the payload of a detached JWS comes from --payload FILE")
	case several:
		return err
	case payload != "" && errors.Is(err, jws.ErrMalformed) && isCompact(token):
		return hinted(err, "without --payload a JWS is verified with the payload that it has in it")
	}
	return explainKey(err, strings.TrimSpace(string(token)))
}

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/counterfoil/counterfoil/jose/jws"
)

func (a *app) jwsCommand() *cobra.Command {
	return a.group("jws", "Sign and verify any bytes", a.jwsSignCommand(), a.jwsVerifyCommand())
}

// jwsForms are the flags for forms of a JWS that are not there yet. They are
// taken and refused, so that nobody gets another form than he asked for.
type jwsForms struct {
	format   string
	detached bool
	b64      bool
}

func (f jwsForms) check() error {
	switch {
	case f.format != "compact":
		return misuse("--format %s is not there yet: only compact", f.format)
	case f.detached:
		return misuse("--detached is not there yet")
	case !f.b64:
		return misuse("--b64=false is not there yet")
	}
	return nil
}

func (a *app) jwsSignCommand() *cobra.Command {
	var (
		key   keyFlags
		typ   string
		forms jwsForms
	)
	cmd := &cobra.Command{
		Use: "sign --key FILE [FILE]", Short: "Sign a file or stdin", Args: atMost("file"),
		Example: "counterfoil jws sign --key key.json release.txt > release.jws",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := forms.check(); err != nil {
				return err
			}
			signer, payload, err := a.readToSign(cmd, key, args)
			if err != nil {
				return err
			}
			token, err := jws.Sign(signer, jws.Header{Type: typ}, payload)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(a.stdout, token)
			return err
		},
	}
	key.register(cmd.Flags(), "key", "private or symmetric key: a `FILE` or - (required)")
	cmd.Flags().StringVar(&typ, "typ", "", "\"typ\" of the header (default none)")
	cmd.Flags().StringVar(&forms.format, "format", "compact", "compact; flattened and general are not there yet")
	cmd.Flags().BoolVar(&forms.detached, "detached", false, "leave the payload out (not there yet)")
	cmd.Flags().BoolVar(&forms.b64, "b64", true, "false: sign the payload unencoded, RFC 7797 (not there yet)")
	return cmd
}

func (a *app) jwsVerifyCommand() *cobra.Command {
	var (
		keys    keyFlags
		payload string
	)
	cmd := &cobra.Command{
		Use: "verify --keys SET JWS", Short: "Verify a signature and print the payload", Args: atMost("JWS"),
		Example: "counterfoil jws verify --keys pub.json release.jws",
		RunE: func(cmd *cobra.Command, args []string) error {
			if payload != "" {
				return misuse("--payload is not there yet: detached content cannot be verified")
			}
			if err := required(cmd.Flags(), "keys"); err != nil {
				return err
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
			msg, err := jws.Verify(source, token)
			if err != nil {
				return explainKey(err, token)
			}
			a.say("verified: %s by key %q", msg.Header().Algorithm, msg.Key().KeyID())
			_, err = a.stdout.Write(msg.Payload())
			return err
		},
	}
	keys.register(cmd.Flags(), "keys", "key or `SET` of keys: a file, - or an https URL (required)")
	cmd.Flags().StringVar(&payload, "payload", "", "`FILE` with the detached payload (not there yet)")
	return cmd
}

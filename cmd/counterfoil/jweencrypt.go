package main

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/counterfoil/counterfoil/jose/jwe"
)

// maxPlaintext is what base64url leaves of the longest message, in bytes.
const maxPlaintext = jwe.MaxToken / 4 * 3

// An encryption is what jwe encrypt was asked for.
type encryption struct {
	keys   []string
	alg    string
	enc    string
	cty    string
	format string
}

func (a *app) jweEncryptCommand() *cobra.Command {
	var e encryption
	cmd := &cobra.Command{
		Use: "encrypt --key FILE --enc E [FILE]", Short: "Encrypt a file or stdin", Args: atMost("file"),
		Long: `Encrypt a file or stdin for the holder of a key.

The key is a public one or a shared secret, from a file or as the one key for
encryption in a set, which may be an https URL. With --format general --key is
given for each recipient. Nobody can tell from the result who made it: to prove
where a token comes from, sign it first: jwt sign --encrypt-to.`,
		Example: "counterfoil jwe encrypt --key pub.json --enc A256GCM letter.txt > letter.jwe",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := e.check(); err != nil {
				return err
			}
			input := firstOr(args, "-")
			if err := oneStdin(append(slices.Clone(e.keys), input)...); err != nil {
				return err
			}
			recipients, err := a.encrypters(cmd, e)
			if err != nil {
				return err
			}
			plaintext, err := a.readAtMost(input, maxPlaintext)
			if err != nil {
				return err
			}
			message, err := e.encrypt(plaintext, recipients)
			if err != nil {
				return err
			}
			_, err = a.stdout.Write(append(message, '\n'))
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&e.keys, "key", nil, "public or shared key: a `FILE`, - or an https URL; repeatable (required)")
	flags.StringVar(&e.alg, "alg", "", "algorithm of a key that does not name one itself")
	flags.StringVar(&e.enc, "enc", "", "content encryption, such as A256GCM (required)")
	flags.StringVar(&e.cty, "cty", "", "\"cty\" of the header: what the content is, JWT for a token (default none)")
	flags.StringVar(&e.format, "format", "compact", "compact, flattened or general (JSON)")
	return cmd
}

func (e encryption) check() error {
	switch {
	case len(e.keys) == 0:
		return misuse("--key is required")
	case e.format == "compact" || e.format == "flattened":
		if len(e.keys) > 1 {
			return hinted(misuse("%s has one recipient", e.format), "--format general")
		}
	case e.format != "general":
		return misuse("--format is compact, flattened or general")
	}
	return nil
}

func (a *app) encrypters(cmd *cobra.Command, e encryption) ([]*jwe.Encrypter, error) {
	list := make([]*jwe.Encrypter, len(e.keys))
	for i, source := range e.keys {
		key, err := a.readRecipient(cmd.Context(), keyFlags{source, e.alg})
		if err != nil {
			return nil, err
		}
		enc, err := contentEncryption(key, jwe.Encryption(e.enc), "enc")
		if err != nil {
			return nil, err
		}
		if key.Direct() && len(e.keys) > 1 {
			return nil, misuse("a key for %s has its message to itself: the content key follows from it", key.Algorithm())
		}
		if list[i], err = jwe.NewEncrypter(key, enc, jwe.Header{ContentType: e.cty}); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (e encryption) encrypt(plaintext []byte, recipients []*jwe.Encrypter) ([]byte, error) {
	switch e.format {
	case "flattened":
		return jwe.EncryptJSON(plaintext, nil, recipients...)
	case "general":
		return jwe.EncryptGeneral(plaintext, nil, recipients...)
	}
	token, err := recipients[0].Encrypt(plaintext)
	return []byte(token), err
}

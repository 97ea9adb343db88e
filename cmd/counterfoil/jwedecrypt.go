package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

func (a *app) jweDecryptCommand() *cobra.Command {
	d := decryption{}
	cmd := &cobra.Command{
		Use: "decrypt --key FILE --enc E JWE", Short: "Decrypt and print the content", Args: atMost("JWE"),
		Long: `Decrypt a JWE, compact or JSON, and print its content.

The algorithms are those that you name, whatever the message says: --enc, and --alg
unless the key names its own. That it decrypts says nothing about who wrote it.`,
		Example: "counterfoil jwe decrypt --key key.json --alg ECDH-ES --enc A256GCM letter.jwe",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(cmd.Flags(), "key"); err != nil {
				return err
			}
			input := firstOr(args, "-")
			if err := oneStdin(d.key, input); err != nil {
				return err
			}
			token, err := a.readArgument(input, jwe.MaxToken)
			if err != nil {
				return err
			}
			keys, policy, err := a.readDecryption(cmd.Context(), d)
			if err != nil {
				return err
			}
			message, err := decryptMessage(keys, policy, token)
			if err != nil {
				return d.explain(err, token)
			}
			a.sayDecrypted(message.Key())
			_, err = a.stdout.Write(message.Plaintext())
			return err
		},
	}
	d.register(cmd.Flags(), "")
	return cmd
}

// sayDecrypted says who can have written what a key has decrypted.
func (a *app) sayDecrypted(key *jwk.Key) {
	half := "the other half"
	if key.IsSymmetric() {
		half = "the same key"
	}
	a.say("decrypted by key %q; anybody who has %s can have written it", key.KeyID(), half)
}

func decryptMessage(keys jwk.Source, p jwe.Policy, token []byte) (*jwe.Message, error) {
	if isJSON(token) {
		return jwe.DecryptJSON(keys, p, token)
	}
	return jwe.DecryptMessage(keys, p, string(token))
}

// A decryption says by which key and under which policy a JWE is opened.
type decryption struct {
	prefix     string // of the names of its flags
	key        string
	alg, enc   string
	zip        bool
	iterations int
}

func (d *decryption) register(flags *pflag.FlagSet, prefix string) {
	need := " (required)"
	if d.prefix = prefix; prefix != "" {
		need = " (default: the token is not encrypted)"
	}
	flags.StringVar(&d.key, prefix+"key", "", "private or shared key to decrypt with: a `FILE` or -"+need)
	flags.StringVar(&d.alg, prefix+"alg", "", "algorithm to accept (default: the one that the key names)")
	flags.StringVar(&d.enc, prefix+"enc", "", "content encryption to accept, such as A256GCM")
	flags.BoolVar(&d.zip, "allow-zip", false, fmt.Sprintf("accept compressed content, up to %d bytes", jwe.MaxInflated))
	flags.IntVar(&d.iterations, "pbes2-iterations", 0, fmt.Sprintf("accept a password, and so many iterations (up to %d)", jwe.MaxIterations))
}

// readDecryption reads the keys, and completes the policy by what they say.
func (a *app) readDecryption(ctx context.Context, d decryption) (jwk.Source, jwe.Policy, error) {
	p := jwe.Policy{AllowZip: d.zip, MaxIterations: d.iterations, Algorithm: jwk.Algorithm(d.alg), Encryption: jwe.Encryption(d.enc)}
	if d.iterations < 0 || d.iterations > jwe.MaxIterations {
		return nil, p, misuse("--pbes2-iterations is at most %d", jwe.MaxIterations)
	}
	source, err := a.readKeys(ctx, keyFlags{d.key, d.alg})
	if err != nil {
		return nil, p, err
	}
	if key, ok := source.(*jwk.Key); ok {
		if !key.IsPrivate() {
			return nil, p, misuse("%s holds a public key, and to decrypt takes the private one", d.key)
		}
		p.Algorithm = key.Algorithm()
		p.Encryption, err = contentEncryption(key, p.Encryption, d.prefix+"enc")
		return key, p, err
	}
	if d.alg == "" {
		return nil, p, misuse("--%salg is required with a set of keys", d.prefix)
	}
	if d.enc == "" && !p.Algorithm.Integrated() {
		return nil, p, hinted(misuse("--%senc is required: how the content is encrypted", d.prefix), "--"+d.prefix+"enc A256GCM")
	}
	return source, p, nil
}

// explain says why a JWE was refused, and which flag allows it if one does.
func (d *decryption) explain(err error, token []byte) error {
	says := headerSays(token)
	switch {
	case errors.Is(err, jwe.ErrCompressed):
		return hinted(err, "--allow-zip reads it; the length of what is compressed tells about its content")
	case errors.Is(err, jwe.ErrIterations) && says.Iterations > 0:
		return hinted(fmt.Errorf("%w: it wants %d", err, says.Iterations), "--pbes2-iterations allows so many; they cost time, so only for a message that you expect")
	case errors.Is(err, jwe.ErrIterations):
		return hinted(err, "--pbes2-iterations allows them; they cost time, so only for a message that you expect")
	case errors.Is(err, jwe.ErrAlgorithm) && says.Algorithm != "":
		return hinted(fmt.Errorf("%w: the message has alg %q", err, says.Algorithm), "take a key for that, if that is what was agreed")
	case errors.Is(err, jwe.ErrEncryption) && says.Encryption.KeySize() > 0:
		return hinted(fmt.Errorf("%w: the message has %s", err, says.Encryption), fmt.Sprintf("--%senc %s, if that is what was agreed", d.prefix, says.Encryption))
	case errors.Is(err, jwk.ErrUnknownKey):
		return errors.New("none of the keys is the one that the message names")
	case bytes.Count(token, []byte(".")) == 2 && !isJSON(token):
		return hinted(errors.New("this is signed and not encrypted"), d.forSigned())
	}
	if e := jwt.Explain(err); e.Hint != "" {
		return hinted(err, e.Hint)
	}
	return err
}

// forSigned says what to type for a token that is not encrypted.
func (d *decryption) forSigned() string {
	if d.prefix == "" {
		return "counterfoil jws verify, or jwt verify"
	}
	return "leave --" + d.prefix + "key out"
}

// saying is what a JWE says of itself in its protected header.
type saying struct {
	Algorithm  jwk.Algorithm  `json:"alg"`
	Encryption jwe.Encryption `json:"enc"`
	Iterations int            `json:"p2c"`
}

func headerSays(token []byte) (s saying) {
	if header, err := protectedHeader(token); err != nil || wire.Unmarshal(header, &s) != nil {
		return saying{}
	}
	return s
}

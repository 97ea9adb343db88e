package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

func (a *app) jwkCommand() *cobra.Command {
	return a.group("jwk", "Make and look at keys",
		a.jwkGenerateCommand(), a.jwkPublicCommand(), a.jwkThumbprintCommand(), a.jwkConvertCommand())
}

func (a *app) jwkGenerateCommand() *cobra.Command {
	var alg, kid, out string
	cmd := &cobra.Command{
		Use: "generate --alg ALG", Short: "Make a key for one algorithm", Args: takes(),
		Long: `Make a private or symmetric key for one algorithm and print it as a JWK.

HS256 HS384 HS512, RS256 RS384 RS512, PS256 PS384 PS512, ES256 ES384 ES512,
Ed25519 (and its older name EdDSA), A256GCMKW.`,
		Example: "counterfoil jwk generate --alg ES256 --out key.json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(cmd.Flags(), "alg"); err != nil {
				return err
			}
			key, err := jwk.Generate(jwk.Params{Algorithm: jwk.Algorithm(alg), KeyID: kid})
			if errors.Is(err, jwk.ErrUnsupported) {
				return hinted(misuse("there is no algorithm %q", alg), cmd.CommandPath()+" --help names those that there are")
			}
			if err != nil {
				return &misuseError{err}
			}
			data, err := key.MarshalPrivate()
			if err != nil {
				return err
			}
			return a.writeSecret(out, data)
		},
	}
	cmd.Flags().StringVar(&alg, "alg", "", "algorithm (required)")
	cmd.Flags().StringVar(&kid, "kid", "", "key id (default: thumbprint, or random for a symmetric key)")
	cmd.Flags().StringVarP(&out, "out", "o", "-", "new `FILE` with mode 0600, or - for stdout")
	return cmd
}

// writeSecret writes a line to stdout, or to a new file that only its owner reads.
func (a *app) writeSecret(name string, data []byte) error {
	return a.writeNew(name, append(data, '\n'))
}

// writeNew writes to stdout, or to a new file that only its owner reads.
func (a *app) writeNew(name string, data []byte) error {
	if name == "-" {
		_, err := a.stdout.Write(data)
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return misuse("%s exists; a key is not overwritten", name)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

func (a *app) jwkPublicCommand() *cobra.Command {
	return &cobra.Command{
		Use: "public [FILE]", Short: "Print the public half of a key or of a set", Args: atMost("file"),
		Example: "counterfoil jwk public < key.json > pub.json",
		RunE: func(_ *cobra.Command, args []string) error {
			data, err := a.readInput(firstOr(args, "-"))
			if err != nil {
				return err
			}
			if err := notPEM(data); err != nil {
				return err
			}
			public, err := publicHalf(data)
			if errors.Is(err, jwk.ErrSymmetric) {
				return fmt.Errorf("a symmetric key has no public half: whoever can verify with it can sign with it")
			}
			if err != nil {
				return err
			}
			return a.printJSON(public)
		},
	}
}

// publicHalf returns a *jwk.Key or a *jwk.Set.
func publicHalf(data []byte) (any, error) {
	var shape struct {
		Keys *[]any `json:"keys"`
	}
	if err := wire.Unmarshal(data, &shape); err != nil || shape.Keys == nil {
		key, err := jwk.Parse(data)
		if err != nil {
			return nil, err
		}
		return key.Public()
	}
	set, err := jwk.ParsePrivateSet(data)
	if err != nil {
		return nil, err
	}
	if skipped := set.Skipped(); len(skipped) > 0 {
		return nil, fmt.Errorf("key %d %q: %w", skipped[0].Index, skipped[0].KeyID, skipped[0].Err)
	}
	public := make([]*jwk.Key, set.Len())
	for i, key := range set.Keys() {
		if public[i], err = key.Public(); err != nil {
			return nil, err
		}
	}
	return jwk.NewSet(public...)
}

func (a *app) jwkThumbprintCommand() *cobra.Command {
	var (
		alg string
		uri bool
	)
	cmd := &cobra.Command{
		Use: "thumbprint [FILE]", Short: "Print the RFC 7638 thumbprint of a key", Args: atMost("file"),
		RunE: func(_ *cobra.Command, args []string) error {
			data, err := a.readInput(firstOr(args, "-"))
			if err != nil {
				return err
			}
			key, err := parseKey(data, alg)
			if err != nil {
				return err
			}
			// RFC 7638, Section 7: a hash of a secret helps whoever guesses it.
			if key.IsSymmetric() {
				return errors.New("the thumbprint of a symmetric key would give a hash of the secret away")
			}
			text := key.Thumbprint()
			if uri {
				text = key.ThumbprintURI()
			}
			_, err = fmt.Fprintln(a.stdout, text)
			return err
		},
	}
	cmd.Flags().StringVar(&alg, "alg", "", "algorithm of a key that does not name one itself")
	cmd.Flags().BoolVar(&uri, "uri", false, "print the URI of RFC 9278")
	return cmd
}

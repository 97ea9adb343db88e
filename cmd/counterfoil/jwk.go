package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

func (a *app) jwkCommand() *cobra.Command {
	return a.group("jwk", "Make and look at keys",
		a.jwkGenerateCommand(), a.jwkPublicCommand(), a.jwkThumbprintCommand(), a.jwkConvertCommand())
}

// outFlag is where a secret goes that is shown once.
func outFlag(cmd *cobra.Command, out *string) {
	cmd.Flags().StringVarP(out, "out", "o", "-", "new `FILE` with mode 0600, or - for stdout")
}

// wantNew refuses a file that is there, before a secret is made that could then not be
// written.
func wantNew(name string) error {
	if name != "-" && exists(name) {
		return errExists(name)
	}
	return nil
}

func errExists(name string) error { return misuse("%s exists; a key is not overwritten", name) }

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
		return errExists(name)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

func (a *app) jwkPublicCommand() *cobra.Command {
	var alg string
	cmd := &cobra.Command{
		Use: "public [FILE]", Short: "Print the public half of a key or of a set", Args: atMost("file"),
		Example: "counterfoil jwk public < key.json > pub.json",
		RunE: func(_ *cobra.Command, args []string) error {
			data, err := a.readInput(firstOr(args, "-"))
			if err != nil {
				return err
			}
			public, err := publicHalf(data, alg)
			if errors.Is(err, jwk.ErrSymmetric) {
				return errors.New("a symmetric key has no public half: whoever can verify with it can sign with it")
			}
			if err != nil {
				return err
			}
			return a.printJSON(public)
		},
	}
	cmd.Flags().StringVar(&alg, "alg", "", "algorithm of a key that does not name one itself")
	return cmd
}

// publicHalf returns a *jwk.Key or a *jwk.Set.
func publicHalf(data []byte, alg string) (any, error) {
	if !isSet(data) {
		key, err := parseKey(data, alg)
		if err != nil {
			return nil, err
		}
		return key.Public()
	}
	set, err := jwk.ParsePrivateSetAs(data, jwk.Params{Algorithm: jwk.Algorithm(alg)})
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
		Example: "counterfoil jwk thumbprint --uri pub.json",
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
			thumbprint := key.Thumbprint()
			if uri {
				thumbprint = key.ThumbprintURI()
			}
			_, err = fmt.Fprintln(a.stdout, thumbprint)
			return err
		},
	}
	cmd.Flags().StringVar(&alg, "alg", "", "algorithm of a key that does not name one itself")
	cmd.Flags().BoolVar(&uri, "uri", false, "print it as a URI, RFC 9278")
	return cmd
}

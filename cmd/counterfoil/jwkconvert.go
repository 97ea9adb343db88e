package main

import (
	"bytes"
	"errors"

	"github.com/spf13/cobra"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

// A conversion is what jwk convert was asked for.
type conversion struct {
	params       jwk.Params
	to           string // a form, or "" for the other one
	public       bool   // drop the private part
	certificates string // file with a chain in PEM, or ""
}

func (a *app) jwkConvertCommand() *cobra.Command {
	var (
		c        conversion
		alg, out string
	)
	cmd := &cobra.Command{
		Use: "convert [--alg ALG] [--to FORM] [FILE]", Short: "Convert a key between JWK, PEM, DER and certificates", Args: atMost("file"),
		Long: `Convert one key between JWK, PEM, DER and certificates.

The input is a JWK, or PEM or DER of PKCS #8, PKCS #1, SEC 1, a public key or a
certificate. What comes out is named by --to:

  jwk           a JWK, with the certificates of the key as x5c
  pem, der      PKCS #8 of a private key, SubjectPublicKeyInfo of a public one
  certificates  the certificates of the key in PEM

By default a JWK becomes PEM, and all else a JWK. A PEM file does not say what its
key is for, and a JWK of ours does: an RSA key needs --alg.`,
		Example: "counterfoil jwk convert --alg RS256 --out key.json key.pem\n" +
			"counterfoil jwk convert --public key.json > public.pem\n" +
			"counterfoil jwk convert --to jwk --certificates chain.pem --out certified.json key.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			c.params.Algorithm = jwk.Algorithm(alg)
			if err := oneStdin(firstOr(args, "-"), c.certificates); err != nil {
				return err
			}
			data, err := a.readInput(firstOr(args, "-"))
			if err != nil {
				return err
			}
			converted, err := a.convert(c, data)
			if err != nil {
				return explainConversion(err, alg)
			}
			return a.writeNew(out, converted)
		},
	}
	cmd.Flags().StringVar(&alg, "alg", "", "algorithm that the key is for, where it does not say so itself")
	cmd.Flags().StringVar(&c.params.KeyID, "kid", "", "key id (default: thumbprint)")
	cmd.Flags().StringVar(&c.to, "to", "", "`FORM` to write: jwk, pem, der or certificates")
	cmd.Flags().BoolVar(&c.public, "public", false, "write the public half only")
	cmd.Flags().StringVar(&c.certificates, "certificates", "", "PEM `FILE` with the certificates of the key, its own first")
	cmd.Flags().StringVarP(&out, "out", "o", "-", "new `FILE` with mode 0600, or - for stdout")
	return cmd
}

// convert reads the key in data and writes it as c says.
func (a *app) convert(c conversion, data []byte) ([]byte, error) {
	key, isJWK, err := parseAny(data, c.params)
	if err != nil {
		return nil, err
	}
	if c.public {
		if key, err = key.Public(); err != nil {
			return nil, err
		}
	}
	if c.certificates != "" {
		if key, err = a.certify(key, c.certificates); err != nil {
			return nil, err
		}
	}
	if c.to == "" {
		c.to = "jwk"
		if isJWK {
			c.to = "pem"
		}
	}
	return writeAs(key, c.to)
}

// parseAny reads a key in any of its forms.
func parseAny(data []byte, p jwk.Params) (key *jwk.Key, isJWK bool, err error) {
	switch text := bytes.TrimSpace(data); {
	case bytes.HasPrefix(text, []byte("{")):
		key, err = jwk.ParseAs(data, p)
		return key, true, err
	case bytes.Contains(text, []byte("-----BEGIN ")):
		key, err = jwk.ParsePEM(data, p)
		return key, false, err
	case len(data) > 0 && data[0] == 0x30: // a SEQUENCE of ASN.1
		key, err = jwk.ParseDER(data, p)
		return key, false, err
	}
	return nil, false, misuse("this is neither a JWK nor PEM nor DER")
}

// certify gives a key the certificates of a file.
func (a *app) certify(key *jwk.Key, name string) (*jwk.Key, error) {
	data, err := a.readInput(name)
	if err != nil {
		return nil, err
	}
	chain, err := jwk.ParseCertificates(data)
	if err != nil {
		return nil, err
	}
	return key.WithCertificates(chain...)
}

// writeAs writes a key in one of its forms, text with a line end.
func writeAs(key *jwk.Key, form string) ([]byte, error) {
	switch form {
	case "jwk":
		data, err := key.MarshalPrivate()
		return append(data, '\n'), err
	case "pem":
		if key.IsPrivate() {
			return key.MarshalPrivatePEM()
		}
		return key.MarshalPEM()
	case "der":
		if key.IsPrivate() {
			return key.MarshalPrivateDER()
		}
		return key.MarshalDER()
	case "certificates":
		if data := key.MarshalCertificatesPEM(); data != nil {
			return data, nil
		}
		return nil, errors.New("the key has no certificates")
	}
	return nil, misuse("--to is jwk, pem, der or certificates")
}

// explainConversion says what to type where the error of jwk does not.
func explainConversion(err error, alg string) error {
	switch {
	case errors.Is(err, jwk.ErrEncrypted):
		return hinted(errors.New("the key is encrypted"), "openssl pkey -in FILE | counterfoil jwk convert")
	case errors.Is(err, jwk.ErrNoAlgorithm):
		return hinted(misuse("such a key does not say what it is for"), "name it: --alg RS256, --alg PS256, …")
	case errors.Is(err, jwk.ErrSymmetric):
		return errors.New("a symmetric key has no other form than JWK, and no public half")
	case errors.Is(err, jwk.ErrUnsupported):
		return err
	case errors.Is(err, jwk.ErrAlgorithm) && alg != "":
		return misuse("the key in this file is not one for %q", alg)
	}
	return err
}

package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"

	"github.com/spf13/cobra"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

func (a *app) jwkConvertCommand() *cobra.Command {
	var alg, kid, out string
	cmd := &cobra.Command{
		Use: "convert --alg ALG [FILE]", Short: "Make a JWK of a PEM file", Args: atMost("file"),
		Long: `Make a JWK of a key in a PEM file: PKCS #8, PKCS #1, SEC 1, or a public key.

A PEM file does not say what its key is for, and a JWK of ours does: --alg.
The other direction is not there yet.`,
		Example: "counterfoil jwk convert --alg RS256 --out key.json key.pem",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(cmd.Flags(), "alg"); err != nil {
				return err
			}
			data, err := a.readInput(firstOr(args, "-"))
			if err != nil {
				return err
			}
			material, err := parsePEM(data)
			if err != nil {
				return err
			}
			key, err := jwk.New(material, jwk.Params{Algorithm: jwk.Algorithm(alg), KeyID: kid})
			if errors.Is(err, jwk.ErrAlgorithm) {
				return misuse("the key in this file is not one for %q", alg)
			}
			if err != nil {
				return err
			}
			text, err := key.MarshalPrivate()
			if err != nil {
				return err
			}
			return a.writeSecret(out, text)
		},
	}
	cmd.Flags().StringVar(&alg, "alg", "", "algorithm that the key is for (required)")
	cmd.Flags().StringVar(&kid, "kid", "", "key id (default: thumbprint)")
	cmd.Flags().StringVarP(&out, "out", "o", "-", "new `FILE` with mode 0600, or - for stdout")
	return cmd
}

// parsePEM reads the first block of a PEM file.
func parsePEM(data []byte) (any, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, misuse("this is not a PEM file")
	}
	switch block.Type {
	case "PRIVATE KEY":
		return x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		return x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		return x509.ParseECPrivateKey(block.Bytes)
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		return nil, hinted(errors.New("the key is encrypted"), "openssl pkey -in FILE | counterfoil jwk convert --alg ALG")
	}
	return nil, misuse("a PEM block of type %q is not a key", block.Type)
}

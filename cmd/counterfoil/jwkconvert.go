package main

import (
	"bytes"
	"errors"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

// A conversion is what jwk convert was asked for.
type conversion struct {
	alg, kid     string
	secret       bool   // the input is the secret itself
	public       bool   // drop the private part
	certificates string // file with a chain in PEM, or ""
	to           string // a form, or "" for the other one
}

func (a *app) jwkConvertCommand() *cobra.Command {
	var (
		c   conversion
		out string
	)
	cmd := &cobra.Command{
		Use: "convert [--alg ALG] [--to FORM] [FILE]", Short: "Convert a key between JWK, PEM, DER and certificates", Args: atMost("file"),
		Long: `Convert one key between JWK, PEM, DER and certificates.

The input is a JWK, or PEM or DER of PKCS #8, PKCS #1, SEC 1, a public key or
certificates. With --secret it is a shared secret or a password: a text loses the
line end behind it, other bytes are taken as they are. What comes out is named by --to:

  jwk           a JWK, with the certificates of the key as x5c
  pem, der      PKCS #8 of a private key, SubjectPublicKeyInfo of a public one
  certificates  the certificates of the key in PEM

By default a JWK becomes PEM, and all else a JWK. PEM and DER do not say what a key is
for, and a JWK of ours does: a key on the curve of ECDSA or Ed25519 is for signing
unless --alg says otherwise, and all others need --alg.`,
		Example: "counterfoil jwk convert --alg RS256 --out key.json key.pem\n" +
			"counterfoil jwk convert --public key.json > public.pem\n" +
			"counterfoil jwk convert --secret --alg HS256 --out secret.json secret.txt\n" +
			"counterfoil jwk convert --to jwk --certificates chain.pem --out certified.json key.json",
		RunE: func(_ *cobra.Command, args []string) error {
			input := firstOr(args, "-")
			if err := oneStdin(input, c.certificates); err != nil {
				return err
			}
			data, err := a.readInput(input)
			if err != nil {
				return err
			}
			converted, err := a.convert(c, data)
			if err != nil {
				return err
			}
			return a.writeNew(out, converted)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&c.alg, "alg", "", "algorithm that the key is for, where it does not say so itself")
	flags.StringVar(&c.kid, "kid", "", "key id (default: its own, or the thumbprint)")
	flags.BoolVar(&c.secret, "secret", false, "the input is a shared secret or a password")
	flags.StringVar(&c.to, "to", "", "`FORM` to write: jwk, pem, der or certificates")
	flags.BoolVar(&c.public, "public", false, "write the public half only")
	flags.StringVar(&c.certificates, "certificates", "", "PEM `FILE` with the certificates of the key, its own first")
	flags.StringVarP(&out, "out", "o", "-", "new `FILE` with mode 0600, or - for stdout")
	return cmd
}

// convert reads the key in data and writes it as c says.
func (a *app) convert(c conversion, data []byte) ([]byte, error) {
	key, err := c.read(data)
	if err != nil {
		return nil, err
	}
	if c.public {
		if key, err = key.Public(); err != nil {
			return nil, explainSymmetric(err)
		}
	}
	if c.certificates != "" {
		if key, err = a.certify(key, c.certificates); err != nil {
			return nil, err
		}
	}
	if c.to == "" {
		c.to = "jwk"
		if isJSON(data) && !c.secret {
			c.to = "pem"
		}
	}
	converted, err := writeAs(key, c.to)
	return converted, explainSymmetric(err)
}

// read reads a key in the form that it is in.
func (c *conversion) read(data []byte) (*jwk.Key, error) {
	p := jwk.Params{Algorithm: jwk.Algorithm(c.alg), KeyID: c.kid}
	switch {
	case c.secret && c.alg == "":
		return nil, hinted(misuse("a secret does not say what it is for: --alg is required"), "--alg HS256")
	case c.secret:
		key, err := jwk.New(secretOf(data), p)
		return key, c.explain(err)
	case isPEM(data):
		key, err := jwk.ParsePEM(data, p)
		return key, c.explain(err)
	case isDER(data):
		key, err := jwk.ParseDER(data, p)
		return key, c.explain(err)
	case isSet(data):
		return nil, errIsSet
	case isJSON(data):
		key, err := jwk.ParseAs(data, p)
		return key, c.explain(err)
	}
	return nil, hinted(misuse("this is neither a JWK nor PEM nor DER"), "if it is a shared secret: --secret --alg HS256")
}

// secretOf drops the line end of a secret that somebody typed.
func secretOf(data []byte) []byte {
	if !utf8.Valid(data) {
		return data
	}
	return []byte(trimLine(data))
}

func isPEM(data []byte) bool { return bytes.Contains(data, []byte("-----BEGIN ")) }

// isDER recognises a SEQUENCE with a long length, as each of the forms of a key
// has it but the shortest, whose length is one byte.
func isDER(data []byte) bool {
	return len(data) > 2 && data[0] == 0x30 && (data[1] >= 0x80 || int(data[1]) == len(data)-2)
}

// explain says what to type when a key was not understood.
func (c *conversion) explain(err error) error {
	switch {
	case errors.Is(err, jwk.ErrEncrypted):
		return hinted(errors.New("the key is encrypted"), "openssl pkey -in FILE | counterfoil jwk convert")
	case errors.Is(err, jwk.ErrNoAlgorithm):
		return hinted(misuse("such a key does not say what it is for"), "name it: --alg RS256, --alg PS256, … to sign, --alg RSA-OAEP-256, --alg ECDH-ES, … to encrypt")
	case errors.Is(err, jwk.ErrUnsupported) && c.alg != "" && !algorithmExists(c.alg):
		return noAlgorithm(c.alg)
	case errors.Is(err, jwk.ErrUnsupported):
		return err
	case errors.Is(err, jwk.ErrAlgorithm) && c.alg != "":
		return misuse("the key in this file is not one for %q", c.alg)
	case errors.Is(err, jwk.ErrWeakKey) && c.secret:
		return hinted(err, "counterfoil jwk generate --alg "+c.alg+" makes one that is long enough")
	case errors.Is(err, jwk.ErrMalformed):
		return hinted(err, "one key and nothing around it: openssl pkey -in FILE, or openssl x509 -in FILE, writes that")
	}
	return err
}

// algorithmExists asks for a key of nothing: it is too weak where it is not unknown.
func algorithmExists(alg string) bool {
	_, err := jwk.New([]byte(nil), jwk.Params{Algorithm: jwk.Algorithm(alg)})
	return !errors.Is(err, jwk.ErrUnsupported)
}

// certify gives a key the certificates of a file.
func (a *app) certify(key *jwk.Key, name string) (*jwk.Key, error) {
	data, err := a.readInput(name)
	if err != nil {
		return nil, err
	}
	chain, err := jwk.ParseCertificates(data)
	if err != nil {
		return nil, hinted(err, "openssl x509 -in FILE writes a certificate and nothing around it")
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

func explainSymmetric(err error) error {
	if errors.Is(err, jwk.ErrSymmetric) {
		return hinted(errors.New("a symmetric key has no other form than JWK, and no public half"), "--to jwk")
	}
	return err
}

package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

func (a *app) jwkGenerateCommand() *cobra.Command {
	var alg, kid, crv, enc, out string
	cmd := &cobra.Command{
		Use: "generate --alg ALG", Short: "Make a key for one algorithm", Args: takes(),
		Long: `Make a private or symmetric key for one algorithm and print it as a JWK.

To sign:
  ES256 ES384 ES512, Ed25519 (and its older name EdDSA),
  RS256 RS384 RS512, PS256 PS384 PS512, ML-DSA-44 ML-DSA-65 ML-DSA-87
  with a secret that both sides hold: HS256 HS384 HS512
To encrypt:
  ECDH-ES ECDH-ES+A128KW ECDH-ES+A192KW ECDH-ES+A256KW, on the curve --crv
  RSA-OAEP RSA-OAEP-256 RSA-OAEP-384 RSA-OAEP-512
  with a secret: dir (say for which --enc), A128KW A192KW A256KW,
  A128GCMKW A192GCMKW A256GCMKW,
  PBES2-HS256+A128KW PBES2-HS384+A192KW PBES2-HS512+A256KW
  experimental: HPKE-0 HPKE-1 HPKE-2 HPKE-3 HPKE-4 HPKE-7, and each with -KE`,
		Example: "counterfoil jwk generate --alg ES256 --out key.json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(cmd.Flags(), "alg"); err != nil {
				return err
			}
			p := jwk.Params{Algorithm: jwk.Algorithm(alg), KeyID: kid, Curve: crv, Encryption: jwk.Encryption(enc)}
			if err := checkGenerate(p); err != nil {
				return err
			}
			key, err := jwk.Generate(p)
			if errors.Is(err, jwk.ErrUnsupported) {
				return noAlgorithm(alg)
			}
			if err != nil {
				return &misuseError{err}
			}
			return a.writeKey(out, key)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&alg, "alg", "", "algorithm (required)")
	flags.StringVar(&kid, "kid", "", "key id (default: thumbprint, or random for a symmetric key)")
	flags.StringVar(&crv, "crv", "", "curve of ECDH-ES: "+strings.Join(agreementCurves, ", ")+" (default P-256)")
	flags.StringVar(&enc, "enc", "", "content encryption for which a key for dir is long enough")
	outFlag(cmd, &out)
	return cmd
}

// agreementCurves are those of ECDH-ES.
var agreementCurves = []string{"P-256", "P-384", "P-521", "X25519"}

// checkGenerate refuses what would be without effect, or too vague.
func checkGenerate(p jwk.Params) error {
	switch {
	case p.Curve != "" && !strings.HasPrefix(string(p.Algorithm), string(jwk.ECDHES)):
		return misuse("--crv is for ECDH-ES: %s has no choice of curves", p.Algorithm)
	case p.Curve != "" && !slices.Contains(agreementCurves, p.Curve):
		return misuse("--crv is one of %s", strings.Join(agreementCurves, ", "))
	case p.Encryption != "" && p.Algorithm != jwk.Dir:
		return misuse("--enc is for dir: a key for %s goes with every content encryption", p.Algorithm)
	case p.Encryption == "" && p.Algorithm == jwk.Dir:
		return hinted(misuse("a key for dir is as long as its content encryption takes it: --enc is required"), "--enc A256GCM")
	case p.Encryption != "":
		return checkEnc(p.Encryption)
	}
	return nil
}

func noAlgorithm(alg string) error {
	return hinted(misuse("there is no algorithm %q", alg), "counterfoil jwk generate --help names those that there are")
}

// writeKey writes the whole JWK, private as it may be.
func (a *app) writeKey(out string, key *jwk.Key) error {
	data, err := key.MarshalPrivate()
	if err != nil {
		return err
	}
	return a.writeSecret(out, data)
}

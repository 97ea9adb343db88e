package jwk

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
)

// Labels of RFC 7468, and of those that are older than it.
const (
	pemPrivate     = "PRIVATE KEY"
	pemPublic      = "PUBLIC KEY"
	pemCertificate = "CERTIFICATE"
	pemEncrypted   = "ENCRYPTED PRIVATE KEY"
)

// pemForms are the forms that a label announces.
var pemForms = map[string]form{
	pemPrivate:        asMaterial(parsePKCS8),
	"RSA PRIVATE KEY": asMaterial(parsePKCS1),
	"EC PRIVATE KEY":  asMaterial(parseSEC1),
	pemPublic:         asMaterial(parseSPKI),
	"RSA PUBLIC KEY":  asMaterial(parsePKCS1Public),
	pemCertificate:    parseCertificate,
	pemEncrypted:      refuseEncrypted,
}

// ParsePEM reads one key in PEM (RFC 7468): exactly one block of PRIVATE KEY, RSA
// PRIVATE KEY, EC PRIVATE KEY, PUBLIC KEY, RSA PUBLIC KEY or CERTIFICATE, or a chain
// of CERTIFICATE blocks whose first is the key's. Around them there may be white
// space and nothing else: a second key would be one that somebody believes to be in
// use. Whatever is not said here is as in [ParseDER].
func ParsePEM(data []byte, p Params) (*Key, error) {
	if len(data) > MaxKey {
		return nil, errTooLarge
	}
	block, rest, err := nextPEM(data)
	if err != nil {
		return nil, err
	}
	if len(rest) == 0 {
		return parseBlock(block, p)
	}
	if block.Type != pemCertificate {
		return nil, malformed("something behind the PEM block")
	}
	chain, err := ParseCertificates(data)
	if err != nil {
		return nil, err
	}
	return fromChain(chain, p)
}

func parseBlock(block *pem.Block, p Params) (*Key, error) {
	parse := pemForms[block.Type]
	if parse == nil {
		return nil, fmt.Errorf("%w: PEM block of type %q", ErrUnsupported, block.Type)
	}
	return parse(block.Bytes, p)
}

// ParseCertificates reads a chain of 1 to [MaxCertificates] certificates in PEM,
// with white space around the blocks and nothing else, of at most [MaxKey] bytes
// altogether. That they belong together is not looked at.
func ParseCertificates(data []byte) ([]*x509.Certificate, error) {
	if len(data) > MaxKey {
		return nil, errTooLarge
	}
	var ders [][]byte
	for rest := data; len(rest) > 0 || ders == nil; {
		block, behind, err := nextPEM(rest)
		if err != nil {
			return nil, err
		}
		if block.Type != pemCertificate {
			return nil, fmt.Errorf("%w: PEM block of type %q in a chain of certificates", ErrMalformed, block.Type)
		}
		ders, rest = append(ders, block.Bytes), behind
	}
	return parseChain(ders)
}

// nextPEM reads the block with which data begins, apart from white space, which it
// also takes from the rest.
func nextPEM(data []byte) (block *pem.Block, rest []byte, err error) {
	const begin = "-----BEGIN "
	data = bytes.TrimSpace(data)
	block, rest = pem.Decode(data)
	if block == nil {
		return nil, nil, malformed("not PEM")
	}
	// encoding/pem passes over what it cannot read, up to a block that it can.
	taken := data[:len(data)-len(rest)]
	if !bytes.HasPrefix(data, []byte(begin)) || bytes.Count(taken, []byte(begin)) != 1 {
		return nil, nil, malformed("something before the PEM block")
	}
	// RFC 1421 headers: OpenSSL's encryption of old, or nothing that we know.
	if strings.HasSuffix(block.Headers["Proc-Type"], "ENCRYPTED") {
		return nil, nil, ErrEncrypted
	}
	if len(block.Headers) > 0 {
		return nil, nil, malformed("PEM block with headers")
	}
	return block, bytes.TrimSpace(rest), nil
}

// MarshalPEM returns the public key as a PEM block of type PUBLIC KEY. See
// [Key.MarshalDER].
func (k *Key) MarshalPEM() ([]byte, error) {
	der, err := k.MarshalDER()
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemPublic, Bytes: der}), nil
}

// MarshalPrivatePEM returns the private key as a PEM block of type PRIVATE KEY,
// PKCS #8 without encryption. See [Key.MarshalPrivateDER].
func (k *Key) MarshalPrivatePEM() ([]byte, error) {
	der, err := k.MarshalPrivateDER()
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemPrivate, Bytes: der}), nil
}

// MarshalCertificatesPEM returns the certificates of the key as PEM blocks of type
// CERTIFICATE, in order, and nothing for a key that has none.
func (k *Key) MarshalCertificatesPEM() []byte {
	var out []byte
	for _, cert := range k.Certificates() {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: cert.Raw})...)
	}
	return out
}

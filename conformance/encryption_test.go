package conformance_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/conformance"
	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// What JWE is made of, each by itself: content encryption, key wrapping and key
// agreement.

// hexBytes is binary data that a file has in hexadecimal.
type hexBytes []byte

func (b *hexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

// A sealedVector is a text that was encrypted with AES in CBC mode and HMAC. An
// iv cannot be given to our API, so that it only opens them: encrypting again
// would give other bytes.
type sealedVector struct{ Key, IV, AAD, Msg, Ct, Tag hexBytes }

func (v sealedVector) open(enc jwk.Encryption) ([]byte, error) {
	key, err := jwk.New([]byte(v.Key), jwk.Params{Algorithm: jwk.Dir})
	if err != nil {
		return nil, err
	}
	return key.Open(enc, nil, slices.Concat(v.IV, v.Ct, v.Tag), v.AAD)
}

func TestWycheproofContentEncryption(t *testing.T) {
	for name, enc := range map[string]jwk.Encryption{
		"a128cbc_hs256": "A128CBC-HS256", "a192cbc_hs384": "A192CBC-HS384", "a256cbc_hs512": "A256CBC-HS512",
	} {
		var file struct {
			NumberOfTests int
			TestGroups    []struct {
				Tests []struct {
					sealedVector
					TcID            int
					Comment, Result string
				}
			}
		}
		conformance.ReadVectors(t, "wycheproof/"+name+"_test.json", &file)
		ran := 0
		for _, group := range file.TestGroups {
			for _, test := range group.Tests {
				ran++
				got, err := test.open(enc)
				if !agrees(err, test.Result) || err == nil && !bytes.Equal(got, test.Msg) {
					t.Errorf("%s %d %s: want %s, got %x, %v", name, test.TcID, test.Comment, test.Result, got, err)
				}
			}
		}
		if t.Logf("%s: %d vectors as published", name, ran); ran != file.NumberOfTests || ran == 0 {
			t.Errorf("%s: %d of %d vectors ran", name, ran, file.NumberOfTests)
		}
	}
}

// RFC 7518, Appendix B.
func TestRFC7518ContentEncryption(t *testing.T) {
	for _, v := range rfc7518(t) {
		if v.Kind != "content-encryption" {
			continue
		}
		sealed := sealedVector{Key: v.K, IV: v.IV, AAD: v.A, Ct: v.E, Tag: v.T}
		if got, err := sealed.open(v.Enc); err != nil || !bytes.Equal(got, v.P) {
			t.Errorf("%s: %x, %v", v.ID, got, err)
		}
	}
}

// RFC 7518, Appendix C.
func TestRFC7518KeyAgreement(t *testing.T) {
	for _, v := range rfc7518(t) {
		if v.Kind != "ecdh-es" {
			continue
		}
		key, err := jwk.ParseAs(v.Recipient, jwk.Params{Algorithm: jwk.ECDHES})
		if err != nil {
			t.Fatal(err)
		}
		ephemeral, err := jwk.ParseAs(v.Ephemeral, jwk.Params{Algorithm: jwk.ECDHES})
		if err != nil {
			t.Fatal(err)
		}
		epk, err := ephemeral.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		cek, err := key.AgreedKey(v.Enc, jwk.Wrapped{EPK: epk, APU: decode(t, v.APU), APV: decode(t, v.APV)})
		if err != nil || wire.Encode(cek) != v.Derived {
			t.Errorf("%s: %s, %v", v.ID, wire.Encode(cek), err)
		}
	}
}

// An rfc7518Vector is an entry of rfc/rfc7518.json, of one kind or the other.
type rfc7518Vector struct {
	ID, Kind string
	Enc      jwk.Encryption

	K  hexBytes `json:"K_hex"`
	P  hexBytes `json:"P_hex"`
	IV hexBytes `json:"IV_hex"`
	A  hexBytes `json:"A_hex"`
	E  hexBytes `json:"E_hex"`
	T  hexBytes `json:"T_hex"`

	APU, APV  string
	Recipient json.RawMessage `json:"recipient_private"`
	Ephemeral json.RawMessage `json:"epk_private"`
	Derived   string          `json:"derived_key_b64u"`
}

func rfc7518(t *testing.T) []rfc7518Vector {
	t.Helper()
	var vectors []rfc7518Vector
	conformance.ReadVectors(t, "rfc/rfc7518.json", &vectors)
	if len(vectors) != 4 {
		t.Fatalf("%d vectors", len(vectors))
	}
	return vectors
}

// Acceptable is a wrapped key of eight bytes, for which RFC 3394, Section 2, has
// no place: the plaintext has at least two blocks of 64 bits. We refuse it.
func TestWycheproofKeyWrap(t *testing.T) {
	var file struct {
		NumberOfTests int
		TestGroups    []struct {
			KeySize int
			Tests   []struct {
				TcID            int
				Key, Msg, Ct    hexBytes
				Comment, Result string
			}
		}
	}
	conformance.ReadVectors(t, "wycheproof/aes_wrap_test.json", &file)
	algorithms := map[int]jwk.Algorithm{128: jwk.A128KW, 192: jwk.A192KW, 256: jwk.A256KW}
	ran, acceptable := 0, 0
	for _, group := range file.TestGroups {
		for _, test := range group.Tests {
			ran++
			if test.Result == "acceptable" {
				acceptable++
			}
			key, err := jwk.New([]byte(test.Key), jwk.Params{Algorithm: algorithms[group.KeySize]})
			if err != nil {
				t.Fatalf("%d: %v", test.TcID, err)
			}
			got, err := key.UnwrapKey(jwk.Wrapped{Key: test.Ct})
			if !agrees(err, test.Result) || err == nil && !bytes.Equal(got, test.Msg) {
				t.Errorf("%d %s: want %s, got %x, %v", test.TcID, test.Comment, test.Result, got, err)
			}
			if test.Result != "valid" {
				continue
			}
			if again, err := key.WrapKey(test.Msg, jwk.WrapParams{}); err != nil || !bytes.Equal(again.Key, test.Ct) {
				t.Errorf("%d: wrapped again it is %x, %v", test.TcID, again.Key, err)
			}
		}
	}
	t.Logf("%d vectors, %d acceptable ones refused", ran, acceptable)
	if ran != file.NumberOfTests || acceptable != 3 {
		t.Errorf("%d of %d vectors ran, %d acceptable", ran, file.NumberOfTests, acceptable)
	}
}

// Acceptable are public keys that lie on the twist of the curve, which are as
// good as others, and those of low order or in a second encoding, which are
// refused: RFC 8037, Section 3.2, wants the former checked for, and the latter
// would give one key several thumbprints.
func TestWycheproofX25519(t *testing.T) {
	var file struct {
		NumberOfTests int
		TestGroups    []struct {
			Tests []struct {
				TcID            int
				Public, Private json.RawMessage
				Shared          hexBytes
				Flags           []string
				Comment, Result string
			}
		}
	}
	conformance.ReadVectors(t, "wycheproof/x25519_jwk_test.json", &file)
	ran, agreed := 0, 0
	for _, group := range file.TestGroups {
		for _, test := range group.Tests {
			ran++
			got, err := agreeX25519(test.Private, test.Public)
			odd := slices.Contains(test.Flags, "LowOrderPublic") || slices.Contains(test.Flags, "NonCanonicalPublic")
			want := test.Result == "valid" || test.Result == "acceptable" && !odd
			if want != (err == nil) {
				t.Errorf("%d %s %v: %s, got %v", test.TcID, test.Comment, test.Flags, test.Result, err)
			}
			if err != nil {
				continue
			}
			if agreed++; !bytes.Equal(got, concatKDF(test.Shared, agreedFor, 16)) {
				t.Errorf("%d %s: another secret", test.TcID, test.Comment)
			}
		}
	}
	t.Logf("%d vectors, %d agreed, %d refused", ran, agreed, ran-agreed)
	if ran != file.NumberOfTests || ran == 0 {
		t.Errorf("%d of %d vectors ran", ran, file.NumberOfTests)
	}
}

const agreedFor = "A128GCM"

func agreeX25519(private, public json.RawMessage) ([]byte, error) {
	key, err := jwk.ParseAs(private, jwk.Params{Algorithm: jwk.ECDHES})
	if err != nil {
		return nil, err
	}
	return key.AgreedKey(agreedFor, jwk.Wrapped{EPK: jsontext.Value(public)})
}

// concatKDF derives at most 32 bytes as RFC 7518, Section 4.6.2, says, without
// names of the parties.
func concatKDF(z []byte, algorithm string, size uint32) []byte {
	info := binary.BigEndian.AppendUint32(nil, 1) // the first and only round
	info = append(info, z...)
	info = binary.BigEndian.AppendUint32(info, uint32(len(algorithm)))
	info = append(info, algorithm...)
	info = append(info, make([]byte, 8)...) // empty PartyUInfo and PartyVInfo
	info = binary.BigEndian.AppendUint32(info, size*8)
	sum := sha256.Sum256(info)
	return sum[:size]
}

// RFC 8037, Appendix A.6: X25519. The RFC ends with the agreed secret; what it is
// for, wrapping a key with ECDH-ES+A128KW, is done here. X448, of Appendix A.7, is
// in no standard library.
func TestRFC8037KeyAgreement(t *testing.T) {
	var vectors []struct {
		ID, Kind string
		Public   map[string]string `json:"recipient_public"`
		Secret   hexBytes          `json:"recipient_secret_hex"`
		EPK      json.RawMessage
		Z        hexBytes `json:"z_hex"`
	}
	conformance.ReadVectors(t, "rfc/rfc8037.json", &vectors)
	ran := 0
	for _, v := range vectors {
		if v.Kind != "ecdh" {
			continue
		}
		ran++
		v.Public["d"] = wire.Encode(v.Secret)
		key, err := jwk.ParseAs([]byte(object(v.Public)), jwk.Params{Algorithm: jwk.ECDHESA128KW})
		if v.Public["crv"] == "X448" {
			if !errors.Is(err, jwk.ErrUnsupported) {
				t.Errorf("%s: %v", v.ID, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", v.ID, err)
		}
		kek, err := jwk.New(concatKDF(v.Z, string(jwk.ECDHESA128KW), 16), jwk.Params{Algorithm: jwk.A128KW})
		if err != nil {
			t.Fatal(err)
		}
		cek := []byte("a key of 16 byte")
		w, err := kek.WrapKey(cek, jwk.WrapParams{})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := key.UnwrapKey(jwk.Wrapped{Key: w.Key, EPK: jsontext.Value(v.EPK)}); err != nil || !bytes.Equal(got, cek) {
			t.Errorf("%s: %x, %v", v.ID, got, err)
		}
	}
	if ran != 2 {
		t.Errorf("%d vectors", ran)
	}
}

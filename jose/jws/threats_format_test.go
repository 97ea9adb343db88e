package jws_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"math/big"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

const hello = `{"alg":"HS256","kid":"HS256"}`

func TestThreat1DotFlood(t *testing.T) {
	key := newKey(t, jwk.HS256)
	for _, n := range []int{1 << 20, jws.MaxToken} {
		flood := strings.Repeat(".", n)
		refuse(t, key, flood)
		allocs := testing.AllocsPerRun(10, func() { jws.Verify(key, flood) })
		if allocs != 0 {
			t.Errorf("%d dots: %v allocations", n, allocs)
		}
	}
}

func TestThreat2Oversize(t *testing.T) {
	key := newKey(t, jwk.HS256)
	overhead := len(craft(t, key, hello, ""))
	fits := (jws.MaxToken - overhead) / 4 * 3
	accept(t, key, craft(t, key, hello, strings.Repeat("x", fits)))
	if err := refuse(t, key, craft(t, key, hello, strings.Repeat("x", fits+3))); !errors.Is(err, jws.ErrTooLarge) {
		t.Error(err)
	}
}

func TestThreat2OversizeToSign(t *testing.T) {
	key := newKey(t, jwk.HS256)
	overhead := len(craft(t, key, hello, ""))
	fits := (jws.MaxToken - overhead) / 4 * 3
	if _, err := jws.Sign(key, jws.Header{}, make([]byte, fits)); err != nil {
		t.Error(err)
	}
	for _, n := range []int{fits + 3, jws.MaxToken, 1 << 20} {
		if _, err := jws.Sign(key, jws.Header{}, make([]byte, n)); !errors.Is(err, jws.ErrTooLarge) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestThreat2OversizeHeader(t *testing.T) {
	key := newKey(t, jwk.HS256)
	header := func(size int) string {
		const form = `{"alg":"HS256","kid":"HS256","x":"%s"}`
		return fmt.Sprintf(form, strings.Repeat("x", size-len(form)+2))
	}
	accept(t, key, craft(t, key, header(jws.MaxHeader), ""))
	if err := refuse(t, key, craft(t, key, header(jws.MaxHeader+1), "")); !errors.Is(err, jws.ErrTooLarge) {
		t.Error(err)
	}
}

func TestThreat3SegmentCount(t *testing.T) {
	key := newKey(t, jwk.HS256)
	token := craft(t, key, hello, "payload")
	h, p, s := segments(t, token)
	accept(t, key, token)
	for _, bad := range []string{
		"", h, ".", "..", "...", "....", h + "." + p, h + "." + s, token + ".", "." + token, token + "." + s,
		h + "." + p + "." + s + "." + s + "." + s, h + ".." + s, "." + p + "." + s, h + "." + p + ".",
		".." + s, h + "..", "." + p + ".", token + "." + token,
	} {
		if err := refuse(t, key, bad); !errors.Is(err, jws.ErrMalformed) && !errors.Is(err, jwk.ErrSignature) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestThreat4JSONSerialization(t *testing.T) {
	key := newKey(t, jwk.HS256)
	for _, serialized := range jsonSerializations(t, key) {
		if err := refuse(t, key, serialized); !errors.Is(err, jws.ErrMalformed) {
			t.Error(err)
		}
	}
}

func jsonSerializations(t *testing.T, key *jwk.Key) []string {
	h, p, s := segments(t, craft(t, key, hello, "payload"))
	flattened := fmt.Sprintf(`{"payload":%q,"protected":%q,"signature":%q}`, p, h, s)
	general := fmt.Sprintf(`{"payload":%q,"signatures":[{"protected":%q,"signature":%q}]}`, p, h, s)
	return []string{
		flattened, general, " " + flattened, "[" + flattened + "]",
		fmt.Sprintf(`{"payload":%q,"signatures":[]}`, p),
		fmt.Sprintf(`{"payload":%q,"signatures":[],"protected":%q,"signature":%q}`, p, h, s),
		fmt.Sprintf(`{"payload":%q,"protected":%q,"header":{"crit":["b64"],"b64":false},"signature":%q}`, p, h, s),
	}
}

// The JSON serialization is not read here, so none of its ambiguities is.
func TestThreat116JSONSerializationInCompactAPI(t *testing.T) {
	key := newKey(t, jwk.HS256)
	for _, serialized := range jsonSerializations(t, key) {
		if _, err := jws.Parse(serialized); !errors.Is(err, jws.ErrMalformed) {
			t.Errorf("%v: %s", err, serialized)
		}
	}
}

func TestThreat5IllegalCharacters(t *testing.T) {
	key := newKey(t, jwk.HS256)
	token := craft(t, key, hello, "payload")
	for _, c := range []string{"{", "}", `"`, " ", "\x00", "é", "\xff", "\t", "%", "~", "*", "\u2028", "?", ",", ":"} {
		for i := 0; i <= len(token); i += 3 {
			refuse(t, key, token[:i]+c+token[i:])
			if i < len(token) {
				refuse(t, key, token[:i]+c+token[i+1:])
			}
		}
	}
}

// Each is a JSON serialization to one reader and three segments to another.
func TestThreat6Polyglot(t *testing.T) {
	key := newKey(t, jwk.HS256)
	h, p, s := segments(t, craft(t, key, hello, "payload"))
	for _, polyglot := range []string{
		fmt.Sprintf(`{"protected":"%s.%s.%s","payload":%q,"signature":%q}`, h, p, s, p, s),
		fmt.Sprintf(`{"x":"%s.%s.%s"}`, h, p, s),
		fmt.Sprintf(`%s.{"payload":%q,"protected":%q,"signature":%q}.%s`, h, p, h, s, s),
		fmt.Sprintf(`%s.%s.{"payload":%q,"protected":%q,"signature":%q}`, h, p, p, h, s),
	} {
		if err := refuse(t, key, polyglot); !errors.Is(err, jws.ErrMalformed) {
			t.Error(err)
		}
	}
}

func TestThreat7StandardBase64(t *testing.T) {
	key := newKey(t, jwk.HS256)
	payload := "\xfb\xff\xbf>>>???" // encodes to both special characters
	token := craft(t, key, hello, payload)
	accept(t, key, token)
	if !strings.Contains(token, "-") || !strings.Contains(token, "_") {
		t.Fatal("the payload does not need the characters in which the alphabets differ")
	}
	h, _, s := segments(t, token)
	refuse(t, key, strings.NewReplacer("-", "+", "_", "/").Replace(token))
	// Signed as they stand, so that only the decoder can refuse them.
	for _, p := range []string{base64.RawStdEncoding.EncodeToString([]byte(payload)), "Zm8=", "Zg==", "Zg=", "Zm9v="} {
		input := h + "." + p
		refuse(t, key, input+"."+wire.Encode(signature(t, key, input)))
	}
	for _, padded := range []string{h + "=", h + "=="} {
		input := padded + ".Zm9v"
		refuse(t, key, input+"."+wire.Encode(signature(t, key, input)))
	}
	for _, padding := range []string{"=", "==", "%3D"} {
		refuse(t, key, h+"."+wire.Encode([]byte(payload))+"."+s+padding)
	}
}

func TestThreat8NewlineInBase64(t *testing.T) {
	key := newKey(t, jwk.HS256)
	token := craft(t, key, hello, "payload")
	for _, newline := range []string{"\n", "\r", "\r\n", "\n\n\n\n"} {
		for i := range len(token) + 1 {
			refuse(t, key, token[:i]+newline+token[i:])
		}
	}
}

func TestThreat9TrailingBits(t *testing.T) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	key := newKey(t, jwk.HS256)
	// Lengths 1 and 2 modulo 3 leave four and two bits over.
	for _, payload := range []string{"a", "ab"} {
		for _, header := range []string{hello, hello + " ", hello + "  "} {
			token := craft(t, key, header, payload)
			accept(t, key, token)
			h, p, s := segments(t, token)
			for i, segment := range []string{h, p, s} {
				last := strings.IndexByte(alphabet, segment[len(segment)-1])
				for other := range alphabet {
					if other == last {
						continue
					}
					parts := []string{h, p, s}
					parts[i] = segment[:len(segment)-1] + alphabet[other:other+1]
					refuse(t, key, strings.Join(parts, "."))
				}
			}
		}
	}
}

// The second signature of an ECDSA message is as valid as the first: nobody can
// tell which one the signer made. So a message is known by what is signed.
func TestThreat10SecondECDSASignature(t *testing.T) {
	for alg, curve := range curves {
		key := newKey(t, alg)
		token := craft(t, key, fmt.Sprintf(`{"alg":%q}`, alg), "payload")
		second := negateS(t, token, curve.N)
		if second == token {
			t.Fatal("the signature is the same")
		}
		a, b := accept(t, key, token), accept(t, key, second)
		if a.SigningInput() != b.SigningInput() || !bytes.Equal(a.Payload(), b.Payload()) {
			t.Errorf("%s: the two tokens are not one message", alg)
		}
	}
}

// negateS returns the token with its signature (r, s) turned into (r, n-s).
func negateS(t *testing.T, token string, order *big.Int) string {
	h, p, s := segments(t, token)
	sig, err := wire.Decode(s)
	if err != nil {
		t.Fatal(err)
	}
	half := len(sig) / 2
	negated := new(big.Int).Sub(order, new(big.Int).SetBytes(sig[half:]))
	negated.FillBytes(sig[half:])
	return h + "." + p + "." + wire.Encode(sig)
}

// Every bit flipped, every byte left out, every length. Of the thousands of bytes
// of an ML-DSA signature, which take a verification for each bit, some stand for all.
func TestThreat11EveryByte(t *testing.T) {
	for _, alg := range algorithms {
		t.Run(string(alg), func(t *testing.T) {
			t.Parallel()
			key := newKey(t, alg)
			token := craft(t, key, fmt.Sprintf(`{"alg":%q,"kid":%q}`, alg, alg), "payload")
			accept(t, key, token)
			step := 1 + len(token)/1000
			for i := range token {
				for bit := range 8 {
					if i%step != 0 {
						break
					}
					bad := []byte(token)
					bad[i] ^= 1 << bit
					refuse(t, key, string(bad))
				}
				refuse(t, key, token[:i])
				refuse(t, key, token[i+1:])
				refuse(t, key, token[:i]+token[i+1:])
			}
			accept(t, key, token)
		})
	}
}

func TestThreat12DuplicateHeaderMember(t *testing.T) {
	key := newKey(t, jwk.HS256)
	accept(t, key, craft(t, key, hello, ""))
	for _, header := range []string{
		`{"alg":"none","alg":"HS256"}`, `{"alg":"HS256","alg":"none"}`, `{"alg":"HS256","alg":"HS256"}`,
		`{"alg":"HS256","\u0061lg":"HS256"}`, `{"alg":"HS256","kid":"a","kid":"HS256"}`,
		`{"alg":"HS256","x":1,"x":2}`, `{"alg":"HS256","x":{"y":1,"y":2}}`, `{"alg":"HS256","x":[{"y":1,"y":2}]}`,
	} {
		refuse(t, key, craft(t, key, header, ""))
	}
}

func TestThreat14CaseFoldedHeaderNames(t *testing.T) {
	key := newKey(t, jwk.HS256)
	for _, header := range []string{`{"ALG":"HS256"}`, `{"Alg":"HS256"}`, `{"alG":"HS256","kid":"HS256"}`} {
		refuse(t, key, craft(t, key, header, ""))
	}
	m := accept(t, key, craft(t, key, `{"alg":"HS256","ALG":"none","KID":"other","Typ":"x","CRIT":["x"]}`, ""))
	if h := m.Header(); h.Algorithm != jwk.HS256 || h.KeyID != "" || h.Type != "" {
		t.Errorf("%+v", h)
	}
}

func TestThreat15InvalidUTF8InHeader(t *testing.T) {
	key := newKey(t, jwk.HS256)
	for _, s := range []string{"\xff", "\xc0\x80", "\xed\xa0\x80", `\ud800`, `\udc00`, `\ud800x`, `\udc00\ud800`, "\xf4\x90\x80\x80"} {
		refuse(t, key, craft(t, key, `{"alg":"HS256","x":"`+s+`"}`, ""))
		refuse(t, key, craft(t, key, `{"alg":"HS256","`+s+`":1}`, ""))
		refuse(t, key, craft(t, key, `{"alg":"HS256","kid":"`+s+`"}`, ""))
	}
}

func TestThreat16OtherEncodings(t *testing.T) {
	key := newKey(t, jwk.HS256)
	utf16le, utf16be, utf32le := []byte{}, []byte{}, []byte{}
	for _, u := range utf16.Encode([]rune(hello)) {
		utf16le = append(utf16le, byte(u), byte(u>>8))
		utf16be = append(utf16be, byte(u>>8), byte(u))
		utf32le = append(utf32le, byte(u), byte(u>>8), 0, 0)
	}
	for _, header := range []string{
		"\ufeff" + hello, "\xff\xfe" + string(utf16le), "\xfe\xff" + string(utf16be),
		string(utf16le), string(utf16be), string(utf32le),
	} {
		refuse(t, key, craft(t, key, header, ""))
	}
}

func TestThreat17TrailingJSONInHeader(t *testing.T) {
	key := newKey(t, jwk.HS256)
	for _, tail := range []string{"{}", hello, "null", ",", "}", "x", "\x00"} {
		refuse(t, key, craft(t, key, hello+tail, ""))
	}
	accept(t, key, craft(t, key, " \r\n\t"+hello+" \r\n\t", "")) // white space is JSON
}

func TestThreat18DeepHeader(t *testing.T) {
	key := newKey(t, jwk.HS256)
	nested := func(n int) string {
		return `{"alg":"HS256","x":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`
	}
	accept(t, key, craft(t, key, nested(wire.MaxDepth-1), ""))
	for _, n := range []int{wire.MaxDepth, 100, 2000} {
		refuse(t, key, craft(t, key, nested(n), ""))
	}
	refuse(t, key, craft(t, key, `{"x":`+strings.Repeat("[", 4000), ""))
}

func TestThreat20HeaderIsNotAnObject(t *testing.T) {
	key := newKey(t, jwk.HS256)
	for _, header := range []string{"", "[]", `"x"`, "1", "null", "true", `["alg","HS256"]`, "{", `{"alg"}`, `{"alg":}`, "{}"} {
		if err := refuse(t, key, craft(t, key, header, "")); !errors.Is(err, jws.ErrMalformed) {
			t.Errorf("%s: %v", header, err)
		}
	}
}

func TestThreat21EmptySignature(t *testing.T) {
	for _, alg := range algorithms {
		h, p, _ := segments(t, craft(t, newKey(t, alg), fmt.Sprintf(`{"alg":%q}`, alg), "payload"))
		if _, err := jws.Parse(h + "." + p + "."); !errors.Is(err, jws.ErrMalformed) {
			t.Errorf("%s: %v", alg, err)
		}
		for _, sig := range []string{"", "AA", "AAAA", strings.Repeat("A", 86)} {
			refuse(t, newKey(t, alg), h+"."+p+"."+sig)
		}
	}
}

func TestThreat117HeaderNamesUnderFoldingAndEscapes(t *testing.T) {
	key := newKey(t, jwk.HS256)
	// U+212A is a k to whoever folds case by Unicode.
	m := accept(t, key, craft(t, key, "{\"alg\":\"HS256\",\"\u212aid\":\"other\"}", ""))
	if m.Header().KeyID != "" {
		t.Error("U+212A is taken for a k")
	}
	// An escape is only another way to write a name.
	m = accept(t, key, craft(t, key, `{"\u0061lg":"HS256","\u006bid":"HS256"}`, ""))
	if m.Header().KeyID != "HS256" {
		t.Error("an escaped kid is not kid")
	}
	refuse(t, key, craft(t, key, `{"alg":"HS256","kid":"HS256","\u006bid":"HS256"}`, ""))
	refuse(t, key, craft(t, key, `{"alg":"HS256","\u0063rit":["x"]}`, ""))
	if (jws.Header{Type: "\u017fecevent+jwt"}).HasType("secevent+jwt") {
		t.Error("U+017F is taken for an s")
	}
}

func TestOneSpelling(t *testing.T) {
	for _, alg := range algorithms {
		token := craft(t, newKey(t, alg), fmt.Sprintf(`{"alg":%q}`, alg), "payload")
		u, err := jws.Parse(token)
		if err != nil {
			t.Fatal(err)
		}
		if again := u.SigningInput() + "." + wire.Encode(u.Signature()); again != token {
			t.Errorf("%s: %q is read as %q", alg, token, again)
		}
	}
	if !slices.Contains(algorithms, jwk.EdDSA) {
		t.Error("the list of algorithms is not the whole one")
	}
}

package jwt_test

import (
	"crypto/elliptic"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

func TestThreat1DotFloodAsToken(t *testing.T) {
	key, p := newKey(t, jwk.HS256), policy()
	flood := strings.Repeat(".", 1<<20)
	refuse(t, p, key, flood)
	if allocs := testing.AllocsPerRun(10, func() { jwt.Verify[none](p, key, flood) }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
	if _, err := jwt.ParseUnverified(flood); !errors.Is(err, jws.ErrTooLarge) {
		t.Error(err)
	}
}

func TestThreat2OversizeForThePolicy(t *testing.T) {
	key := newKey(t, jwk.HS256)
	token := mint(t, key, good().String())
	p := policy()
	p.MaxToken = len(token)
	accept(t, p, key, token)
	p.MaxToken--
	if err := refuse(t, p, key, token); !errors.Is(err, jws.ErrTooLarge) {
		t.Error(err)
	}
	if allocs := testing.AllocsPerRun(10, func() { jwt.Verify[none](p, key, token) }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func TestThreat3SegmentCountAsToken(t *testing.T) {
	key := newKey(t, jwk.HS256)
	token := mint(t, key, good().String())
	accept(t, policy(), key, token)
	h, rest, _ := strings.Cut(token, ".")
	payload, s, _ := strings.Cut(rest, ".")
	for _, bad := range []string{
		"", ".", "..", h, h + "." + payload, token + ".", token + "." + s, h + "." + payload + ".",
		h + ".." + s, "." + payload + "." + s, token + ".." + s,
	} {
		refuse(t, policy(), key, bad)
	}
	// An empty payload is a good JWS, but no claims.
	if err := refuse(t, policy(), key, mint(t, key, "")); !errors.Is(err, jwt.ErrMalformed) {
		t.Error(err)
	}
}

// Whatever is remembered about a token must be remembered by what it says. The
// second signature changes the bytes of the token and nothing that a Token shows.
func TestThreat10IdentityIsNotBytes(t *testing.T) {
	key := newKey(t, jwk.ES256)
	token := mint(t, key, good().String())
	i := strings.LastIndexByte(token, '.')
	sig := must(wire.Decode(token[i+1:]))
	s := new(big.Int).SetBytes(sig[32:])
	s.Sub(elliptic.P256().Params().N, s).FillBytes(sig[32:])
	second := token[:i+1] + wire.Encode(sig)
	if second == token {
		t.Fatal("the signature is the same")
	}
	a, b := accept(t, policy(), key, token), accept(t, policy(), key, second)
	if a.ID() != b.ID() || a.SigningInput() != b.SigningInput() || string(a.Payload()) != string(b.Payload()) {
		t.Error("the two are not one token")
	}
}

func TestThreat11EveryByteOfAToken(t *testing.T) {
	for _, alg := range algorithms {
		t.Run(string(alg), func(t *testing.T) {
			key := newKey(t, alg)
			token := mint(t, key, good().String())
			accept(t, policy(), key, token)
			for i := range token {
				bad := []byte(token)
				bad[i] ^= 1
				refuse(t, policy(), key, string(bad))
				refuse(t, policy(), key, token[:i])
			}
		})
	}
}

func TestThreat13DuplicateClaim(t *testing.T) {
	key := newKey(t, jwk.HS256)
	object := strings.TrimSuffix(good().String(), "}")
	accept(t, policy(), key, mint(t, key, object+`,"x":1}`))
	past, future := unix(now.Add(-time.Hour)), unix(now.Add(time.Minute))
	for _, second := range []string{
		`"exp":` + past, `"exp":` + future, `"\u0065xp":` + future, `"sub":"alice"`, `"aud":"orders"`, `"jti":"j1"`,
		`"x":1,"x":2`, `"x":{"y":1,"y":1}`, `"x":[{"y":1,"\u0079":1}]`, `"":1,"":2`,
	} {
		if err := refuse(t, policy(), key, mint(t, key, object+`,`+second+`}`)); !errors.Is(err, jwt.ErrMalformed) {
			t.Errorf("%s: %v", second, err)
		}
	}
}

func TestThreat14CaseFoldedClaims(t *testing.T) {
	key := newKey(t, jwk.HS256)
	expired := good().with("exp", unix(now.Add(-time.Hour)))
	for _, name := range []string{"EXP", "Exp", "eXp"} {
		refuse(t, policy(), key, mint(t, key, expired.with(name, unix(now.Add(time.Minute))).String()))
		refuse(t, policy(), key, mint(t, key, good().with("exp", "").with(name, unix(now.Add(time.Minute))).String()))
	}
	refuse(t, policy(), key, mint(t, key, good().with("aud", `"other"`).with("AUD", `"orders"`).String()))
	refuse(t, policy(), key, mint(t, key, good().with("iss", `"other"`).with("ISS", `"https://id.example"`).String()))

	type claims struct {
		Sub   string `json:"sub"`
		Admin bool   `json:"admin"`
		Exp   int64
	}
	token := mint(t, key, good().with("Sub", `"root"`).with("SUB", `"root"`).with("ADMIN", "true").with("EXP", "1").String())
	tok := must(jwt.Verify[claims](policy(), key, token))
	if tok.Subject() != "alice" || tok.Claims() != (claims{Sub: "alice"}) {
		t.Errorf("%q, %+v", tok.Subject(), tok.Claims())
	}
}

func TestThreat15InvalidUTF8InClaims(t *testing.T) {
	key := newKey(t, jwk.HS256)
	for _, s := range []string{"\xff", "\xc0\x80", "\xed\xa0\x80", `\ud800`, `\udc00`, `\udc00\ud800`, "a\xe2\x82", "\xf4\x90\x80\x80"} {
		refuse(t, policy(), key, mint(t, key, good().with("sub", `"`+s+`"`).String()))
		refuse(t, policy(), key, mint(t, key, good().with("x", `"`+s+`"`).String()))
		refuse(t, policy(), key, mint(t, key, strings.TrimSuffix(good().String(), "}")+`,"`+s+`":1}`))
	}
	tok := accept(t, policy(), key, mint(t, key, good().with("sub", `"\ufffd \ud83d\ude00"`).String()))
	if tok.Subject() != "\ufffd \U0001f600" {
		t.Errorf("%q", tok.Subject())
	}
}

func TestThreat16OtherEncodingsOfClaims(t *testing.T) {
	key := newKey(t, jwk.HS256)
	payload := good().String()
	var utf16le, utf16be, utf32be []byte
	for _, u := range utf16.Encode([]rune(payload)) {
		utf16le = append(utf16le, byte(u), byte(u>>8))
		utf16be = append(utf16be, byte(u>>8), byte(u))
		utf32be = append(utf32be, 0, 0, byte(u>>8), byte(u))
	}
	for _, bad := range []string{
		"\ufeff" + payload, "\xff\xfe" + string(utf16le), "\xfe\xff" + string(utf16be), string(utf16le), string(utf16be), string(utf32be), "+" + payload,
	} {
		if err := refuse(t, policy(), key, mint(t, key, bad)); !errors.Is(err, jwt.ErrMalformed) {
			t.Error(err)
		}
	}
}

func TestThreat17TrailingJSON(t *testing.T) {
	key := newKey(t, jwk.HS256)
	payload := good().String()
	for _, tail := range []string{"{}", payload, "null", ",", "}", "x", "\x00", "//", "\n{}"} {
		if err := refuse(t, policy(), key, mint(t, key, payload+tail)); !errors.Is(err, jwt.ErrMalformed) {
			t.Errorf("%q: %v", tail, err)
		}
	}
	accept(t, policy(), key, mint(t, key, " \r\n\t"+payload+"\n"))
}

func TestThreat18DeepClaims(t *testing.T) {
	key := newKey(t, jwk.HS256)
	nested := func(n int) string {
		return mint(t, key, good().with("x", strings.Repeat("[", n)+strings.Repeat("]", n)).String())
	}
	accept(t, policy(), key, nested(wire.MaxDepth-1)) // the claims themselves are the first level
	for _, n := range []int{wire.MaxDepth, 100, 5000} {
		refuse(t, policy(), key, nested(n))
	}
	refuse(t, policy(), key, nested(9000)) // too large as well
	refuse(t, policy(), key, mint(t, key, `{"x":`+strings.Repeat(`{"x":`, 2000)))
	refuse(t, policy(), key, mint(t, key, strings.Repeat("[", 9000)))
}

func TestThreat19NumberAbuse(t *testing.T) {
	key := newKey(t, jwk.HS256)
	long := policy()
	long.MaxLife = 1<<63 - 1
	refused := []string{
		"1e400", "-1e400", "1e308", "-1", "-0.1", "9007199254740992", "9007199254740993", "1e16", "18446744073709551616",
		`"4000000000"`, `"1e400"`, `""`, "true", "false", "null", "[]", "[4000000000]", "{}", "NaN", "Infinity", "-Infinity", "nan",
		"0x100000000", "04000000000", "+4000000000", "4000000000.", ".5e10", "4_000_000_000", "4e", "4e+",
	}
	for _, claim := range []string{"exp", "nbf", "iat"} {
		for _, number := range refused {
			refuse(t, long, key, mint(t, key, good().with(claim, number).String()))
		}
	}
	for _, number := range []string{"9007199254740991", "4000000000", "4e9", "4E+9", "4000000000.5", "40000000000e-1", strings.Repeat("4", 10) + "." + strings.Repeat("0", 2000)} {
		accept(t, long, key, mint(t, key, good().with("exp", number).String()))
	}
	for _, number := range []string{"0", "-0", "0.0", "1.5", "1e-400"} {
		accept(t, long, key, mint(t, key, good().with("nbf", number).with("iat", number).String()))
		var expired *jwt.ExpiredError
		if err := refuse(t, long, key, mint(t, key, good().with("exp", number).String())); !errors.As(err, &expired) {
			t.Errorf("exp %s: %v", number, err)
		}
	}
	tok := accept(t, long, key, mint(t, key, good().with("exp", "4000000000.25").String()))
	if want := time.Unix(4000000000, 250_000_000); !tok.Expiry().Equal(want) {
		t.Errorf("%v, want %v", tok.Expiry(), want)
	}
}

func TestThreat20ClaimsAreNotAnObject(t *testing.T) {
	key := newKey(t, jwk.HS256)
	for _, payload := range []string{"", "[]", `"x"`, "1", "null", "true", "[" + good().String() + "]", "{", "{}x", `"` + mint(t, key, "{}") + `"`, mint(t, key, good().String())} {
		token := mint(t, key, payload)
		if err := refuse(t, policy(), key, token); !errors.Is(err, jwt.ErrMalformed) {
			t.Errorf("%.20s: %v", payload, err)
		}
		if _, err := jwt.ParseUnverified(token); !errors.Is(err, jwt.ErrMalformed) {
			t.Errorf("%.20s: %v", payload, err)
		}
	}
}

func TestThreat22AlgNoneAsToken(t *testing.T) {
	key := newKey(t, jwk.HS256)
	for _, header := range []string{`{"alg":"none","typ":"at+jwt"}`, `{"alg":"nOnE","typ":"at+jwt"}`, `{"alg":"","typ":"at+jwt"}`, `{"typ":"at+jwt"}`} {
		token := craft(t, key, header, good().String())
		p := policy()
		refuse(t, p, key, token)
		refuse(t, p, key, token[:strings.LastIndexByte(token, '.')+1])
		p.Algorithms = []jwk.Algorithm{"none", "", "nOnE"} // not even when asked for
		refuse(t, p, key, token)
		refuse(t, p, key, token[:strings.LastIndexByte(token, '.')+1])
	}
}

func TestThreat25SubjectChanged(t *testing.T) {
	key := newKey(t, jwk.ES256)
	token := mint(t, key, good().String())
	accept(t, policy(), key, token)
	s := strings.Split(token, ".")
	s[1] = wire.Encode([]byte(good().with("sub", `"admin"`).String()))
	if err := refuse(t, policy(), key, strings.Join(s, ".")); !errors.Is(err, jwk.ErrSignature) {
		t.Error(err)
	}
}

func TestThreat43UnencodedPayloadInAToken(t *testing.T) {
	key := newKey(t, jwk.HS256)
	for _, b64 := range []string{`"b64":false`, `"b64":true`, `"b64":false,"crit":["b64"]`, `"b64":true,"crit":["b64"]`} {
		token := craft(t, key, `{"alg":"HS256","typ":"at+jwt",`+b64+`}`, good().String())
		if err := refuse(t, policy(), key, token); !errors.Is(err, jws.ErrCritical) {
			t.Errorf("%s: %v", b64, err)
		}
	}
}

// That a token could be decrypted says nothing of who made it.
func TestThreat44EncryptedTokenAsToken(t *testing.T) {
	key := newKey(t, jwk.HS256)
	const jwe = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA"
	if err := refuse(t, policy(), key, jwe); !errors.Is(err, jws.ErrEncrypted) {
		t.Error(err)
	}
	if _, err := jwt.ParseUnverified(jwe); !errors.Is(err, jws.ErrEncrypted) {
		t.Error(err)
	}
	refuse(t, policy(), key, craft(t, key, `{"alg":"dir","enc":"A256GCM","typ":"at+jwt"}`, good().String()))
}

func TestThreat117ClaimNamesUnderFoldingAndEscapes(t *testing.T) {
	key := newKey(t, jwk.HS256)
	object := strings.TrimSuffix(good().with("exp", "").String(), "}")
	live, past := unix(now.Add(time.Minute)), unix(now.Add(-time.Hour))
	accept(t, policy(), key, mint(t, key, object+`,"\u0065xp":`+live+`}`))
	for _, claims := range []string{
		`"\u0065xp":` + past,
		`"exp":` + past + `,"\u0045xp":` + live,
		`"exp":` + live + `,"\u0065xp":` + live,
		`"exp":` + past + `,"\u0065\u0078\u0070":` + live,
		`"ex\u0440":` + live, // a Cyrillic er
	} {
		refuse(t, policy(), key, mint(t, key, object+`,`+claims+`}`))
	}
	// U+017F is an s, and U+212A a k, to whoever folds case by Unicode.
	noIssuer := good().with("iss", "").with("i\u017fs", `"https://id.example"`)
	refuse(t, policy(), key, mint(t, key, noIssuer.String()))
	type claims struct {
		Sub string `json:"sub"`
		K   string `json:"k"`
	}
	token := mint(t, key, good().with("\u017fub", `"root"`).with("\u212a", `"root"`).String())
	if c := must(jwt.Verify[claims](policy(), key, token)).Claims(); c != (claims{Sub: "alice"}) {
		t.Errorf("%+v", c)
	}
}

func TestThreat119PinnedAlgorithm(t *testing.T) {
	for _, alg := range algorithms {
		key := newKey(t, alg)
		for _, pinned := range algorithms {
			p := policy()
			p.Algorithms = []jwk.Algorithm{pinned}
			token := mint(t, key, good().String())
			if pinned == alg {
				accept(t, p, key, token)
			} else if err := refuse(t, p, key, token); !errors.Is(err, jwk.ErrAlgorithm) {
				t.Errorf("%s where %s is wanted: %v", alg, pinned, err)
			}
		}
	}
	both := must(jwk.Generate(jwk.Params{Algorithm: jwk.EdDSA, Also: jwk.Ed25519, KeyID: "k"}))
	for _, alg := range []string{"EdDSA", "Ed25519"} {
		token := craft(t, both, fmt.Sprintf(`{"alg":%q,"typ":"at+jwt"}`, alg), good().String())
		p := policy()
		accept(t, p, both, token)
		for _, pinned := range []jwk.Algorithm{jwk.EdDSA, jwk.Ed25519} {
			p.Algorithms = []jwk.Algorithm{pinned}
			if string(pinned) == alg {
				accept(t, p, both, token)
			} else {
				refuse(t, p, both, token)
			}
		}
		p.Algorithms = []jwk.Algorithm{jwk.EdDSA, jwk.Ed25519}
		accept(t, p, both, token)
		p.Algorithms = []jwk.Algorithm{jwk.ES256}
		refuse(t, p, both, token)
	}
	refuse(t, policy(), both, craft(t, both, `{"kid":"k","typ":"at+jwt"}`, good().String()))
}

package differ_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/bench/rivals"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// A keyText is an input: a JWK.
type keyText struct {
	source  string
	members []member
}

func newKeyText(s string) keyText { return keyText{s, membersOf([]byte(s))} }

func (k keyText) String() string { return fmt.Sprintf("%.3000q", k.source) }

// text is a member that is a string, bytes one in base64url.
func (k keyText) text(name string) string  { return spelling(k.members, name) }
func (k keyText) bytes(name string) []byte { return loosely(k.text(name)) }
func (k keyText) has(names ...string) bool { return hasAny(k.members, names...) }

// keyTexts are good keys of every type, public and private.
func keyTexts() (list []string) {
	for alg, curve := range map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()} {
		key := ecdsaKey(curve)
		point, d := must(key.PublicKey.Bytes()), must(key.Bytes())
		half := (len(point) - 1) / 2
		public := fmt.Sprintf(`{"kty":"EC","crv":%q,"x":%q,"y":%q,"alg":%q,"kid":"k1"`, curve.Params().Name, encode(point[1:1+half]), encode(point[1+half:]), alg)
		list = append(list, public+"}", public+`,"d":"`+encode(d)+`"}`)
	}
	slices.Sort(list) // the map has no order
	ed := ed25519.NewKeyFromSeed(seed("EdDSA", 32))
	public := fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","x":%q,"alg":"EdDSA","use":"sig"`, encode(ed[32:]))
	list = append(list, public+"}", public+`,"d":"`+encode(ed[:32])+`"}`)
	list = append(list, fmt.Sprintf(`{"kty":"oct","k":%q,"alg":"HS256","kid":"k1"}`, encode(seed("HS256", 32))))
	r := parseRSA(rsa2048)
	public = fmt.Sprintf(`{"kty":"RSA","n":%q,"e":"AQAB","alg":"RS256","use":"sig","kid":"k1"`, encode(r.N.Bytes()))
	private := fmt.Sprintf(`,"d":%q,"p":%q,"q":%q,"dp":%q,"dq":%q,"qi":%q}`, encode(r.D.Bytes()), encode(r.Primes[0].Bytes()), encode(r.Primes[1].Bytes()),
		encode(r.Precomputed.Dp.Bytes()), encode(r.Precomputed.Dq.Bytes()), encode(r.Precomputed.Qinv.Bytes()))
	return append(list, public+"}", public+private)
}

// keyWords bend keys. The last values are those of good keys, for other places.
func keyWords() vocabulary {
	v := vocabulary{
		names: []string{
			"kty", "crv", "x", "y", "d", "k", "n", "e", "p", "q", "dp", "dq", "qi", "oth", "alg", "kid", "use", "key_ops", "x5c", "x5t", "x5t#S256", "x5u", "ext", "counterfoil", "", "i",
		},
		values: []string{
			`"RSA"`, `"EC"`, `"OKP"`, `"oct"`, `"AKP"`, `"ec"`, `"P-256"`, `"P-384"`, `"P-521"`, `"secp256k1"`, `"Ed25519"`, `"Ed448"`, `"X25519"`, `"HS256"`, `"HS512"`, `"RS256"`, `"RSA-OAEP"`, `"PS512"`, `"ES256"`, `"ES384"`, `"EdDSA"`, `"ECDH-ES"`, `"dir"`, `"A256GCM"`, `"none"`,
			`"sig"`, `"enc"`, `"SIG"`, `["sign"]`, `["verify"]`, `["sign","verify"]`, `["verify","verify"]`, `["encrypt"]`, `["deriveKey"]`, `[1]`,
			`"AQAB"`, `"AQ"`, `"Aw"`, `"AAEAAQ"`, `"AAAA"`, `"AA"`, `"____"`, `"AQAB="`, `"AQAAAAAB"`, `"MIIB"`, `["MIIB"]`, `[{"r":"AA","d":"AA","t":"AA"}]`, `{"issuer":"https://id.example"}`,
		},
	}
	for _, size := range []int{31, 32, 33, 48, 66, 128, 255, 256, 257} {
		v.values = append(v.values, `"`+encode(seed("value", size))+`"`, `"`+encode(make([]byte, size))+`"`, `"`+strings.Repeat("_", size*4/3/4*4)+`"`)
	}
	for _, text := range keyTexts() {
		for _, m := range membersOf([]byte(text)) {
			if len(m.value) > 40 {
				v.values = append(v.values, string(m.value), `"`+encode(append([]byte{0}, loosely(strings.Trim(string(m.value), `"`))...))+`"`)
			}
		}
	}
	return v
}

func readKey(k keyText) (ours verdict, theirs []verdict) {
	ours = ask("Counterfoil", func() (string, error) {
		key, err := jwk.Parse([]byte(k.source))
		if err != nil {
			return "", err
		}
		return key.Thumbprint(), nil
	})
	for _, lib := range rivals.JWK {
		theirs = append(theirs, ask(lib.Name, func() (string, error) {
			thumbprint, err := lib.Parse([]byte(k.source))
			return string(thumbprint), err
		}))
	}
	return ours, theirs
}

// strictKeys are the rules by which we refuse keys that others may accept.
var strictKeys = []rule[keyText]{
	{"strict JSON", "RFC 7493", func(k keyText) bool { return !isStrict([]byte(k.source)) || len(k.source) > 32<<10 }},
	{"member of the wrong type", "RFC 7517 §4, RFC 7518 §6", func(k keyText) bool {
		return isWrong(k.members, isString, "kty", "alg", "kid", "use") || isWrong(k.members, isEncoded, materialOf[k.text("kty")]...)
	}},
	{"alg", "RFC 8725 §3.1, RFC 7517 §4.4: one key, one algorithm", func(k keyText) bool { return !algorithmFits(k) }},
	{"kid", "docs/specs.md: from 1 to 256 bytes", func(k keyText) bool { return k.has("kid") && k.text("kid") == "" || len(k.text("kid")) > 256 }},
	{"RSA public parts", "docs/specs.md: 2,048 to 8,192 bits, odd; exponent odd, from 3 to 2^31 - 1", func(k keyText) bool {
		n, e := new(big.Int).SetBytes(k.bytes("n")), new(big.Int).SetBytes(k.bytes("e"))
		return k.text("kty") == "RSA" && (n.Bit(0) == 0 || n.BitLen() < 2048 || n.BitLen() > 8192 ||
			e.Bit(0) == 0 || e.Cmp(big.NewInt(3)) < 0 || e.BitLen() > 31)
	}},
	{"RSA private parts", "docs/specs.md: all or d alone; no oth", func(k keyText) bool {
		parts := 0
		for _, name := range []string{"p", "q", "dp", "dq", "qi"} {
			if k.has(name) {
				parts++
			}
		}
		return k.text("kty") == "RSA" && (parts > 0 && parts < 5 || parts > 0 && !k.has("d") || k.has("oth"))
	}},
	{"EC private part", "RFC 7518 §6.2.2: d belongs to x and y", func(k keyText) bool { return k.text("kty") == "EC" && k.has("d") && !isECPair(k) }},
	{"Ed25519 public part", "RFC 8032 §5.1.3, RFC 8725 §3.4: a point, canonical, not of small order", func(k keyText) bool {
		return k.text("kty") == "OKP" && k.text("crv") == "Ed25519" && !isEd25519Point(k.bytes("x"))
	}},
	{"HMAC secret", "RFC 7518 §3.2 and docs/specs.md", func(k keyText) bool {
		return k.text("kty") == "oct" && hashSize[k.text("alg")] > 0 && isNoSecret(k.bytes("k"), hashSize[k.text("alg")])
	}},
	{"use and key_ops", "RFC 7517 §4.2, §4.3: known, not twice, not against alg", func(k keyText) bool { return !usesFit(k) }},
}

// perhapsKeys are rules that are not spelled out here.
var perhapsKeys = []rule[keyText]{
	{"certificates", "RFC 7517 §4.7 to §4.9: they have to be the key's", func(k keyText) bool { return k.has("x5c", "x5t", "x5t#S256") }},
	{"limits", "a member of our own, read strictly", func(k keyText) bool { return k.has("counterfoil") }},
}

// materialOf are the members of a key type (RFC 7518, Section 6).
var materialOf = map[string][]string{
	"EC": {"x", "y", "d"}, "OKP": {"x", "y", "d"}, "oct": {"k"}, "RSA": {"n", "e", "d", "p", "q", "dp", "dq", "qi"},
}

func isECPair(k keyText) bool {
	curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[k.text("crv")]
	if curve == nil {
		return false
	}
	key, err := ecdsa.ParseRawPrivateKey(curve, k.bytes("d"))
	if err != nil {
		return false
	}
	point, err := key.PublicKey.Bytes()
	return err == nil && bytes.Equal(point[1:], append(k.bytes("x"), k.bytes("y")...))
}

// isEd25519Point decompresses a point as RFC 8032, Section 5.1.3, does.
func isEd25519Point(x []byte) bool {
	if len(x) != 32 {
		return false
	}
	little := slices.Clone(x)
	little[31] &= 0x7f
	slices.Reverse(little)
	y, p := new(big.Int).SetBytes(little), edwards25519("7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed")
	if y.Cmp(p) >= 0 {
		return false
	}
	for _, small := range []string{
		"0", "1", "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffec",
		"05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826", "7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7",
	} {
		if y.Cmp(edwards25519(small)) == 0 {
			return false
		}
	}
	square := new(big.Int).Mul(y, y)
	below := new(big.Int).Mul(square, edwards25519("52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3"))
	below.Mod(below.Add(below, big.NewInt(1)), p)
	square.Sub(square, big.NewInt(1)).Mul(square, below.ModInverse(below, p)).Mod(square, p)
	return big.Jacobi(square, p) == 1
}

// edwards25519 reads a constant of the curve.
func edwards25519(hex string) *big.Int {
	n, _ := new(big.Int).SetString(hex, 16)
	return n
}

// usesFit reports whether use and key_ops are those of a key that signs, or of one
// that encrypts.
func usesFit(k keyText) bool {
	signs := !strings.Contains(k.text("alg"), "KW") && !strings.HasPrefix(k.text("alg"), "RSA-OAEP") &&
		!strings.HasPrefix(k.text("alg"), "ECDH-ES") && k.text("alg") != "dir"
	wanted, operations := "enc", []string{"encrypt", "decrypt", "wrapKey", "unwrapKey", "deriveKey", "deriveBits"}
	if signs {
		wanted, operations = "sig", []string{"sign", "verify"}
	}
	if use, ok := get(k.members, "use"); ok && text(use) != wanted {
		return false
	}
	value, ok := get(k.members, "key_ops")
	list := elementsOf(value)
	for i, element := range list {
		if !slices.Contains(operations, text(element)) || slices.ContainsFunc(list[:i], func(e json.RawMessage) bool { return text(e) == text(element) }) {
			return false
		}
	}
	return !ok || len(list) > 0
}

// lenientKeys are the reasons for which we accept what nobody else does.
var lenientKeys = []rule[keyText]{
	{"x5u", "docs/specs.md: never followed, so that nothing in it matters", func(k keyText) bool { return k.has("x5u") }},
	{"numbers beyond float64", "RFC 8259 §6: in a member that nobody reads", func(k keyText) bool { return hasHugeNumber([]byte(k.source)) }},
	{"names compared as they are", "RFC 7493 §2.3: a member by another case is another", func(k keyText) bool {
		return slices.ContainsFunc(k.members, func(m member) bool {
			return strings.ToLower(m.name) != m.name || !isASCII(m.name)
		})
	}},
	{"members of another type", "RFC 7517 §4: those not understood are passed over", func(k keyText) bool {
		return slices.ContainsFunc(k.members, func(m member) bool {
			return !slices.Contains(materialOf[k.text("kty")], m.name) && slices.ContainsFunc(slices.Collect(maps.Values(materialOf)), func(names []string) bool { return slices.Contains(names, m.name) })
		})
	}},
}

// algorithmFits reports whether the algorithm of a key is one for its type and
// curve. EC and OKP keys may leave it out.
func algorithmFits(k keyText) bool {
	alg, kty, crv := k.text("alg"), k.text("kty"), k.text("crv")
	wanted := map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}[crv]
	switch kty {
	case "EC":
		return alg == "" && wanted != "" || alg == wanted && alg != "" || strings.HasPrefix(alg, "ECDH-ES")
	case "OKP":
		return alg == "" || alg == "EdDSA" || alg == "Ed25519" || strings.HasPrefix(alg, "ECDH-ES")
	case "RSA":
		return len(alg) == 5 && (alg[:2] == "RS" || alg[:2] == "PS") || strings.HasPrefix(alg, "RSA-OAEP")
	case "oct":
		return hashSize[alg] > 0 || strings.HasSuffix(alg, "KW") || alg == "dir"
	}
	return false
}

var keyTextOracle = &oracle[keyText]{strict: strictKeys, may: perhapsKeys, lenient: lenientKeys}

func checkKey(t testing.TB, k keyText) {
	t.Helper()
	ours, theirs := readKey(k)
	keyTextOracle.judge(t, k, ours, theirs)
}

// keyRuns is the number of keys in the deterministic run.
const keyRuns = 20_000

// TestKeys is the fuzz target without the fuzzer.
func TestKeys(t *testing.T) {
	seeds, words := keyTexts(), keyWords()
	for run := range keyRuns {
		s := randomScript(3000, uint64(run))
		checkKey(t, newKeyText(s.bend(pick(s, seeds), words)))
	}
	keyTextOracle.report(t)
}

// FuzzKey reads a JWK that the fuzzer has changed, and then a script.
func FuzzKey(f *testing.F) {
	words := keyWords()
	for _, text := range keyTexts() {
		f.Add(text, []byte{})
		f.Add(text, []byte{0, 3, 4})
	}
	f.Fuzz(func(t *testing.T, text string, choices []byte) {
		s := &script{choices}
		if !s.ended() {
			text = s.bend(text, words)
		}
		checkKey(t, newKeyText(text))
	})
}

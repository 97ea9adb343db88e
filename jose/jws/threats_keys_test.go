package jws_test

import (
	"bytes"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/internal/josetest"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

func TestThreat22AlgNone(t *testing.T) {
	key := newKey(t, jwk.HS256)
	for _, alg := range []string{"none", "None", "NONE", "nOnE", "n\\u006fne", "", " none", "none "} {
		for _, member := range []string{`"alg":"` + alg + `"`, `"alg":"` + alg + `","kid":"HS256"`} {
			token := craft(t, key, "{"+member+"}", "payload")
			h, p, _ := segments(t, token)
			refuse(t, key, token)
			refuse(t, key, h+"."+p+".")
			refuse(t, key, h+"."+p)
		}
	}
	for _, header := range []string{
		`{}`, `{"kid":"HS256"}`, `{"alg":null}`, `{"alg":0}`, `{"alg":false}`, `{"alg":["HS256"]}`, `{"alg":{"alg":"HS256"}}`,
		`{"alg":"hs256"}`, `{"alg":"HS256 "}`, `{"alg":"HS1"}`,
	} {
		refuse(t, key, craft(t, key, header, "payload"))
	}
	if err := refuse(t, key, craft(t, key, `{"alg":"nOnE"}`, "")); !errors.Is(err, jws.ErrUnsecured) {
		t.Error(err)
	}
}

// An attacker who has seen two tokens knows the public key: n divides s^e - m of
// each. He then signs with HS256 and hopes for a verifier that takes the public
// key for a shared secret.
func TestThreat24ConfusionWithRecoveredKey(t *testing.T) {
	private := rsaKeyWithExponent3(t)
	signer, err := jwk.New(private, jwk.Params{Algorithm: jwk.RS256, KeyID: "k"})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := signer.Public()
	if err != nil {
		t.Fatal(err)
	}
	one := craft(t, signer, `{"alg":"RS256","kid":"k"}`, "one")
	two := craft(t, signer, `{"alg":"RS256","kid":"k"}`, "two")
	accept(t, keys, one)
	recovered := &rsa.PublicKey{N: new(big.Int).GCD(nil, nil, multipleOfN(t, one), multipleOfN(t, two)), E: 3}
	for small := int64(2); small < 1000; small++ {
		for new(big.Int).Mod(recovered.N, big.NewInt(small)).Sign() == 0 {
			recovered.N.Div(recovered.N, big.NewInt(small))
		}
	}
	if !recovered.Equal(&private.PublicKey) {
		t.Fatal("the attack does not find the key")
	}
	for name, secret := range secretsOf(t, recovered) {
		for _, alg := range []jwk.Algorithm{jwk.HS256, jwk.HS384, jwk.HS512} {
			forger, err := jwk.New(secret, jwk.Params{Algorithm: alg, KeyID: "k"})
			if err != nil {
				continue // not even usable as a secret
			}
			forged := craft(t, forger, fmt.Sprintf(`{"alg":%q,"kid":"k"}`, alg), "admin")
			accept(t, forger, forged)
			if err := refuse(t, keys, forged); !errors.Is(err, jwk.ErrAlgorithm) {
				t.Errorf("%s: %v", name, err)
			}
			_, p, s := segments(t, forged)
			refuse(t, keys, wire.Encode([]byte(`{"alg":"RS256","kid":"k"}`))+"."+p+"."+s)
		}
	}
}

// secretsOf is everything an application might have given as "the key".
func secretsOf(t *testing.T, pub *rsa.PublicKey) map[string][]byte {
	pkix, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	pkcs1 := x509.MarshalPKCS1PublicKey(pub)
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix})
	n := wire.Encode(pub.N.Bytes())
	return map[string][]byte{
		"PKIX DER": pkix, "PKCS #1 DER": pkcs1, "PEM": text, "PEM trimmed": bytes.TrimSpace(text),
		"PKCS #1 PEM": pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: pkcs1}),
		"modulus":     pub.N.Bytes(), "modulus in hex": []byte(pub.N.Text(16)), "n": []byte(n),
		"JWK": []byte(`{"kty":"RSA","n":"` + n + `","e":"Aw"}`),
	}
}

// multipleOfN returns s^3 - m for a token signed with RS256 and exponent 3.
func multipleOfN(t *testing.T, token string) *big.Int {
	h, p, s := segments(t, token)
	sig, err := wire.Decode(s)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256([]byte(h + "." + p))
	// RFC 8017, Section 9.2: 00 01 FF … FF 00 DigestInfo hash.
	info := append([]byte{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20}, hash[:]...)
	encoded := bytes.Repeat([]byte{0xff}, len(sig))
	encoded[0], encoded[1], encoded[len(sig)-len(info)-1] = 0, 1, 0
	copy(encoded[len(sig)-len(info):], info)
	cube := new(big.Int).Exp(new(big.Int).SetBytes(sig), big.NewInt(3), nil)
	return cube.Sub(cube, new(big.Int).SetBytes(encoded))
}

func rsaKeyWithExponent3(t *testing.T) *rsa.PrivateKey {
	e, one := big.NewInt(3), big.NewInt(1)
	prime := func() *big.Int {
		for {
			p, err := rand.Prime(rand.Reader, 1024)
			if err != nil {
				t.Fatal(err)
			}
			if new(big.Int).Mod(p, e).Int64() == 2 { // p-1 has no factor 3
				return p
			}
		}
	}
	p, q := prime(), prime()
	for p.Cmp(q) == 0 {
		q = prime()
	}
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: 3},
		D:         new(big.Int).ModInverse(e, phi),
		Primes:    []*big.Int{p, q},
	}
	key.Precompute()
	if err := key.Validate(); err != nil {
		t.Fatal(err)
	}
	return key
}

func TestThreat25PayloadChanged(t *testing.T) {
	for _, alg := range algorithms {
		key := newKey(t, alg)
		token := craft(t, key, fmt.Sprintf(`{"alg":%q}`, alg), `{"sub":"alice"}`)
		accept(t, key, token)
		h, _, s := segments(t, token)
		if err := refuse(t, key, h+"."+wire.Encode([]byte(`{"sub":"admin"}`))+"."+s); !errors.Is(err, jwk.ErrSignature) {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

// A loose source answers every question with the same key.
type loose struct{ key *jwk.Key }

func (l loose) Find(kid, alg string) (*jwk.Key, error) { return l.key, nil }

// Each algorithm's key meets a token of every other algorithm, made with the same
// material where the two share it.
func TestThreat119AlgorithmOfKeyAndHeaderAgree(t *testing.T) {
	for _, of := range algorithms {
		key := newKey(t, of)
		for _, claimed := range algorithms {
			token := craft(t, key, fmt.Sprintf(`{"alg":%q}`, claimed), "payload")
			if claimed == of {
				accept(t, key, token)
				accept(t, loose{key}, token)
				continue
			}
			for _, keys := range []jwk.Source{key, loose{key}} {
				if err := refuse(t, keys, token); !errors.Is(err, jwk.ErrAlgorithm) {
					t.Errorf("%s under a key for %s: %v", claimed, of, err)
				}
			}
		}
		refuse(t, key, craft(t, key, `{}`, "payload"))
		refuse(t, loose{nil}, craft(t, key, fmt.Sprintf(`{"alg":%q}`, of), "payload"))
	}
}

func TestThreat119OneKeyForBothNames(t *testing.T) {
	for _, p := range []jwk.Params{
		{Algorithm: jwk.Ed25519, Also: jwk.EdDSA}, {Algorithm: jwk.EdDSA, Also: jwk.Ed25519},
	} {
		key, err := jwk.Generate(p)
		if err != nil {
			t.Fatal(err)
		}
		accept(t, key, craft(t, key, `{"alg":"EdDSA"}`, "payload"))
		accept(t, key, craft(t, key, `{"alg":"Ed25519"}`, "payload"))
		for _, alg := range []jwk.Algorithm{jwk.EdDSA, jwk.Ed25519} {
			token, err := jws.Sign(key, jws.Header{Algorithm: alg}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if h := accept(t, key, token).Header(); h.Algorithm != alg {
				t.Errorf("signed as %s, not %s", h.Algorithm, alg)
			}
		}
	}
}

func TestThreat28EmbeddedKey(t *testing.T) {
	ours, thiefs := newKey(t, jwk.ES256), newKey(t, jwk.ES256)
	public, err := thiefs.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	private, err := thiefs.MarshalPrivate()
	if err != nil {
		t.Fatal(err)
	}
	for _, embedded := range []string{string(public), string(private), "null", "[]", `{"kty":"oct","k":""}`} {
		for _, kid := range []string{`"kid":"ES256",`, `"kid":"unknown",`, ""} {
			token := craft(t, thiefs, `{"alg":"ES256",`+kid+`"jwk":`+embedded+`}`, "payload")
			refuse(t, ours, token)
		}
		// Under the right key the parameter changes nothing.
		accept(t, ours, craft(t, ours, `{"alg":"ES256","jwk":`+embedded+`}`, "payload"))
	}
}

// listener counts the connections that anybody makes.
func listener(t *testing.T, answer []byte) (url string, connections *atomic.Int64) {
	connections = new(atomic.Int64)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(answer) }))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	return server.URL, connections
}

func TestThreat29NoOutboundRequest(t *testing.T) {
	ours, thiefs := newKey(t, jwk.ES256), newKey(t, jwk.ES256)
	public, err := thiefs.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	url, connections := listener(t, []byte(`{"keys":[`+string(public)+`]}`))
	response, err := http.Get(url) // the control: the listener does count
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if connections.Swap(0) == 0 {
		t.Fatal("the listener sees nothing")
	}
	for _, name := range []string{"jku", "x5u", "kid", "iss", "jwk"} {
		for _, location := range []string{url, url + "/redirect", strings.Replace(url, "127.0.0.1", "localhost", 1)} {
			refuse(t, ours, craft(t, thiefs, fmt.Sprintf(`{"alg":"ES256",%q:%q}`, name, location), "payload"))
		}
	}
	accept(t, ours, craft(t, ours, fmt.Sprintf(`{"alg":"ES256","jku":%q,"x5u":%q}`, url, url), "payload"))
	if n := connections.Load(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

// What cannot speak HTTP cannot be made to fetch.
func TestThreat29NoHTTPInTheProgram(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range strings.Lines(string(out)) {
		if pkg = strings.TrimSpace(pkg); pkg == "net/http" || strings.HasPrefix(pkg, "net/http/") {
			t.Errorf("imports %s", pkg)
		}
	}
	if !strings.Contains(string(out), "jose/jwk") {
		t.Errorf("not a list of imports: %.200s", out)
	}
}

func TestThreat30SelfSignedCertificate(t *testing.T) {
	ours := newKey(t, jwk.ES256)
	thief, err := josetest.RSA()
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, thief.Public(), thief)
	if err != nil {
		t.Fatal(err)
	}
	thiefs := newKey(t, jwk.RS256)
	x5c := fmt.Sprintf(`"x5c":[%q],"x5t#S256":"%s"`, pemBody(der), wire.Encode(sum(der)))
	for _, kid := range []string{`"kid":"ES256",`, ""} {
		refuse(t, ours, craft(t, thiefs, `{"alg":"RS256",`+kid+x5c+`}`, "payload"))
	}
	accept(t, ours, craft(t, ours, `{"alg":"ES256",`+x5c+`}`, "payload"))
}

func pemBody(der []byte) string {
	lines := strings.Split(strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "X", Bytes: der}))), "\n")
	return strings.Join(lines[1:len(lines)-1], "")
}

func sum(b []byte) []byte {
	h := sha256.Sum256(b)
	return h[:]
}

// keySet is two keys, so that a kid is needed to choose.
func keySet(t *testing.T) (*jwk.Set, *jwk.Key) {
	key := newKey(t, jwk.HS256)
	other, err := jwk.Generate(jwk.Params{Algorithm: jwk.HS256, KeyID: "other"})
	if err != nil {
		t.Fatal(err)
	}
	set, err := jwk.NewSet(key, other)
	if err != nil {
		t.Fatal(err)
	}
	return set, key
}

func TestThreat31KidTraversal(t *testing.T) {
	keys, key := keySet(t)
	accept(t, keys, craft(t, key, hello, ""))
	for _, kid := range []string{
		"../../../../../../dev/null", "/dev/null", "/proc/sys/kernel/randomize_va_space", "HS256/../HS256", "./HS256",
		"file:///dev/null", `C:\\Windows\\win.ini`, "HS256\\u0000", "HS256%00", "hs256", " HS256",
	} {
		if err := refuse(t, keys, craft(t, key, `{"alg":"HS256","kid":"`+kid+`"}`, "")); !errors.Is(err, jwk.ErrUnknownKey) {
			t.Errorf("%s: %v", kid, err)
		}
	}
	// The empty file as a secret: no key can be made of it.
	for _, secret := range [][]byte{{}, {0}, []byte("\n")} {
		if _, err := jwk.New(secret, jwk.Params{Algorithm: jwk.HS256}); err == nil {
			t.Errorf("a key of %d bytes", len(secret))
		}
	}
}

func TestThreat32KidInjection(t *testing.T) {
	keys, key := keySet(t)
	for _, kid := range []string{
		"x' UNION SELECT '1", "HS256' OR '1'='1", "HS256;--", "|sleep 10", "$(sleep 10)", "`id`", "*", "*)(kid=*", "HS256\\n", "${jndi:ldap://x}", "{{7*7}}",
	} {
		if err := refuse(t, keys, craft(t, key, `{"alg":"HS256","kid":"`+kid+`"}`, "")); !errors.Is(err, jwk.ErrUnknownKey) {
			t.Errorf("%s: %v", kid, err)
		}
	}
}

func TestThreat33KidSizeAndType(t *testing.T) {
	keys, key := keySet(t)
	for _, kid := range []string{"0", "1", "null", "true", `["HS256"]`, `{"kid":"HS256"}`, "1e400", `"` + strings.Repeat("k", jws.MaxKeyID+1) + `"`} {
		if err := refuse(t, keys, craft(t, key, `{"alg":"HS256","kid":`+kid+`}`, "")); !errors.Is(err, jws.ErrMalformed) {
			t.Errorf("%.40s: %v", kid, err)
		}
	}
	refuse(t, keys, craft(t, key, `{"alg":"HS256","kid":"`+strings.Repeat("k", 10<<10)+`"}`, ""))
	longest := strings.Repeat("k", jws.MaxKeyID)
	if err := refuse(t, keys, craft(t, key, `{"alg":"HS256","kid":"`+longest+`"}`, "")); !errors.Is(err, jwk.ErrUnknownKey) {
		t.Error(err)
	}
	for _, member := range []string{"typ", "cty"} {
		for _, value := range []string{"0", "null", `["JWT"]`} {
			refuse(t, keys, craft(t, key, `{"alg":"HS256","kid":"HS256","`+member+`":`+value+`}`, ""))
		}
	}
}

// withSignature is the token of key with another signature.
func withSignature(t *testing.T, key *jwk.Key, sig []byte) string {
	h, p, _ := segments(t, craft(t, key, fmt.Sprintf(`{"alg":%q}`, key.Algorithm()), "payload"))
	return h + "." + p + "." + wire.Encode(sig)
}

var curves = map[jwk.Algorithm]*elliptic.CurveParams{
	jwk.ES256: elliptic.P256().Params(), jwk.ES384: elliptic.P384().Params(), jwk.ES512: elliptic.P521().Params(),
}

func TestThreat38ZeroSignature(t *testing.T) {
	for alg, curve := range curves {
		key := newKey(t, alg)
		n, size := curve.N, (curve.BitSize+7)/8
		above := new(big.Int).Add(n, big.NewInt(1))
		zero, one := new(big.Int), big.NewInt(1)
		for _, pair := range [][2]*big.Int{
			{zero, zero}, {zero, one}, {one, zero}, {n, n}, {n, one}, {one, n}, {above, one}, {one, above}, {zero, n}, {n, zero}, {one, one},
		} {
			sig := make([]byte, 2*size)
			pair[0].FillBytes(sig[:size])
			pair[1].FillBytes(sig[size:])
			if err := refuse(t, key, withSignature(t, key, sig)); !errors.Is(err, jwk.ErrSignature) {
				t.Errorf("%s: %v", alg, err)
			}
		}
	}
	for _, alg := range []jwk.Algorithm{jwk.Ed25519, jwk.RS256, jwk.PS256, jwk.HS256} {
		for _, size := range []int{32, 64, 256} {
			refuse(t, newKey(t, alg), withSignature(t, newKey(t, alg), make([]byte, size)))
		}
	}
}

func TestThreat39DERSignature(t *testing.T) {
	for alg, curve := range curves {
		key := newKey(t, alg)
		h, p, s := segments(t, craft(t, key, fmt.Sprintf(`{"alg":%q}`, alg), "payload"))
		sig, err := wire.Decode(s)
		if err != nil {
			t.Fatal(err)
		}
		half := (curve.BitSize + 7) / 8
		r, v := new(big.Int).SetBytes(sig[:half]), new(big.Int).SetBytes(sig[half:])
		der, err := asn1.Marshal(struct{ R, S *big.Int }{r, v})
		if err != nil {
			t.Fatal(err)
		}
		accept(t, key, h+"."+p+"."+wire.Encode(sig))
		for name, bad := range map[string][]byte{
			"DER":                der,
			"DER filled":         append(der, make([]byte, max(0, 2*half-len(der)))...),
			"one byte more":      append(bytes.Clone(sig), 0),
			"one byte before":    append([]byte{0}, sig...),
			"one byte less":      sig[:len(sig)-1],
			"first byte dropped": sig[1:],
			"wider halves":       append(append(append([]byte{0}, sig[:half]...), 0), sig[half:]...),
			"halves swapped":     append(bytes.Clone(sig[half:]), sig[:half]...),
			"only r":             sig[:half],
			"twice":              append(bytes.Clone(sig), sig...),
		} {
			if err := refuse(t, key, h+"."+p+"."+wire.Encode(bad)); !errors.Is(err, jwk.ErrSignature) {
				t.Errorf("%s %s: %v", alg, name, err)
			}
		}
	}
}

func TestThreat42Crit(t *testing.T) {
	key := newKey(t, jwk.HS256)
	for _, crit := range []string{
		`["exp"]`, `["x"]`, `[]`, `["x","x"]`, `["alg"]`, `"x"`, `null`, `{}`, `1`, `[null]`, `[""]`, `["b64"]`, `["crit"]`, `false`,
	} {
		for _, x := range []string{"", `,"x":1`, `,"exp":1`} {
			if err := refuse(t, key, craft(t, key, `{"alg":"HS256","crit":`+crit+x+`}`, "")); !errors.Is(err, jws.ErrCritical) {
				t.Errorf("%s: %v", crit, err)
			}
		}
	}
	refuse(t, key, craft(t, key, `{"alg":"HS256","crit":["x"],"crit":["x"],"x":1}`, ""))
}

func TestThreat43Unencoded(t *testing.T) {
	key := newKey(t, jwk.HS256)
	for _, header := range []string{
		`{"alg":"HS256","b64":false}`, `{"alg":"HS256","b64":true}`, `{"alg":"HS256","b64":null}`, `{"alg":"HS256","b64":"false"}`,
		`{"alg":"HS256","b64":false,"crit":["b64"]}`, `{"alg":"HS256","b64":true,"crit":["b64"]}`, `{"alg":"HS256","b64":false,"crit":[]}`,
	} {
		if err := refuse(t, key, craft(t, key, header, "payload")); !errors.Is(err, jws.ErrCritical) {
			t.Errorf("%s: %v", header, err)
		}
		input := wire.Encode([]byte(header)) + "." + "payload" // as RFC 7797 would sign it
		refuse(t, key, input+"."+wire.Encode(signature(t, key, input)))
	}
}

func TestThreat44EncryptedToken(t *testing.T) {
	key := newKey(t, jwk.HS256)
	h := wire.Encode([]byte(`{"alg":"dir","enc":"A256GCM","kid":"HS256"}`))
	for _, token := range []string{
		h + "..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA",
		h + ".AAAA.AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA",
	} {
		if err := refuse(t, key, token); !errors.Is(err, jws.ErrEncrypted) {
			t.Error(err)
		}
	}
	for _, header := range []string{
		`{"alg":"dir"}`, `{"alg":"dir","enc":"A256GCM"}`, `{"alg":"A256GCMKW"}`, `{"alg":"RSA1_5"}`, `{"alg":"HS256","enc":"A256GCM"}`,
	} {
		refuse(t, key, craft(t, key, header, "payload"))
	}
	wrapper, err := jwk.Generate(jwk.Params{Algorithm: jwk.A256GCMKW, KeyID: "w"})
	if err != nil {
		t.Fatal(err)
	}
	refuse(t, wrapper, craft(t, key, `{"alg":"A256GCMKW","kid":"w"}`, "payload"))
	if _, err := jws.Sign(wrapper, jws.Header{}, nil); !errors.Is(err, jwk.ErrUse) {
		t.Error(err)
	}
}

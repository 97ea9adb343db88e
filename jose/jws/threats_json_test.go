package jws_test

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/internal/josetest"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// member is a signature of payload under exactly that protected header, with
// that unprotected one, as members of a JSON object; "" leaves a header out.
func member(t testing.TB, key *jwk.Key, protected, header, payload string) string {
	t.Helper()
	return rawMember(t, key, protected, header, wire.Encode([]byte(payload)))
}

// rawMember is member for a payload that is already as it is signed.
func rawMember(t testing.TB, key *jwk.Key, protected, header, payload string) string {
	t.Helper()
	p := wire.Encode([]byte(protected))
	m := fmt.Sprintf(`"signature":%q`, wire.Encode(signature(t, key, p+"."+payload)))
	if header != "" {
		m = `"header":` + header + "," + m
	}
	if protected != "" {
		m = fmt.Sprintf(`"protected":%q,`, p) + m
	}
	return m
}

// flattened and general put a document together.
func flattened(member, payload string) string {
	return fmt.Sprintf(`{"payload":%q,%s}`, wire.Encode([]byte(payload)), member)
}

func general(payload string, members ...string) string {
	return fmt.Sprintf(`{"payload":%q,"signatures":[{%s}]}`, wire.Encode([]byte(payload)), strings.Join(members, "},{"))
}

func acceptJSON(t testing.TB, o jws.Options, keys jwk.Source, data string) *jws.Message {
	t.Helper()
	m, err := o.VerifyJSON(keys, []byte(data))
	if err != nil {
		t.Fatalf("refused: %v: %.300s", err, data)
	}
	return m
}

// refuseJSON fails if the document verifies by any function, even with all
// options, or if the error tells anything about it.
func refuseJSON(t testing.TB, keys jwk.Source, data string) error {
	t.Helper()
	return refuseJSONWith(t, all, keys, data)
}

func refuseJSONWith(t testing.TB, o jws.Options, keys jwk.Source, data string) error {
	t.Helper()
	m, err := o.VerifyJSON(keys, []byte(data))
	if err == nil || m != nil {
		t.Errorf("accepted: %v, %v, %.300s", m, err, data)
		return nil
	}
	if m, err := o.VerifyAll(keys, []byte(data)); err == nil || m != nil {
		t.Errorf("all accepted: %v, %v, %.300s", m, err, data)
	}
	josetest.Leaks(t, err, data)
	return err
}

func TestThreat4EachFormWhereTheOtherIsExpected(t *testing.T) {
	key := newKey(t, jwk.HS256)
	s := newSigner(t, key, false)
	for _, written := range forms {
		token, err := written.sign(s, []byte("payload"))
		if err != nil {
			t.Fatal(err)
		}
		for _, read := range forms {
			same := strings.Contains(written.name, "JSON") == strings.Contains(read.name, "JSON") && written.streamed() == read.streamed()
			_, err := read.verify(jws.Options{}, key, token, []byte("payload"))
			isJSON := token[0] == '{'
			wantsJSON := read.name != "compact" && read.name != "detached" && read.name != "streamed"
			if isJSON != wantsJSON || written.detached() != read.detached() {
				if err = refuseForm(t, read, key, token, "payload"); !errors.Is(err, jws.ErrMalformed) && !errors.Is(err, jwk.ErrSignature) {
					t.Errorf("%s read as %s: %v", written.name, read.name, err)
				}
			} else if err != nil || same && err != nil {
				t.Errorf("%s read as %s: %v", written.name, read.name, err)
			}
		}
	}
}

func TestThreat6PolyglotInJSON(t *testing.T) {
	key := newKey(t, jwk.HS256)
	token := craft(t, key, hello, "payload")
	h, p, s := segments(t, token)
	for _, polyglot := range []string{
		token, `"` + token + `"`, `["` + token + `"]`, token + "{}", fmt.Sprintf(`{"payload":%q}`, token),
		fmt.Sprintf(`{"payload":%q,"protected":%q,"signature":%q}`, h+"."+p, h, s),
		fmt.Sprintf(`{"payload":%q,"protected":%q,"signature":%q}`, p, h+"."+p, s),
		fmt.Sprintf(`{"payload":%q,"protected":%q,"signature":%q}.%s.%s`, p, h, s, p, s),
		fmt.Sprintf(`{"payload":%q,"protected":%q,"signature":%q}{}`, p, h, s),
		fmt.Sprintf(`{"payload":%q,"protected":%q,"signature":%q,"ciphertext":""}`, p, h, s),
		fmt.Sprintf(`{"payload":%q,"protected":%q,"signature":%q,"ciphertext":null}`, p, h, s),
	} {
		if err := refuseJSON(t, key, polyglot); !errors.Is(err, jws.ErrMalformed) {
			t.Errorf("%v: %s", err, polyglot)
		}
	}
}

func TestThreat20JSONIsNotAnObject(t *testing.T) {
	key := newKey(t, jwk.HS256)
	for _, data := range []string{"", " ", "[]", `"x"`, "1", "null", "true", "{", "{}", "\ufeff{}", `{"payload"}`, "\xff", "[[[[[[[["} {
		if err := refuseJSON(t, key, data); !errors.Is(err, jws.ErrMalformed) {
			t.Errorf("%q: %v", data, err)
		}
	}
	for _, header := range []string{"[]", `"x"`, "1", "null", "{", "{}"} {
		if err := refuseJSON(t, key, flattened(member(t, key, header, `{"alg":"HS256"}`, "p"), "p")); !errors.Is(err, jws.ErrMalformed) {
			t.Errorf("protected %s: %v", header, err)
		}
		if err := refuseJSON(t, key, flattened(member(t, key, hello, header, "p"), "p")); !errors.Is(err, jws.ErrMalformed) {
			t.Errorf("unprotected %s: %v", header, err)
		}
	}
}

func TestThreat116JSONForms(t *testing.T) {
	key := newKey(t, jwk.HS256)
	good := member(t, key, hello, "", "p")
	h, p, s := segments(t, craft(t, key, hello, "p"))
	accepted := []string{
		flattened(good, "p"), general("p", good), " \r\n\t" + flattened(good, "p") + " \n",
		flattened(good+`,"comment":{"payload":"x"},"":null,"Payload":"x","PAYLOAD":1,"Signatures":[]`, "p"),
		general("p", good+`,"payload":"x","signatures":[]`), // unknown there
		flattened(member(t, key, hello, `{"x":1}`, "p"), "p"),
	}
	for _, data := range accepted {
		if m := acceptJSON(t, jws.Options{}, key, data); string(m.Payload()) != "p" {
			t.Errorf("%s: %q", data, m.Payload())
		}
	}
	document := func(format string, args ...any) string { return fmt.Sprintf(format, args...) }
	for name, data := range map[string]string{
		"no signatures":                    document(`{"payload":%q,"signatures":[]}`, p),
		"null signatures":                  document(`{"payload":%q,"signatures":null}`, p),
		"null signatures beside one":       document(`{"payload":%q,"signatures":null,%s}`, p, good),
		"no signatures beside one":         document(`{"payload":%q,"signatures":[],%s}`, p, good),
		"signature beside signatures":      document(`{"payload":%q,"signatures":[{%s}],"signature":%q}`, p, good, s),
		"protected beside signatures":      document(`{"payload":%q,"signatures":[{%s}],"protected":%q}`, p, good, h),
		"header beside signatures":         document(`{"payload":%q,"signatures":[{%s}],"header":{"x":1}}`, p, good),
		"flattened beside signatures":      document(`{"payload":%q,%s,"signatures":[{%s}]}`, p, good, good),
		"signatures not an array":          document(`{"payload":%q,"signatures":{%s}}`, p, good),
		"signature in an array of strings": document(`{"payload":%q,"signatures":[%q]}`, p, s),
		"null in signatures":               document(`{"payload":%q,"signatures":[{%s},null]}`, p, good),
		"array in signatures":              document(`{"payload":%q,"signatures":[[{%s}]]}`, p, good),
		"empty object in signatures":       document(`{"payload":%q,"signatures":[{%s},{}]}`, p, good),
		"signatures twice":                 document(`{"payload":%q,"signatures":[{%s}],"signatures":[{%s}]}`, p, good, good),
		"payload twice":                    document(`{"payload":%q,"payload":%q,%s}`, p, p, good),
		"payload twice, once escaped":      document(`{"payload":%q,"\u0070ayload":%q,%s}`, p, p, good),
		"signature twice":                  document(`{"payload":%q,%s,"signature":%q}`, p, good, s),
		"unknown twice":                    document(`{"payload":%q,%s,"x":1,"x":2}`, p, good),
		"unknown twice below":              document(`{"payload":%q,%s,"x":[{"y":1,"y":2}]}`, p, good),
		"no payload":                       document(`{%s}`, good),
		"null payload":                     document(`{"payload":null,%s}`, good),
		"payload not a string":             document(`{"payload":{"p":1},%s}`, good),
		"payload an array":                 document(`{"payload":[%q],%s}`, p, good),
		"payload a number":                 document(`{"payload":0,%s}`, good),
		"other payload":                    document(`{"payload":"cQ",%s}`, good),
		"payload with padding":             document(`{"payload":"cA==",%s}`, good),
		"payload with a line end":          document(`{"payload":"cA\n",%s}`, good),
		"payload with stray bits":          document(`{"payload":"cB",%s}`, good),
		"protected null":                   document(`{"payload":%q,"protected":null,"signature":%q}`, p, s),
		"protected an object":              document(`{"payload":%q,"protected":%s,"signature":%q}`, p, hello, s),
		"protected with padding":           document(`{"payload":%q,"protected":%q,"signature":%q}`, p, h+"=", s),
		"protected empty":                  document(`{"payload":%q,"protected":"","header":{"alg":"HS256"},"signature":%q}`, p, s),
		"no signature":                     document(`{"payload":%q,"protected":%q}`, p, h),
		"signature empty":                  document(`{"payload":%q,"protected":%q,"signature":""}`, p, h),
		"signature null":                   document(`{"payload":%q,"protected":%q,"signature":null}`, p, h),
		"signature an array":               document(`{"payload":%q,"protected":%q,"signature":[%q]}`, p, h, s),
		"signature with padding":           document(`{"payload":%q,"protected":%q,"signature":%q}`, p, h, s+"="),
		"header null":                      flattened(member(t, key, hello, "null", "p"), "p"),
		"header empty":                     flattened(member(t, key, hello, "{}", "p"), "p"),
		"header not an object":             flattened(member(t, key, hello, `[{"x":1}]`, "p"), "p"),
		"header encoded":                   flattened(member(t, key, hello, `"eyJ4IjoxfQ"`, "p"), "p"),
		"header names twice":               flattened(member(t, key, hello, `{"x":1,"x":1}`, "p"), "p"),
		"header overlaps in alg":           flattened(member(t, key, hello, `{"alg":"HS256"}`, "p"), "p"),
		"header overlaps in kid":           flattened(member(t, key, hello, `{"kid":"HS256"}`, "p"), "p"),
		"header overlaps, escaped":         flattened(member(t, key, hello, `{"\u006bid":"HS256"}`, "p"), "p"),
		"header overlaps in unknown":       flattened(member(t, key, `{"alg":"HS256","x":1}`, `{"x":1}`, "p"), "p"),
		"unprotected crit":                 flattened(member(t, key, hello, `{"crit":["x"],"x":1}`, "p"), "p"),
		"unprotected b64":                  flattened(member(t, key, hello, `{"b64":false}`, "p"), "p"),
		"unprotected b64 true":             flattened(member(t, key, hello, `{"b64":true}`, "p"), "p"),
		"unprotected enc":                  flattened(member(t, key, hello, `{"enc":"A256GCM"}`, "p"), "p"),
		"unprotected kid a number":         flattened(member(t, key, `{"alg":"HS256"}`, `{"kid":1}`, "p"), "p"),
		"unprotected typ a number":         flattened(member(t, key, hello, `{"typ":1}`, "p"), "p"),
		"second overlaps":                  general("p", good, member(t, key, hello, `{"kid":"x"}`, "p")),
		"second with unprotected crit":     general("p", good, member(t, key, hello, `{"crit":["x"]}`, "p")),
		"second broken":                    general("p", good, `"protected":"e30.","signature":"AA"`),
	} {
		if err := refuseJSON(t, key, data); !errors.Is(err, jws.ErrMalformed) && !errors.Is(err, jwk.ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is read is what was signed, also where two readers could differ.
func TestThreat116PayloadIsTheOneSigned(t *testing.T) {
	key := newKey(t, jwk.HS256)
	one, two := member(t, key, hello, "", "one"), member(t, key, hello, "", "two")
	if m := acceptJSON(t, jws.Options{}, key, general("two", one, two)); string(m.Payload()) != "two" || m.Index() != 1 {
		t.Errorf("%q by signature %d", m.Payload(), m.Index())
	}
	if m := acceptJSON(t, jws.Options{}, key, general("one", one, two)); string(m.Payload()) != "one" || m.Index() != 0 {
		t.Errorf("%q by signature %d", m.Payload(), m.Index())
	}
	refuseJSON(t, key, general("three", one, two))
	// "b64" changes what the same bytes mean.
	b64 := `{"alg":"HS256","b64":false,"crit":["b64"]}`
	data := fmt.Sprintf(`{"payload":"cA",%s}`, rawMember(t, key, b64, "", "cA"))
	if m := acceptJSON(t, all, key, data); string(m.Payload()) != "cA" {
		t.Errorf("%q", m.Payload())
	}
	for _, mixed := range []string{
		fmt.Sprintf(`{"payload":"cA","signatures":[{%s},{%s}]}`, rawMember(t, key, b64, "", "cA"), rawMember(t, key, hello, "", "cA")),
		fmt.Sprintf(`{"payload":"cA","signatures":[{%s},{%s}]}`, rawMember(t, key, hello, "", "cA"), rawMember(t, key, b64, "", "cA")),
		fmt.Sprintf(`{"payload":"cA","signatures":[{%s},{%s}]}`, rawMember(t, key, hello, "", "cA"), rawMember(t, key, `{"b64":false}`, "", "cA")),
	} {
		if err := refuseJSON(t, key, mixed); !errors.Is(err, jws.ErrMalformed) {
			t.Error(err)
		}
	}
}

func TestThreat117JSONNamesUnderFoldingAndEscapes(t *testing.T) {
	key := newKey(t, jwk.HS256)
	good := flattened(member(t, key, hello, "", "p"), "p")
	for _, name := range []string{"payload", "protected", "signature"} {
		for _, other := range []string{strings.ToUpper(name), strings.ToUpper(name[:1]) + name[1:], strings.Replace(name, "s", "\u017f", 1), name + " "} {
			if other != name {
				refuseJSON(t, key, strings.Replace(good, `"`+name+`"`, `"`+other+`"`, 1))
			}
		}
		escaped := fmt.Sprintf(`"\u%04x%s"`, name[0], name[1:])
		acceptJSON(t, jws.Options{}, key, strings.Replace(good, `"`+name+`"`, escaped, 1))
		// It is the same name, so that there are two of them.
		refuseJSON(t, key, strings.Replace(good, "{", "{"+escaped+`:"",`, 1))
	}
	// U+212A is no k, so that this is not the key's name.
	m := acceptJSON(t, all, key, flattened(member(t, key, `{"alg":"HS256"}`, "{\"\u212aid\":\"other\"}", "p"), "p"))
	if _, ok := m.UnprotectedMember("kid"); ok {
		t.Error("U+212A is taken for a k")
	}
	refuseJSON(t, key, flattened(member(t, key, `{"alg":"HS256"}`, `{"\u006bid":"other"}`, "p"), "p"))
}

func TestThreat119AlgorithmInTheUnprotectedHeader(t *testing.T) {
	for _, of := range algorithms {
		key := newKey(t, of)
		alone := flattened(member(t, key, "", fmt.Sprintf(`{"alg":%q,"kid":%q}`, of, of), "p"), "p")
		refuseJSONWith(t, jws.Options{Unencoded: true}, key, alone)
		m := acceptJSON(t, jws.Options{UnprotectedAlgorithm: true}, key, alone)
		if h := m.Header(); h.Algorithm != "" || h.KeyID != "" || m.Key().Algorithm() != of {
			t.Errorf("%s: %+v", of, h)
		}
		acceptJSON(t, all, key, flattened(member(t, key, `{"typ":"x"}`, fmt.Sprintf(`{"alg":%q}`, of), "p"), "p"))
		for _, claimed := range algorithms {
			if claimed == of {
				continue
			}
			for _, headers := range [][2]string{{fmt.Sprintf(`{"alg":%q}`, claimed), ""}, {"", fmt.Sprintf(`{"alg":%q}`, claimed)}} {
				for _, keys := range []jwk.Source{key, loose{key}} {
					if err := refuseJSON(t, keys, flattened(member(t, key, headers[0], headers[1], "p"), "p")); !errors.Is(err, jwk.ErrAlgorithm) {
						t.Errorf("%s under a key for %s: %v", claimed, of, err)
					}
				}
			}
		}
		for _, headers := range [][2]string{
			{"", ""}, {`{"kid":"x"}`, ""}, {"", `{"kid":"x"}`}, {"", `{"alg":"none"}`}, {`{"alg":"none"}`, ""}, {"", `{"alg":1}`},
			{`{"alg":""}`, ""}, {`{"alg":""}`, fmt.Sprintf(`{"alg":%q}`, of)}, {"", `{"alg":""}`}, {"", `{"alg":null}`},
		} {
			refuseJSON(t, loose{key}, flattened(member(t, key, headers[0], headers[1], "p"), "p"))
		}
	}
}

func TestThreat119AlgorithmsOfTheVerifier(t *testing.T) {
	key := newKey(t, jwk.HS256)
	s := newSigner(t, key, false)
	for _, f := range forms {
		token, err := f.sign(s, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, algs := range [][]jwk.Algorithm{{}, {jwk.ES256, jwk.HS512}} {
			if m, err := f.verify(jws.Options{Algorithms: algs}, key, token, nil); !errors.Is(err, jwk.ErrAlgorithm) || m != nil {
				t.Errorf("%s: %v", f.name, err)
			}
		}
		if _, err := f.verify(jws.Options{Algorithms: []jwk.Algorithm{jwk.ES256, jwk.HS256}}, key, token, nil); err != nil {
			t.Errorf("%s: %v", f.name, err)
		}
	}
}

// A counting source tells how often it was asked.
type counting struct {
	jwk.Source
	asked int
}

func (c *counting) Find(kid, alg string) (*jwk.Key, error) {
	c.asked++
	return c.Source.Find(kid, alg)
}

func TestThreat125ManySignatures(t *testing.T) {
	key := newKey(t, jwk.HS256)
	good, bad := member(t, key, hello, "", "p"), member(t, key, hello, "", "q")
	for _, n := range []int{jws.MaxSignatures + 1, 5000} {
		for _, members := range [][]string{append(manyTimes(bad, n-1), good), append([]string{good}, manyTimes(bad, n-1)...)} {
			keys := &counting{Source: key}
			data := general("p", members...)
			if err := refuseJSON(t, keys, data); !errors.Is(err, jws.ErrTooLarge) || keys.asked != 0 {
				t.Errorf("%d signatures: %v after %d questions", n, err, keys.asked)
			}
			_, err := all.VerifyReaderJSON(keys, []byte(data), strings.NewReader("p"))
			if !errors.Is(err, jws.ErrTooLarge) || keys.asked != 0 {
				t.Errorf("%d signatures: %v after %d questions", n, err, keys.asked)
			}
		}
	}
	last := acceptJSON(t, jws.Options{}, key, general("p", append(manyTimes(bad, jws.MaxSignatures-1), good)...))
	if last.Index() != jws.MaxSignatures-1 {
		t.Error(last.Index())
	}
	signers := make([]*jws.Signer, jws.MaxSignatures+1)
	tokens := make([]string, len(signers))
	for i := range signers {
		signers[i] = newSigner(t, key, false)
		tokens[i], _ = signers[i].SignDetached(nil)
	}
	if _, err := jws.SignJSON(nil, signers...); !errors.Is(err, jws.ErrTooLarge) {
		t.Error(err)
	}
	if _, err := jws.JoinDetached(tokens...); !errors.Is(err, jws.ErrTooLarge) {
		t.Error(err)
	}
	data, err := jws.SignJSON(nil, signers[1:]...)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := jws.VerifyAll(key, data); err != nil || len(m) != jws.MaxSignatures {
		t.Error(err)
	}
}

func manyTimes(s string, n int) []string {
	many := make([]string, n)
	for i := range many {
		many[i] = s
	}
	return many
}

func TestThreat42CritInEveryForm(t *testing.T) {
	key := newKey(t, jwk.HS256)
	understands := jws.Options{Unencoded: true, Critical: handlers("x", "y", "exp", "alg", "kid", "typ", "crit", "b64", "", "x5t#S256", "enc", "p2c")}
	for _, header := range []string{
		`"crit":[]`, `"crit":null`, `"crit":"x","x":1`, `"crit":{"x":1},"x":1`, `"crit":1`, `"crit":false`, `"crit":[null]`, `"crit":[1]`, `"crit":[["x"]],"x":1`,
		`"crit":["x"]`, `"crit":["x","x"],"x":1`, `"crit":["x","\u0078"],"x":1`, `"crit":["z"],"z":1`, `"crit":["x","z"],"x":1,"z":1`, `"crit":["x","y"],"x":1`,
		`"crit":["alg"]`, `"crit":["kid"],"kid":"HS256"`, `"crit":["typ"],"typ":"x"`, `"crit":["crit"]`, `"crit":[""],"":1`, `"crit":["x5t#S256"],"x5t#S256":"x"`,
		`"crit":["enc"],"enc":"A256GCM"`, `"crit":["p2c"],"p2c":1`, `"crit":["X"],"x":1`, `"crit":["b64"]`, `"crit":["b64","b64"],"b64":true`,
	} {
		protected := `{"alg":"HS256",` + header + `}`
		token := craft(t, key, protected, "p")
		_, err := understands.Verify(key, token)
		_, plain := jws.Verify(key, token)
		_, detachedErr := understands.VerifyDetached(key, detach(t, token), []byte("p"))
		_, streamErr := understands.VerifyReader(key, detach(t, token), strings.NewReader("p"))
		if !isCritical(err) || !isCritical(plain) || !isCritical(detachedErr) || !isCritical(streamErr) {
			t.Errorf("%s: %v, %v, %v, %v", header, err, plain, detachedErr, streamErr)
		}
		if err := refuseJSONWith(t, understands, key, flattened(member(t, key, protected, "", "p"), "p")); !isCritical(err) {
			t.Errorf("%s: %v", header, err)
		}
		// The parameter may be in the unprotected header for the JWS, not for crit.
		refuseJSONWith(t, understands, key, flattened(member(t, key, `{"alg":"HS256","crit":["x"]}`, `{"x":1}`, "p"), "p"))
	}
	// Another signature may be good all the same, and says nothing of this one.
	m := acceptJSON(t, jws.Options{}, key, general("p", member(t, key, `{"alg":"HS256","crit":["x"],"x":1}`, "", "p"), member(t, key, hello, "", "p")))
	if _, ok := m.Header().Member("x"); ok || m.Index() != 1 {
		t.Error("the header of another signature")
	}
}

// isCritical reports an error for crit, or for a member that crit could not make
// good.
func isCritical(err error) bool { return errors.Is(err, jws.ErrCritical) }

func detach(t testing.TB, token string) string {
	h, _, s := segments(t, token)
	return h + ".." + s
}

func TestThreat43UnencodedInEveryForm(t *testing.T) {
	key := newKey(t, jwk.HS256)
	for _, header := range []string{
		`"b64":false`, `"b64":true`, `"b64":false,"crit":["x"],"x":1`, `"b64":"false","crit":["b64"]`, `"b64":0,"crit":["b64"]`, `"b64":null,"crit":["b64"]`,
		`"b64":[false],"crit":["b64"]`, `"B64":false,"crit":["b64"]`, `"b64":false,"crit":["B64"],"B64":1`, `"b64":false,"crit":[]`,
	} {
		o := jws.Options{Unencoded: true, Critical: handlers("x", "B64")}
		protected := `{"alg":"HS256",` + header + `}`
		for _, payload := range []string{"cA", "p"} { // signed encoded, or as it is
			input := wire.Encode([]byte(protected)) + "." + payload
			sig := wire.Encode(signature(t, key, input))
			if m, err := o.Verify(key, input+"."+sig); err == nil || m != nil {
				t.Errorf("compact, %s", header)
			}
			if m, err := o.VerifyDetached(key, wire.Encode([]byte(protected))+".."+sig, []byte("p")); err == nil || m != nil {
				t.Errorf("detached, %s", header)
			}
			refuseJSONWith(t, o, key, fmt.Sprintf(`{"payload":%q,%s}`, payload, rawMember(t, key, protected, "", payload)))
		}
	}
	// With crit, and only where it is asked for.
	for b64, payload := range map[string]string{"false": "p", "true": "cA"} {
		protected := `{"alg":"HS256","crit":["b64"],"b64":` + b64 + `}`
		input := wire.Encode([]byte(protected)) + "." + payload
		token := input + "." + wire.Encode(signature(t, key, input))
		if m, err := (jws.Options{Unencoded: true}).Verify(key, token); err != nil || string(m.Payload()) != "p" || m.Header().Unencoded() != (b64 == "false") {
			t.Errorf("%s: %v", b64, err)
		}
		for _, o := range []jws.Options{{}, {Critical: handlers("b64", "x")}} {
			if _, err := o.Verify(key, token); !errors.Is(err, jws.ErrCritical) {
				t.Errorf("%s: %v", b64, err)
			}
		}
	}
}

// What a compact token carries as it is has one reading.
func TestThreat43DotInUnencodedPayload(t *testing.T) {
	key := newKey(t, jwk.HS256)
	h := wire.Encode([]byte(`{"alg":"HS256","b64":false,"crit":["b64"]}`))
	for _, payload := range []string{".", "a.b", "$.02", "..", "x.", "\n", "\t", "é", "\x00", "\x7f", "\xff"} {
		token := h + "." + payload + "." + wire.Encode(signature(t, key, h+"."+payload))
		m, err := all.Verify(key, token)
		if !errors.Is(err, jws.ErrMalformed) || m != nil {
			t.Errorf("%q: %v", payload, err)
		}
		if _, err := newSigner(t, key, true).Sign([]byte(payload)); !errors.Is(err, jws.ErrMalformed) {
			t.Errorf("%q: %v", payload, err)
		}
		if _, err := all.VerifyDetached(key, detachedOf(h, token), []byte(payload)); err != nil {
			t.Errorf("%q: %v", payload, err)
		}
	}
	if _, err := newSigner(t, key, true).SignFlattened([]byte("\xff")); !errors.Is(err, jws.ErrMalformed) {
		t.Error(err)
	}
}

func detachedOf(header, token string) string {
	return header + "." + token[strings.LastIndexByte(token, '.'):]
}

// Keys that a header brings along, signed or not, are nobody's.
func TestThreat28EmbeddedKeyInJSON(t *testing.T) {
	ours, thiefs := newKey(t, jwk.ES256), newKey(t, jwk.ES256)
	public, err := thiefs.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	url, connections := listener(t, []byte(`{"keys":[`+string(public)+`]}`))
	for _, parameter := range []string{
		`"jwk":` + string(public), fmt.Sprintf(`"jku":%q`, url), fmt.Sprintf(`"x5u":%q`, url), `"x5c":["AAAA"]`,
	} {
		for _, headers := range [][2]string{
			{`{"alg":"ES256",` + parameter + `}`, ""}, {`{"alg":"ES256"}`, `{` + parameter + `}`}, {"", `{"alg":"ES256",` + parameter + `}`},
		} {
			refuseJSON(t, ours, flattened(member(t, thiefs, headers[0], headers[1], "p"), "p"))
			acceptJSON(t, all, ours, flattened(member(t, ours, headers[0], headers[1], "p"), "p"))
		}
	}
	if n := connections.Load(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

// Ten megabytes of anything cost next to nothing.
func TestThreat2OversizeJSON(t *testing.T) {
	key := newKey(t, jwk.HS256)
	const size = 10 << 20
	long := func(prefix, fill, suffix string) []byte {
		return []byte(prefix + strings.Repeat(fill, (size-len(prefix)-len(suffix))/len(fill)) + suffix)
	}
	for name, data := range map[string][]byte{
		"dots":       long("", ".", ""),
		"braces":     long("", "{", ""),
		"brackets":   long(`{"payload":`, "[", ""),
		"payload":    long(`{"payload":"`, "A", `"}`),
		"signatures": long(`{"payload":"","signatures":[`, `{"signature":"AA"},`, `{}]}`),
		"members":    long(`{`, `"a":1,`, `"b":1}`),
		"header":     long(`{"header":{"x":"`, "x", `"}}`),
		"escapes":    long(`{"payload":"`, `\u0041`, `"}`),
		"space":      long("", " ", "{}"),
	} {
		for i, verify := range []func() (*jws.Message, error){
			func() (*jws.Message, error) { return all.VerifyJSON(key, data) },
			func() (*jws.Message, error) { return all.VerifyDetachedJSON(key, data, nil) },
			func() (*jws.Message, error) { return all.VerifyReaderJSON(key, data, strings.NewReader("")) },
		} {
			bytes, took := costOf(func() {
				if m, err := verify(); !errors.Is(err, jws.ErrTooLarge) || m != nil {
					t.Errorf("%s, %d: %v", name, i, err)
				}
			})
			if bytes > 64<<10 || took > time.Millisecond {
				t.Errorf("%s, %d: %d bytes, %v", name, i, bytes, took)
			}
		}
	}
}

// costOf returns the memory and the time that f takes at its best.
func costOf(f func()) (bytes uint64, took time.Duration) {
	bytes, took = 1<<63, time.Hour
	for range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		f()
		took = min(took, time.Since(start))
		runtime.ReadMemStats(&after)
		bytes = min(bytes, after.TotalAlloc-before.TotalAlloc)
	}
	return bytes, took
}

func TestThreat2JSONAtItsBounds(t *testing.T) {
	key := newKey(t, jwk.HS256)
	s := newSigner(t, key, false)
	for _, sign := range []func([]byte) ([]byte, error){s.SignFlattened, func(p []byte) ([]byte, error) { return jws.SignJSON(p, s) }} {
		data, err := sign(make([]byte, jws.MaxPayload))
		if err != nil {
			t.Fatal(err)
		}
		if m, err := jws.VerifyJSON(key, data); err != nil || len(m.Payload()) != jws.MaxPayload {
			t.Error(err)
		}
		if _, err := sign(make([]byte, jws.MaxPayload+1)); !errors.Is(err, jws.ErrTooLarge) {
			t.Error(err)
		}
	}
	above := string(make([]byte, jws.MaxPayload+1))
	if err := refuseJSON(t, key, flattened(member(t, key, hello, "", above), above)); !errors.Is(err, jws.ErrTooLarge) {
		t.Error(err)
	}
	good := flattened(member(t, key, hello, "", "p"), "p")
	acceptJSON(t, jws.Options{}, key, good+strings.Repeat(" ", jws.MaxDocument-len(good)))
	if err := refuseJSON(t, key, good+strings.Repeat(" ", jws.MaxDocument-len(good)+1)); !errors.Is(err, jws.ErrTooLarge) {
		t.Error(err)
	}
	header := func(n int) string { return `{"x":"` + strings.Repeat("x", n-len(`{"x":""}`)) + `"}` }
	acceptJSON(t, jws.Options{}, key, flattened(member(t, key, hello, header(jws.MaxHeader), "p"), "p"))
	tooLong := member(t, key, hello, header(jws.MaxHeader+1), "p")
	for _, data := range []string{flattened(tooLong, "p"), general("p", tooLong), general("p", member(t, key, hello, "", "p"), tooLong)} {
		if err := refuseJSON(t, key, data); !errors.Is(err, jws.ErrTooLarge) {
			t.Error(err)
		}
	}
	unencoded := newSigner(t, key, true) // six bytes of JSON for each of payload
	if _, err := unencoded.SignFlattened(make([]byte, jws.MaxDocument/6+1)); !errors.Is(err, jws.ErrTooLarge) {
		t.Error(err)
	}
}

// The cost of a document grows with its bytes and not with how they are cut.
func TestThreat125ManyMembers(t *testing.T) {
	key := newKey(t, jwk.HS256)
	var names strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&names, `"%x":1,`, i)
	}
	good := member(t, key, hello, "", "p")
	for _, data := range []string{
		`{` + names.String() + good + `,"payload":"cA"}`, `{"x":{` + names.String() + `"":1},` + good + `,"payload":"cA"}`,
	} {
		bytes, _ := costOf(func() {
			if _, err := jws.VerifyJSON(key, []byte(data)); !errors.Is(err, jws.ErrTooLarge) {
				t.Error(err)
			}
		})
		if bytes > 64<<10+uint64(2*len(data)) { // the test makes a copy
			t.Errorf("%d bytes", bytes)
		}
	}
	// Text that looks like members is text.
	signed, err := newSigner(t, key, true).SignFlattened([]byte(names.String()))
	if err != nil {
		t.Fatal(err)
	}
	if m := acceptJSON(t, all, key, string(signed)); string(m.Payload()) != names.String() {
		t.Error("another payload")
	}
}

// Every bit flipped, every byte left out, every length: what is not the token
// itself is no token.
func TestThreat11EveryBitOfJSON(t *testing.T) {
	key := newKey(t, jwk.HS256)
	for _, unencoded := range []bool{false, true} {
		s := newSigner(t, key, unencoded)
		for _, f := range forms {
			token, err := f.sign(s, []byte("the payload"))
			if err != nil {
				t.Fatal(err)
			}
			for i := range token {
				for bit := range 8 {
					bad := bytes.Clone(token)
					bad[i] ^= 1 << bit
					refuseForm(t, f, key, bad, "the payload")
				}
				refuseForm(t, f, key, token[:i], "the payload")
				refuseForm(t, f, key, token[i+1:], "the payload")
				refuseForm(t, f, key, append(bytes.Clone(token[:i]), token[i+1:]...), "the payload")
			}
			if _, err := f.verify(all, key, token, []byte("the payload")); err != nil {
				t.Error(err)
			}
		}
	}
}

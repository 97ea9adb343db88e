package differ_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/bench/rivals"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// A document is an input: a JWS in any serialization, and the key it is to be
// verified with.
type document struct {
	key  *documentKey
	text string

	members    []member // of the JSON serializations; nil for the compact one
	payload    string   // as it is spelled
	signatures []signature
}

// A signature is one of a document, as far as it can be read.
type signature struct {
	members    []member
	protected  string // as it is spelled
	header     []byte // of protected, decoded
	headers    []member
	open       []member // the unprotected header
	value      string   // as it is spelled
	hasOpen    bool
	hasProtect bool
}

func newDocument(key *documentKey, text string) document {
	doc := document{key: key, text: text}
	if !strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "{") {
		if parts := strings.Split(text, "."); len(parts) == 3 {
			doc.payload = parts[1]
			doc.signatures = []signature{{protected: parts[0], hasProtect: true, value: parts[2]}}
		}
	} else {
		doc.members = membersOf([]byte(text))
		doc.payload = spelling(doc.members, "payload")
		if list, ok := get(doc.members, "signatures"); ok {
			for _, element := range elementsOf(list) {
				doc.signatures = append(doc.signatures, readSignature(membersOf(element)))
			}
		} else {
			doc.signatures = []signature{readSignature(doc.members)}
		}
	}
	for i := range doc.signatures {
		s := &doc.signatures[i]
		s.header = loosely(s.protected)
		s.headers = membersOf(s.header)
	}
	return doc
}

func readSignature(list []member) signature {
	s := signature{members: list, protected: spelling(list, "protected"), value: spelling(list, "signature")}
	_, s.hasProtect = get(list, "protected")
	var open []byte
	if open, s.hasOpen = get(list, "header"); s.hasOpen {
		s.open = membersOf(open)
	}
	return s
}

func spelling(list []member, name string) string {
	value, _ := get(list, name)
	return text(value)
}

func (d document) String() string {
	var headers []string
	for _, s := range d.signatures {
		headers = append(headers, fmt.Sprintf("%.1000q", s.header))
	}
	return fmt.Sprintf("key for %s\nheaders %s\ntext %.3000q", d.key.alg, strings.Join(headers, " "), d.text)
}

// A documentKey signs documents; the others of a document sign beside it.
type documentKey struct {
	*testKey
	theirs []documentRival
}

type documentRival struct {
	library string
	verify  func([]byte) ([]byte, error)
}

func newDocumentKey(key *testKey) *documentKey {
	d := &documentKey{testKey: key}
	for _, lib := range rivals.JWS {
		d.theirs = append(d.theirs, documentRival{lib.Name, must(lib.Verifier(key.alg, key.public))})
	}
	return d
}

func documentKeys() (list []*documentKey) {
	for _, key := range goodKeys() {
		switch key.alg {
		case "HS256", "ES256", "EdDSA", "PS256":
			list = append(list, newDocumentKey(key))
		}
	}
	return list
}

var (
	documentWords = vocabulary{
		names: []string{"payload", "protected", "header", "signature", "signatures", "Payload", "PROTECTED", "ciphertext", "aad", "x", ""},
		values: []string{
			`"e30"`, `"e30="`, `""`, `{}`, `{"kid":"k1"}`, `{"alg":"HS256"}`, `{"x":1}`, `[]`, `[{}]`, `[null]`, `"AAAA"`, `"eyJhbGciOiJIUzI1NiJ9"`, `{"crit":["x"]}`, `{"typ":1}`,
		},
	}
	openHeaders = []string{``, ``, ``, `{"kid":"k1"}`, `{"kid":"k2"}`, `{"x":1}`, `{}`, `{"alg":"%s"}`, `{"kid":"k1","alg":"%s"}`, `{"crit":["x"]}`, `{"kid":1}`, `{"b64":true}`, `{"typ":"x","typ":"y"}`, `null`, `[]`, `{"kid":null}`}
	payloads    = []string{``, `x`, `{"iss":"https://id.example"}`, "\x00\xff", strings.Repeat("p", 50)}
)

// craftDocument makes a JWS with one to three signatures, of which the script
// says who made them and what is wrong with them.
func craftDocument(keys []*documentKey, key *documentKey, s *script) document {
	respell := s.speller()
	payload := respell(encode([]byte(pick(s, payloads))))
	form, signers := s.choose(8), 1
	if form > 3 {
		signers = 1 + s.choose(3)
	}
	var parts []string
	for i := range signers {
		signer := key
		if i > 0 || s.choose(8) == 1 {
			signer = pick(s, keys)
		}
		header := `{"alg":"` + signer.alg + `","kid":"k1"}`
		if s.choose(3) == 1 {
			header = s.bend(header, headerWords)
		}
		protected := respell(encode([]byte(header)))
		value := respell(encode(signer.sign(protected + "." + payload)))
		if form == 0 {
			return newDocument(key, s.sometimesDamaged(protected+"."+payload+"."+value))
		}
		parts = append(parts, s.part(protected, value, strings.ReplaceAll(pick(s, openHeaders), "%s", signer.alg)))
	}
	text := `{"payload":"` + jsonText(payload) + `",` + parts[0][1:]
	if form > 3 {
		text = `{"payload":"` + jsonText(payload) + `","signatures":[` + strings.Join(parts, ",") + `]}`
	}
	if s.choose(3) == 1 {
		text = s.bend(text, documentWords)
	}
	return newDocument(key, s.sometimesDamaged(text))
}

// part is the JSON object of one signature.
func (s *script) part(protected, value, open string) string {
	text := `{"protected":"` + jsonText(protected) + `",`
	if open != "" {
		text += `"header":` + open + `,`
	}
	text += `"signature":"` + jsonText(value) + `"}`
	if s.choose(8) == 1 {
		text = s.bend(text, documentWords)
	}
	return text
}

func (s *script) sometimesDamaged(text string) string {
	if s.choose(10) == 1 {
		return s.damage(text)
	}
	return text
}

// jsonText is what stands between the quotation marks.
func jsonText(s string) string {
	return strings.NewReplacer("\n", `\n`, "\r", `\r`, `"`, `\"`, `\`, `\\`).Replace(s)
}

func verifyDocument(doc document) (ours verdict, theirs []verdict) {
	ours = ask("Counterfoil", func() (string, error) {
		var message *jws.Message
		var err error
		if doc.members != nil || strings.HasPrefix(strings.TrimLeft(doc.text, " \t\r\n"), "{") {
			message, err = jws.VerifyJSON(doc.key.ours, []byte(doc.text))
		} else {
			message, err = jws.Verify(doc.key.ours, doc.text)
		}
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%q", message.Payload()), nil
	})
	for _, r := range doc.key.theirs {
		theirs = append(theirs, ask(r.library, func() (string, error) {
			payload, err := r.verify([]byte(doc.text))
			return fmt.Sprintf("%q", bytes.Clone(payload)), err
		}))
	}
	return ours, theirs
}

// strictDocuments are the rules by which we refuse documents that others may
// accept. What is wrong with one signature is no reason to refuse another.
var strictDocuments = []rule[document]{
	{"strict JSON", "RFC 7493 §2.1, §2.3; 32 levels", func(d document) bool {
		return d.members != nil && !isStrict([]byte(d.text))
	}},
	{"base64url has one spelling", "RFC 7515 §2", func(d document) bool {
		return !isCanonical(d.payload) || d.any(func(s signature) bool { return !isCanonical(s.protected) || !isCanonical(s.value) })
	}},
	{"member of the wrong type", "RFC 7515 §7.2.1", func(d document) bool {
		return isWrong(d.members, isString, "payload", "protected", "signature") ||
			isWrong(d.members, isObject, "header") || isWrong(d.members, isObjects, "signatures") ||
			d.any(func(s signature) bool {
				return isWrong(s.members, isString, "protected", "signature") || isWrong(s.members, isObject, "header")
			})
	}},
	{"empty header", "RFC 7515 §7.2.1: absent if it would be empty", func(d document) bool {
		return d.any(func(s signature) bool { return s.hasOpen && len(s.open) == 0 || s.hasProtect && len(s.headers) == 0 })
	}},
	{"flattened and general at once", "RFC 7515 §7.2.2", func(d document) bool {
		return hasAny(d.members, "signatures") && hasAny(d.members, "signature", "protected", "header")
	}},
	{"ciphertext", "RFC 7516 §9", func(d document) bool { return hasAny(d.members, "ciphertext") }},
	{"strict header", "RFC 7493", func(d document) bool {
		return d.any(func(s signature) bool { return s.hasProtect && (!isStrict(s.header) || len(s.header) > 4<<10) })
	}},
	{"header parameter of the wrong type", "RFC 7515 §4.1", everyGood(func(s signature) bool {
		return isWrong(s.headers, isString, "alg", "kid", "typ", "cty") || isWrong(s.open, isString, "alg", "kid", "typ", "cty")
	})},
	{"crit, b64 or enc", "RFC 7515 §4.1.11, RFC 7797 §6, RFC 7516 §9", everyGood(func(s signature) bool {
		return hasAny(s.headers, "crit", "b64", "enc") || hasAny(s.open, "enc")
	})},
	{"crit or b64 unprotected", "RFC 7515 §4.1.11, RFC 7797 §3: must be protected", func(d document) bool {
		return d.any(func(s signature) bool { return hasAny(s.open, "crit", "b64") })
	}},
	{"empty signature", "RFC 7515 §7.2.1: the member is there", func(d document) bool {
		return d.any(func(s signature) bool { return s.value == "" })
	}},
	{"alg is protected", "docs/specs.md: an unprotected alg only where it is asked for", everyGood(func(s signature) bool {
		return !hasAny(s.headers, "alg")
	})},
	{"kid of the key", "RFC 7515 §4.1.4; at most 256 bytes", everyGood(func(s signature) bool {
		kid, ok := get(append(s.headers, s.open...), "kid")
		return ok && text(kid) != keyID && text(kid) != ""
	})},
	{"in two headers", "RFC 7515 §7.2.1: the names must be disjoint", func(d document) bool {
		return d.any(func(s signature) bool {
			return slices.ContainsFunc(s.open, func(m member) bool { return hasAny(s.headers, m.name) })
		})
	}},
}

// lenientDocuments are the reasons for which we accept what nobody else does.
var lenientDocuments = []rule[document]{
	{"parameters that carry keys", "docs/specs.md: never used, so that nothing in them matters", func(d document) bool {
		return d.any(func(s signature) bool {
			return hasAny(append(s.headers, s.open...), "jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256", "nonce")
		})
	}},
	{"numbers beyond float64", "RFC 8259 §6: in a parameter that nobody reads", func(d document) bool {
		return d.any(func(s signature) bool { return hasHugeNumber(s.header) })
	}},
	{"a signature of others beside", "RFC 7515 §5.2: which must verify is for the application to say", func(d document) bool {
		return len(d.signatures) > 1 && d.any(func(s signature) bool {
			alg, _ := get(s.headers, "alg")
			return !d.good(s) || text(alg) != d.key.alg || isWrong(s.headers, isString, "kid", "typ", "cty")
		})
	}},
}

// good reports whether the key made a signature, whatever its header says.
func (d document) good(s signature) bool {
	return d.key.verifies(s.protected+"."+d.payload, loosely(s.value))
}

// everyGood is a rule against each of the signatures that the key made.
func everyGood(bad func(signature) bool) func(document) bool {
	return func(d document) bool {
		return d.any(d.good) && !d.any(func(s signature) bool { return d.good(s) && !bad(s) })
	}
}

func (d document) any(holds func(signature) bool) bool {
	return slices.ContainsFunc(d.signatures, holds)
}

var documents = &oracle[document]{strict: strictDocuments, lenient: lenientDocuments}

func checkDocument(t testing.TB, doc document) {
	t.Helper()
	ours, theirs := verifyDocument(doc)
	documents.judge(t, doc, ours, theirs)
}

// documentRuns is the number of documents in the deterministic run.
const documentRuns = 20_000

// TestDocuments is the fuzz target without the fuzzer.
func TestDocuments(t *testing.T) {
	keys := documentKeys()
	for run := range documentRuns {
		s := randomScript(1000, uint64(run))
		key := keys[0]
		if run%20 == 0 {
			key = pick(s, keys)
		}
		checkDocument(t, craftDocument(keys, key, s))
	}
	documents.report(t)
}

// FuzzDocument verifies JWS in every serialization, built by a script.
func FuzzDocument(f *testing.F) {
	keys := documentKeys()
	for i := range uint8(8) {
		f.Add(i, []byte{0, i})
	}
	f.Fuzz(func(t *testing.T, key uint8, choices []byte) {
		checkDocument(t, craftDocument(keys, keys[int(key)%len(keys)], &script{choices}))
	})
}

// FuzzRawDocument leaves the whole text to the fuzzer.
func FuzzRawDocument(f *testing.F) {
	keys := documentKeys()
	for i := range uint8(40) {
		f.Add(uint8(0), craftDocument(keys, keys[0], &script{[]byte{0, i, 0, i}}).text)
	}
	f.Fuzz(func(t *testing.T, key uint8, text string) {
		checkDocument(t, newDocument(keys[int(key)%len(keys)], text))
	})
}

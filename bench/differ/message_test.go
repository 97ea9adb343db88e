package differ_test

import (
	"bytes"
	"compress/flate"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/bench/rivals"
	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// A messageKey opens messages under one pair of algorithms.
type messageKey struct {
	alg    jwk.Algorithm
	enc    jwe.Encryption
	ours   *jwk.Key
	policy jwe.Policy
	theirs []messageRival
}

type messageRival struct {
	library string
	open    func(string) ([]byte, error)
}

// iterations are the most that we do for a message of PBES2 here.
const iterations = 2000

func newMessageKey(alg jwk.Algorithm, enc jwe.Encryption, private any) *messageKey {
	params := jwk.Params{Algorithm: alg, KeyID: keyID}
	if alg == jwk.Dir {
		params.Encryption = enc
	}
	k := &messageKey{alg: alg, enc: enc, ours: must(jwk.New(private, params))}
	k.policy = jwe.Policy{Algorithm: alg, Encryption: enc, AllowZip: true}
	if strings.HasPrefix(string(alg), "PBES2") {
		k.policy.MaxIterations = iterations
	}
	if key, ok := private.(*ecdh.PrivateKey); ok && key.Curve() != ecdh.X25519() {
		private = must(ecdsa.ParseRawPrivateKey(elliptic.P256(), key.Bytes())) // the form that the others take
	}
	for _, lib := range rivals.JWE {
		k.theirs = append(k.theirs, messageRival{lib.Name, must(lib.Decrypter(string(alg), string(enc), private))})
	}
	return k
}

func messageKeys() []*messageKey {
	r := parseRSA(rsa2048)
	curve := must(ecdh.P256().NewPrivateKey(append([]byte{0}, seed("ECDH", 31)...)))
	return []*messageKey{
		newMessageKey(jwk.Dir, jwe.A256GCM, seed("dir", 32)),
		newMessageKey(jwk.Dir, jwe.A128CBCHS256, seed("dir", 32)),
		newMessageKey(jwk.A128KW, jwe.A128GCM, seed("A128KW", 16)),
		newMessageKey(jwk.A256KW, jwe.A256CBCHS512, seed("A256KW", 32)),
		newMessageKey(jwk.A256GCMKW, jwe.A192GCM, seed("A256GCMKW", 32)),
		newMessageKey(jwk.ECDHES, jwe.A256GCM, curve),
		newMessageKey(jwk.ECDHESA128KW, jwe.A192CBCHS384, curve),
		newMessageKey(jwk.RSAOAEP256, jwe.A256GCM, r),
		newMessageKey(jwk.PBES2HS256A128KW, jwe.A128GCM, seed("PBES2", 32)),
	}
}

// A message is an input: a JWE in any serialization, and the key that opens it.
type message struct {
	key  *messageKey
	text string

	members    []member // of the JSON serializations
	segments   []string // all that is in base64url, as it is spelled
	header     []byte   // protected, decoded
	headers    []member
	open       []member // the unprotected header that all share
	recipients []recipient
}

type recipient struct {
	open []member
	key  string // JWE Encrypted Key, as it is spelled
}

func newMessage(key *messageKey, text string) message {
	m := message{key: key, text: text}
	if strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "{") {
		m.readMembers()
	} else if m.segments = strings.Split(text, "."); len(m.segments) == 5 {
		m.recipients = []recipient{{key: m.segments[1]}}
	}
	if len(m.segments) > 0 {
		m.header = loosely(m.segments[0])
		m.headers = membersOf(m.header)
	}
	return m
}

func (m *message) readMembers() {
	m.members = membersOf([]byte(m.text))
	for _, name := range []string{"protected", "iv", "ciphertext", "tag", "aad"} {
		m.segments = append(m.segments, spelling(m.members, name))
	}
	object, _ := get(m.members, "unprotected")
	m.open = membersOf(object)
	if list, ok := get(m.members, "recipients"); ok {
		for _, element := range elementsOf(list) {
			m.readRecipient(membersOf(element))
		}
	} else {
		m.readRecipient(m.members)
	}
}

func (m *message) readRecipient(list []member) {
	object, _ := get(list, "header")
	r := recipient{membersOf(object), spelling(list, "encrypted_key")}
	m.recipients, m.segments = append(m.recipients, r), append(m.segments, r.key)
}

// headersOf are all header parameters of a recipient.
func (m message) headersOf(r recipient) []member { return slices.Concat(m.headers, m.open, r.open) }

func (m message) String() string {
	return fmt.Sprintf("key for %s with %s\nheader %.2000q\ntext %.3000q", m.key.alg, m.key.enc, m.header, m.text)
}

var (
	messageHeaders = []string{`"alg":"%a","enc":"%e","kid":"k1"`, `"enc":"%e","typ":"JWT","cty":"JWT","alg":"%a"`, `"alg":"%a","enc":"%e"`, `"alg":"%a","enc":"%e","zip":"DEF"`}
	messageWords   = vocabulary{
		names: []string{"alg", "enc", "kid", "typ", "cty", "zip", "crit", "epk", "apu", "apv", "iv", "tag", "p2s", "p2c", "jwk", "x5c", "b64", "x", ""},
		values: []string{
			`"DEF"`, `"def"`, `"dir"`, `"A128KW"`, `"RSA1_5"`, `"A256GCM"`, `"A128GCM"`, `"A128CBC-HS256"`, `"k1"`, `"k2"`, `["exp"]`, `["zip"]`, `[]`, `"AAAA"`, `"AAA="`, `"Alice"`, `999`, `1000`, `2000`, `2001`,
			`{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}`, `{"kty":"OKP","crv":"X25519","x":"AAAA"}`, `{}`,
		},
	}
	messageObjects = vocabulary{
		names:  []string{"protected", "unprotected", "header", "recipients", "encrypted_key", "iv", "ciphertext", "tag", "aad", "payload", "signatures", "Tag", "x", ""},
		values: []string{`""`, `"AAAA"`, `"e30"`, `{}`, `{"alg":"dir"}`, `{"zip":"DEF"}`, `{"crit":["x"]}`, `{"x":1}`, `[]`, `[{}]`, `[{"header":{"kid":"k2"}}]`},
	}
)

// craftMessage encrypts under a header that the script has bent, in one of the
// serializations.
func craftMessage(key *messageKey, s *script) message {
	respell, plaintext, aad := s.speller(), []byte(pick(s, payloads)), ""
	cek, wrapped := key.contentKey()
	header := "{" + strings.NewReplacer("%a", string(key.alg), "%e", string(key.enc)).Replace(pick(s, messageHeaders)) + wrapped.members() + "}"
	if strings.Contains(header, `"zip"`) {
		plaintext = deflate(plaintext)
	}
	if s.choose(2) == 1 {
		header = s.bend(header, messageWords)
	}
	form := s.choose(6)
	protected := respell(encode([]byte(header)))
	if form > 3 && s.choose(2) == 1 {
		aad = respell(encode([]byte("aad")))
	}
	input := protected
	if aad != "" {
		input += "." + aad
	}
	sealed := must(cek.Seal(key.enc, nil, plaintext, []byte(input)))
	part := key.split(sealed)
	segments := []string{protected, respell(encode(wrapped.Key)), respell(encode(part[0])), respell(encode(part[1])), respell(encode(part[2]))}
	if form < 4 {
		return newMessage(key, s.sometimesDamaged(strings.Join(segments, ".")))
	}
	return newMessage(key, s.sometimesDamaged(s.messageObject(form == 5, segments, aad)))
}

// messageObject is the JSON serialization.
func (s *script) messageObject(general bool, segments []string, aad string) string {
	quoted := func(name, value string) string { return `"` + name + `":"` + jsonText(value) + `",` }
	text := "{" + quoted("protected", segments[0])
	if open := pick(s, openHeaders); open != "" && s.choose(3) == 1 {
		text += `"unprotected":` + strings.ReplaceAll(open, "%s", "dir") + ","
	}
	encryptedKey := ""
	if segments[1] != "" {
		encryptedKey = strings.TrimSuffix(quoted("encrypted_key", segments[1]), ",")
	}
	switch {
	case general:
		others := pick(s, []string{"", `,{"header":{"kid":"k2"},"encrypted_key":"AAAA"}`, `,{"header":{"alg":"RSA-OAEP"},"encrypted_key":"AAAA"}`})
		text += `"recipients":[{` + encryptedKey + `}` + others + `],`
	case encryptedKey != "":
		text += encryptedKey + ","
	}
	if aad != "" {
		text += quoted("aad", aad)
	}
	text += strings.TrimSuffix(quoted("iv", segments[2])+quoted("ciphertext", segments[3])+quoted("tag", segments[4]), ",") + "}"
	if s.choose(3) == 1 {
		text = s.bend(text, messageObjects)
	}
	return text
}

type wrappedKey struct{ jwk.Wrapped }

// contentKey makes a content encryption key and wraps it.
func (k *messageKey) contentKey() (*jwk.Key, wrappedKey) {
	if k.alg == jwk.Dir {
		return k.ours, wrappedKey{}
	}
	cek, wrapped := seed("content", k.enc.KeySize()), jwk.Wrapped{}
	if k.alg == jwk.ECDHES {
		derived, w, err := k.ours.AgreeKey(k.enc, jwk.WrapParams{})
		cek, wrapped = derived, must(w, err)
	} else {
		wrapped = must(k.ours.WrapKey(cek, jwk.WrapParams{Iterations: k.iterations()}))
	}
	return must(jwk.New(cek, jwk.Params{Algorithm: jwk.Dir, Encryption: k.enc})), wrappedKey{wrapped}
}

func (k *messageKey) iterations() int {
	if k.policy.MaxIterations > 0 {
		return 1000
	}
	return 0
}

// members are the header parameters that go with a wrapped key.
func (w wrappedKey) members() (text string) {
	if w.EPK != nil {
		text += `,"epk":` + string(w.EPK)
	}
	if w.P2C > 0 {
		text += `,"p2c":` + strconv.Itoa(w.P2C)
	}
	for _, m := range []struct {
		name  string
		value []byte
	}{{"iv", w.IV}, {"tag", w.Tag}, {"p2s", w.P2S}} {
		if m.value != nil {
			text += `,"` + m.name + `":"` + encode(m.value) + `"`
		}
	}
	return text
}

// split takes iv, ciphertext and tag apart.
func (k *messageKey) split(sealed []byte) [3][]byte {
	iv, tag := 12, 16
	if strings.Contains(string(k.enc), "CBC") {
		iv, tag = 16, k.enc.KeySize()/2
	}
	end := len(sealed) - tag
	return [3][]byte{sealed[:iv], sealed[iv:end], sealed[end:]}
}

func deflate(data []byte) []byte {
	var b bytes.Buffer
	w := must(flate.NewWriter(&b, flate.BestCompression))
	must(w.Write(data))
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func openMessage(m message) (ours verdict, theirs []verdict) {
	ours = ask("Counterfoil", func() (string, error) {
		if m.members == nil && !strings.HasPrefix(strings.TrimLeft(m.text, " \t\r\n"), "{") {
			plaintext, err := jwe.Decrypt(m.key.ours, m.key.policy, m.text)
			return fmt.Sprintf("%q", plaintext), err
		}
		opened, err := jwe.DecryptJSON(m.key.ours, m.key.policy, []byte(m.text))
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%q", opened.Plaintext()), nil
	})
	for _, r := range m.key.theirs {
		theirs = append(theirs, ask(r.library, func() (string, error) {
			plaintext, err := r.open(m.text)
			return fmt.Sprintf("%q", plaintext), err
		}))
	}
	return ours, theirs
}

// strictMessages are the rules by which we refuse messages that others may open.
var strictMessages = []rule[message]{
	{"strict JSON", "RFC 7493", func(m message) bool { return m.members != nil && !isStrict([]byte(m.text)) || !isStrict(m.header) }},
	{"size", "docs/specs.md: a header of 4 KiB, 256 KiB in all", func(m message) bool { return len(m.header) > 4<<10 || len(m.text) > 256<<10 }},
	{"base64url has one spelling", "RFC 7515 §2", func(m message) bool {
		return slices.ContainsFunc(m.segments, func(s string) bool { return !isCanonical(s) })
	}},
	{"header parameter of the wrong type", "RFC 7516 §4.1, RFC 7518 §4, whatever the algorithm", func(m message) bool {
		return m.any(func(r recipient) bool {
			list := m.headersOf(r)
			return isWrong(list, isString, "alg", "enc", "kid", "typ", "cty", "zip") ||
				isWrong(list, isEncoded, "iv", "tag", "p2s", "apu", "apv")
		})
	}},
	{"iterations", "docs/specs.md: p2c within what the policy allows, whatever the algorithm", func(m message) bool {
		return m.any(func(r recipient) bool {
			value, ok := get(m.headersOf(r), "p2c")
			n, err := strconv.Atoi(string(value))
			return ok && (err != nil || n > m.key.policy.MaxIterations)
		})
	}},
	{"crit", "RFC 7516 §4.1.13: we understand no extension", func(m message) bool { return m.has("crit") }},
	{"kid of the key", "RFC 7516 §4.1.6", func(m message) bool {
		return !m.any(func(r recipient) bool {
			kid, ok := get(m.headersOf(r), "kid")
			return !ok || text(kid) == keyID || text(kid) == ""
		})
	}},
	{"in two headers", "RFC 7516 §7.2.1: the names must be disjoint", func(m message) bool {
		return m.any(func(r recipient) bool { return hasTwice(m.headersOf(r)) })
	}},
	{"member of the wrong type", "RFC 7516 §7.2.1", func(m message) bool {
		return isWrong(m.members, isString, "protected", "iv", "ciphertext", "tag", "aad", "encrypted_key") ||
			isWrong(m.members, isObject, "unprotected", "header") || isWrong(m.members, isObjects, "recipients")
	}},
	{"empty protected or aad", "RFC 7516 §7.2.1: absent if it would be empty", func(m message) bool {
		return hasAny(m.members, "protected") && spelling(m.members, "protected") == "" || hasAny(m.members, "aad") && spelling(m.members, "aad") == ""
	}},
	{"flattened and general at once", "RFC 7516 §7.2.2", func(m message) bool {
		return hasAny(m.members, "recipients") && hasAny(m.members, "header", "encrypted_key")
	}},
	{"direct encryption for several", "RFC 7516 §7.2.1, docs/specs.md", func(m message) bool {
		return len(m.recipients) > 1 && (m.key.alg == jwk.Dir || m.key.alg == jwk.ECDHES)
	}},
	{"encrypted key where none belongs", "RFC 7516 §5.2, steps 7 and 8", func(m message) bool {
		return (m.key.alg == jwk.Dir || m.key.alg == jwk.ECDHES) && m.any(func(r recipient) bool { return r.key != "" })
	}},
}

// perhapsMessages are those that only some algorithms have a use for.
var perhapsMessages = []rule[message]{
	{"few iterations", "RFC 7518 §4.8.1.2: at least 1000", func(m message) bool {
		return m.any(func(r recipient) bool {
			value, ok := get(m.headersOf(r), "p2c")
			n, _ := number(value)
			return ok && n < 1000
		})
	}},
}

// lenientMessages are the reasons for which we open what nobody else does.
var lenientMessages = []rule[message]{
	{"parameters that carry keys", "docs/specs.md: never used, so that nothing in them matters", func(m message) bool {
		return m.has("jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256")
	}},
	{"numbers beyond float64", "RFC 8259 §6: in a parameter that nobody reads", func(m message) bool { return hasHugeNumber(m.header) }},
	{"empty ciphertext", "RFC 7516 §7.2.1: there for the empty plaintext too", func(m message) bool {
		return hasAny(m.members, "ciphertext") && spelling(m.members, "ciphertext") == ""
	}},
	{"a name that is nearly another's", "RFC 7515 §4: names are compared byte by byte", func(m message) bool {
		return slices.ContainsFunc(m.members, func(a member) bool {
			near := strings.ToLower(strings.TrimSpace(a.name))
			return near != a.name && hasAny(m.members, near)
		})
	}},
}

func (m message) any(holds func(recipient) bool) bool {
	return slices.ContainsFunc(m.recipients, holds)
}

func (m message) has(names ...string) bool {
	return m.any(func(r recipient) bool { return hasAny(m.headersOf(r), names...) })
}

func hasTwice(list []member) bool {
	for i, m := range list {
		if hasAny(list[:i], m.name) {
			return true
		}
	}
	return false
}

func isEncoded(value []byte) bool { return isString(value) && isCanonical(text(value)) }

var messages = &oracle[message]{strict: strictMessages, may: perhapsMessages, lenient: lenientMessages}

func checkMessage(t testing.TB, m message) {
	t.Helper()
	ours, theirs := openMessage(m)
	messages.judge(t, m, ours, theirs)
}

// messageRuns is the number of messages of the first key in the deterministic run.
const messageRuns = 10_000

// TestMessages is the fuzz target without the fuzzer.
func TestMessages(t *testing.T) {
	t.Run("keys", func(t *testing.T) {
		for i, key := range messageKeys() {
			t.Run(fmt.Sprintf("%s %s", key.alg, key.enc), func(t *testing.T) {
				t.Parallel()
				runs := messageRuns
				if i > 0 {
					runs /= 10
				}
				for run := range runs {
					checkMessage(t, craftMessage(key, randomScript(2000+uint64(i), uint64(run))))
				}
			})
		}
	})
	// One of the others refuses the empty ciphertext, the other a name that is
	// nearly that of another member.
	both := strings.Replace(emptyMessage, `"ciphertext":""`, `"ciphertext":"","Ciphertext":[]`, 1)
	checkMessage(t, newMessage(messageKeys()[2], both))
	// One refuses what was compressed and is nothing, the other a name with a
	// space behind it.
	keys := messageKeys()
	checkMessage(t, craftMessage(keys[0xab%len(keys)], &script{[]byte("0270X0010071")}))
	messages.report(t)
}

// emptyMessage has no plaintext; its key is A128KW with A128GCM.
const emptyMessage = `{"protected":"eyJhbGciOiJBMTI4S1ciLCJlbmMiOiJBMTI4R0NNIiwia2lkIjoiazEifQ","encrypted_key":"cAkG-Qv9MHneWVTl5_N_Jc9LUWYjOOdl",` +
	`"iv":"Q1XNNN7RTfjkHX5a","ciphertext":"","tag":"WD76FdS-7jKWq9rcIiqX-A"}`

// FuzzMessage opens JWE in every serialization, built by a script.
func FuzzMessage(f *testing.F) {
	keys := messageKeys()
	for i := range keys {
		f.Add(uint8(i), []byte{0, 0})
	}
	f.Fuzz(func(t *testing.T, key uint8, choices []byte) {
		checkMessage(t, craftMessage(keys[int(key)%len(keys)], &script{choices}))
	})
}

// FuzzRawMessage leaves the whole text to the fuzzer.
func FuzzRawMessage(f *testing.F) {
	keys := messageKeys()
	for i, key := range keys {
		f.Add(uint8(i), craftMessage(key, &script{}).text)
		f.Add(uint8(i), craftMessage(key, &script{[]byte{0, 0, 0, 4}}).text)
	}
	f.Fuzz(func(t *testing.T, key uint8, text string) {
		checkMessage(t, newMessage(keys[int(key)%len(keys)], text))
	})
}

package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/counterfoil/counterfoil/bench/rivals"
	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

// What was promised of input that is meant to hurt.
const (
	hostileBytes  = 10 << 20
	hostileTime   = 1e6 // ns
	hostileMemory = 64 << 10

	refusalTime   = 5000 // ns, of what is too large
	refusalAllocs = 0
)

// An input is the same in both forms, so that nobody pays for the conversion that
// another is spared.
type input struct {
	text string
	data []byte
}

// A reader is somebody who is given untrusted input.
type reader struct {
	library string
	read    func(input) error
}

// An attack is an input and those who read inputs of its kind, us first.
type attack struct {
	name    string
	text    string
	readers []reader
}

var errAccepted = errors.New("hostile input is accepted")

// readers are the ways in. Keys and policy are good ones; nobody has signed what
// comes.
type readers struct{ tokens, signatures, encrypted, encryptedJSON, keys, keySets []reader }

func newReaders() (r readers, err error) {
	key, err := newSigner(jwk.ES256)
	if err != nil {
		return r, err
	}
	if r.tokens, err = tokenReaders(key); err != nil {
		return r, err
	}
	if r.signatures, err = signatureReaders(key); err != nil {
		return r, err
	}
	if r.encrypted, r.encryptedJSON, err = encryptedReaders(); err != nil {
		return r, err
	}
	r.keys, r.keySets = keyReaders()
	return r, nil
}

func tokenReaders(key signer) ([]reader, error) {
	list := []reader{{"Counterfoil", func(in input) error {
		_, err := jwt.Verify[rivals.Access](policy, key.verify, in.text)
		return err
	}}}
	for _, lib := range rivals.JWT {
		verify, err := lib.Verifier("ES256", keyID, key.public, rivalPolicy)
		if err != nil {
			return nil, err
		}
		list = append(list, reader{lib.Name, func(in input) error {
			_, err := verify(in.text)
			return err
		}})
	}
	return list, nil
}

func signatureReaders(key signer) ([]reader, error) {
	list := []reader{{"Counterfoil", func(in input) error {
		_, err := jws.VerifyJSON(key.verify, in.data)
		return err
	}}}
	for _, lib := range rivals.JWS {
		verify, err := lib.Verifier("ES256", key.public)
		if err != nil {
			return nil, err
		}
		list = append(list, reader{lib.Name, func(in input) error {
			_, err := verify(in.data)
			return err
		}})
	}
	return list, nil
}

func encryptedReaders() (compact, inJSON []reader, err error) {
	e, err := newEncryption(pair{jwk.A256KW, nil, jwe.A256GCM}, jwe.Header{})
	if err != nil {
		return nil, nil, err
	}
	compact = []reader{{"Counterfoil", func(in input) error {
		_, err := jwe.Decrypt(e.key, e.policy, in.text)
		return err
	}}}
	inJSON = []reader{{"Counterfoil", func(in input) error {
		_, err := jwe.DecryptJSON(e.key, e.policy, in.data)
		return err
	}}}
	for _, lib := range rivals.JWE {
		open, err := lib.Decrypter(string(e.alg), string(e.enc), e.private)
		if err != nil {
			return nil, nil, err
		}
		r := reader{lib.Name, func(in input) error {
			_, err := open(in.text)
			return err
		}}
		compact, inJSON = append(compact, r), append(inJSON, r)
	}
	return compact, inJSON, nil
}

func keyReaders() (keys, sets []reader) {
	keys = []reader{{"Counterfoil", func(in input) error {
		_, err := jwk.Parse(in.data)
		return err
	}}}
	sets = []reader{{"Counterfoil", func(in input) error {
		_, err := jwk.ParseSet(in.data)
		return err
	}}}
	for _, lib := range rivals.JWK {
		keys = append(keys, reader{lib.Name, func(in input) error {
			_, err := lib.Parse(in.data)
			return err
		}})
		sets = append(sets, reader{lib.Name, func(in input) error {
			_, _, err := lib.ParseSet(in.data)
			return err
		}})
	}
	return keys, sets
}

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// members are a JSON object's, without its braces, of about size bytes.
func members(size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, `,"x%d":%d`, i, i)
	}
	return b.String()
}

// attacks are inputs of about size bytes.
func (r readers) attacks(size int) []attack {
	header := `{"alg":"ES256","kid":"2026-11","typ":"at+jwt"`
	claims, signature := encode(`{"iss":"`+issuerURL+`"}`), strings.Repeat("A", 86)
	token := func(head string) string { return encode(head) + "." + claims + "." + signature }
	jweHeader := `{"alg":"A256KW","enc":"A256GCM"`
	sealed := func(head, ciphertext string) string {
		return strings.Join([]string{encode(head), strings.Repeat("A", 54), strings.Repeat("A", 16), ciphertext, strings.Repeat("A", 22)}, ".")
	}
	room := size * 3 / 4
	return []attack{
		{"dots", strings.Repeat(".", size), r.tokens},
		{"header of many members", token(header + members(room) + "}"), r.tokens},
		{"header nested deep", token(header + `,"x":` + strings.Repeat("[", room/2) + strings.Repeat("]", room/2) + "}"), r.tokens},
		{"huge kid", token(`{"alg":"ES256","kid":"` + strings.Repeat("k", room) + `"}`), r.tokens},
		{"header of backslashes", token(header + `,"x":"` + strings.Repeat(`\\`, room/2) + `"}`), r.tokens},
		{"huge payload", encode(header+"}") + "." + encode(`{"x":"`+strings.Repeat("p", room)+`"}`) + "." + signature, r.tokens},
		{"huge signature", encode(header+"}") + "." + claims + "." + strings.Repeat("A", size), r.tokens},
		{"line ends in the signature", encode(header+"}") + "." + claims + "." + strings.Repeat("\n", size), r.tokens},
		{"JSON JWS of many signatures", manySignatures(header+"}", size), r.signatures},
		{"JSON JWS nested deep", `{"payload":"","x":` + strings.Repeat("[", size/2) + strings.Repeat("]", size/2) + "}", r.signatures},
		{"JWE: dots", strings.Repeat(".", size), r.encrypted},
		{"JWE: header of many members", sealed(jweHeader+members(room)+"}", "AAAA"), r.encrypted},
		{"JWE: huge ciphertext", sealed(jweHeader+"}", strings.Repeat("A", size/4*4)), r.encrypted},
		{"JSON JWE of many recipients", manyRecipients(jweHeader+"}", size), r.encryptedJSON},
		{"JWK with a huge modulus", `{"kty":"RSA","alg":"RS256","e":"AQAB","n":"` + strings.Repeat("_", size/4*4) + `"}`, r.keys},
		{"JWK of many members", `{"kty":"oct","k":"AAAA"` + members(size) + "}", r.keys},
		{"set of many keys", manyKeys(size), r.keySets},
	}
}

func manySignatures(header string, size int) string {
	one := `{"protected":"` + encode(header) + `","signature":"` + strings.Repeat("A", 86) + `"},`
	return `{"payload":"e30","signatures":[` + strings.TrimSuffix(strings.Repeat(one, size/len(one)), ",") + "]}"
}

func manyRecipients(header string, size int) string {
	one := `{"header":{"kid":"x"},"encrypted_key":"` + strings.Repeat("A", 54) + `"},`
	return `{"protected":"` + encode(header) + `","iv":"AAAAAAAAAAAAAAAA","ciphertext":"AAAA","tag":"` + strings.Repeat("A", 22) + `","recipients":[` +
		strings.TrimSuffix(strings.Repeat(one, size/len(one)), ",") + "]}"
}

func manyKeys(size int) string {
	one := `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},`
	return `{"keys":[` + strings.TrimSuffix(strings.Repeat(one, size/len(one)), ",") + "]}"
}

// hostileCost measures what it costs to refuse.
func hostileCost(s settings) ([]section, error) {
	r, err := newReaders()
	if err != nil {
		return nil, err
	}
	huge := section{
		title: "Input that is meant to hurt",
		notes: fmt.Sprintf("%d MiB each, given to whoever reads such input: CPU time until it is judged, and bytes allocated on the way. "+
			"The token readers are those of the first table. go-jose and jwx read JSON serializations, encryption and keys; the others do not.", hostileBytes>>20),
		head: []string{"input", "**Counterfoil**", "others"},
	}
	slowest, fattest, err := huge.attack(s, r.attacks(hostileBytes))
	if err != nil {
		return nil, err
	}
	huge.targets = []target{
		{"refuse 10 MiB, slowest: " + slowest.name, slowest.nanos, hostileTime, "ns", whyHostile},
		{"refuse 10 MiB, most memory: " + fattest.name, fattest.bytes, hostileMemory, "bytes", whyHostile},
	}
	largest := section{
		title: "The worst input that is read",
		notes: "As large as our limits allow, where the size alone refuses nothing.",
		head:  huge.head,
	}
	inside, err := r.insideLimits()
	if err != nil {
		return nil, err
	}
	if _, _, err := largest.attack(s, inside); err != nil {
		return nil, err
	}
	small, err := r.oversized(s)
	return []section{huge, small, largest}, err
}

// attack adds a row for each attack, and returns the two worst of our prices.
func (sec *section) attack(s settings, attacks []attack) (slowest, fattest price, err error) {
	for _, a := range attacks {
		if !s.rows.MatchString(a.name) {
			continue
		}
		progress("hostile:", a.name)
		row, ours, err := a.measure()
		if err != nil {
			return slowest, fattest, fmt.Errorf("%s: %w", a.name, err)
		}
		sec.rows = append(sec.rows, row)
		if ours.nanos >= slowest.nanos {
			slowest = ours
		}
		if ours.bytes >= fattest.bytes {
			fattest = ours
		}
	}
	return slowest, fattest, nil
}

// insideLimits are inputs that have to be read before they can be refused.
func (r readers) insideLimits() ([]attack, error) {
	const header = `{"alg":"ES256","kid":"2026-11","typ":"at+jwt"`
	claims, signature := encode(`{"iss":"`+issuerURL+`"}`), strings.Repeat("A", 86)
	payload := encode(`{"x":"` + strings.Repeat("p", jws.MaxToken*3/4-300) + `"}`)
	set, err := largestSet()
	if err != nil {
		return nil, err
	}
	const jweHeader = `{"alg":"A256KW","enc":"A256GCM"`
	return []attack{
		{"token, header of many members", encode(header+members(jws.MaxHeader-100)+"}") + "." + claims + "." + signature, r.tokens},
		{"token, header nested deep", encode(header+`,"x":`+strings.Repeat("[", 2000)+strings.Repeat("]", 2000)+"}") + "." + claims + "." + signature, r.tokens},
		{"token, largest payload", encode(header+"}") + "." + payload + "." + signature, r.tokens},
		{"JSON JWS, 16 signatures", manySignatures(header+"}", 16*200), r.signatures},
		{"JSON JWS, many signatures", manySignatures(header+"}", jws.MaxDocument-100), r.signatures},
		{"JSON JWS, many members", `{"payload":"e30"` + members(jws.MaxDocument-100) + "}", r.signatures},
		{"JWE, largest ciphertext", strings.Join([]string{encode(jweHeader + "}"), strings.Repeat("A", 54), strings.Repeat("A", 16), strings.Repeat("A", (jwe.MaxToken-300)/4*4), strings.Repeat("A", 22)}, "."), r.encrypted},
		{"JSON JWE, many recipients", manyRecipients(jweHeader+"}", jwe.MaxToken-300), r.encryptedJSON},
		{"key set, 128 RSA keys of 8,192 bits", set, r.keySets},
	}, nil
}

// largestSet has as many and as large keys as are read, and none of them is any
// good: the moduli are even.
func largestSet() (string, error) {
	modulus := fresh(1024)
	modulus[0] |= 0x80
	modulus[1023] &^= 1
	keys := make([]string, jwk.MaxKeys)
	for i := range keys {
		keys[i] = fmt.Sprintf(`{"kty":"RSA","alg":"RS256","kid":"%d","e":"AQAB","n":"%s"}`, i, encode(string(modulus)))
	}
	return `{"keys":[` + strings.Join(keys, ",") + "]}", nil
}

// A price is what judging one input costs.
type price struct {
	name         string // of the attack
	nanos, bytes float64
	accepted     bool
}

func (p price) String() string {
	text := duration(p.nanos) + ", " + amount(p.bytes)
	if p.accepted {
		text += ", **accepted**"
	}
	return text
}

func amount(n float64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%.0f B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.0f KiB", n/(1<<10))
	}
	return fmt.Sprintf("%.0f MiB", n/(1<<20))
}

func (a attack) measure() (row []string, ours price, err error) {
	var others []string
	in := input{a.text, []byte(a.text)}
	for i, r := range a.readers {
		p := priceOf(r, in)
		p.name = a.name
		if i == oursFirst {
			ours = p
		} else {
			others = append(others, r.library+" "+p.String())
		}
	}
	if ours.accepted && !strings.HasPrefix(a.name, "key set") { // a set of bad keys is a set
		err = errAccepted
	}
	return []string{a.name, ours.String(), strings.Join(others, "; ")}, ours, err
}

// priceOf is what r takes on average, of as many readings as fit into a slice.
func priceOf(r reader, in input) (p price) {
	runs := 0
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	p.nanos, _ = slice(operation{library: r.library, row: "hostile", run: func() error {
		p.accepted = r.read(in) == nil
		runs++
		return nil
	}})
	runtime.ReadMemStats(&after)
	p.bytes = float64(after.TotalAlloc-before.TotalAlloc) / float64(runs)
	return p
}

// oversized measures refusing what is just too large.
func (r readers) oversized(s settings) (section, error) {
	sec := section{
		title: "Input that is too large",
		notes: "One byte beyond the limit.",
		head:  []string{"input", "time", "allocations"},
	}
	var slowest, most float64
	for _, big := range []struct {
		name string
		size int
		reader
	}{
		{"token", jws.MaxToken, r.tokens[oursFirst]},
		{"JSON JWS", jws.MaxDocument, r.signatures[oursFirst]},
		{"JWE", jwe.MaxToken, r.encrypted[oursFirst]},
		{"JSON JWE", jwe.MaxToken, r.encryptedJSON[oursFirst]},
		{"key", jwk.MaxKey, r.keys[oursFirst]},
		{"key set", jwk.MaxSet, r.keySets[oursFirst]},
	} {
		if !s.rows.MatchString(big.name) {
			continue
		}
		text := strings.Repeat("a", big.size+1)
		in := input{text, []byte(text)}
		op := operation{library: big.library, row: "too large " + big.name, run: func() error {
			if big.read(in) == nil {
				return errAccepted
			}
			return nil
		}}
		took, err := interleave(s, []operation{op})
		if err != nil {
			return sec, err
		}
		allocs := allocations(op)
		slowest, most = max(slowest, median(took[0])), max(most, allocs)
		sec.rows = append(sec.rows, []string{fmt.Sprintf("%s, %d bytes", big.name, len(text)), nanos(took[0]), fmt.Sprintf("%.0f", allocs)})
	}
	sec.targets = []target{
		{"refuse what is too large, slowest", slowest, refusalTime, "ns", whyHostile},
		{"refuse what is too large, most", most, refusalAllocs, "allocations", whyHostile},
	}
	return sec, nil
}

package differ_test

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/bench/rivals"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// A placedKey is an input: a key where it stands in a set.
type placedKey struct {
	keyText
	set   string
	index int
	kids  []string // of all keys
}

func (k placedKey) String() string { return fmt.Sprintf("key %d of %.3000q", k.index, k.set) }

// strictPlaces are the rules for keys, and what a set of public keys adds.
var strictPlaces = []rule[placedKey]{
	{"a rule for keys", "see strictKeys", func(k placedKey) bool { return len(holding(strictKeys, k.keyText)) > 0 }},
	{"public keys only", "docs/specs.md: key sets", func(k placedKey) bool {
		return k.text("kty") == "oct" || k.has("d", "p", "q", "dp", "dq", "qi", "oth", "k")
	}},
	{"strict JSON", "RFC 7493", func(k placedKey) bool { return !isStrict([]byte(k.set)) }},
}

// perhapsPlaces are those that a set is sometimes refused for.
var perhapsPlaces = []rule[placedKey]{
	{"a rule for some keys", "see perhapsKeys", func(k placedKey) bool { return len(holding(perhapsKeys, k.keyText)) > 0 }},
	{"one key of each kid", "docs/specs.md: a duplicate kid refuses the set, unless one of the keys is left out anyway", func(k placedKey) bool {
		sorted := slices.Sorted(slices.Values(k.kids))
		return len(slices.Compact(sorted)) < len(k.kids)
	}},
}

// lenientPlaces are the reasons for which we keep a key of a set that nobody else
// keeps.
var lenientPlaces = []rule[placedKey]{
	{"a lenience for keys", "see lenientKeys", func(k placedKey) bool { return len(holding(lenientKeys, k.keyText)) > 0 }},
	{"bad keys beside", "RFC 7517 §5: one bad key does not take the others down", func(k placedKey) bool { return len(k.kids) > 1 }},
	{"members beside", "RFC 7517 §5: those not understood are passed over", func(k placedKey) bool { return len(membersOf([]byte(k.set))) > 1 }},
}

var errOtherKeys = errors.New("has other keys")

func readPlace(k placedKey) (ours verdict, theirs []verdict) {
	ours = ask("Counterfoil", func() (string, error) {
		set, err := jwk.ParseSet([]byte(k.set))
		if err != nil {
			return "", err
		}
		before := 0
		for _, skipped := range set.Skipped() {
			if skipped.Index == k.index {
				return "", skipped.Err
			}
			if skipped.Index < k.index {
				before++
			}
		}
		return set.Keys()[k.index-before].Thumbprint(), nil
	})
	for _, lib := range rivals.JWK {
		theirs = append(theirs, ask(lib.Name, func() (string, error) {
			list, err := lib.Thumbprints([]byte(k.set))
			if err != nil {
				return "", err
			}
			if len(list) != len(k.kids) {
				return "", errOtherKeys
			}
			return string(list[k.index]), nil
		}))
	}
	return ours, theirs
}

// craftSet makes a set of up to three keys, some of them bent, and bends the set.
func craftSet(seeds []string, words vocabulary, s *script) string {
	var keys []string
	for i := range 1 + s.choose(3) {
		text := strings.Replace(pick(s, seeds), `"kid":"k1"`, `"kid":"k`+strconv.Itoa(i)+`"`, 1)
		if s.choose(3) == 1 {
			text = s.bend(text, words)
		}
		keys = append(keys, text)
	}
	set := `{"keys":[` + strings.Join(keys, ",") + `]}`
	if s.choose(6) == 1 {
		set = s.bend(set, vocabulary{
			names:  []string{"keys", "Keys", "KEYS", "x", ""},
			values: []string{`1e400`, `[]`, `{}`, `[{}]`, `[null]`, `[` + keys[0] + `]`, `[` + keys[0] + `,` + keys[0] + `]`},
		})
	}
	return set
}

var places = &oracle[placedKey]{strict: strictPlaces, may: perhapsPlaces, lenient: lenientPlaces}

// checkSet judges every key of a set.
func checkSet(t testing.TB, set string) {
	t.Helper()
	value, _ := get(membersOf([]byte(set)), "keys")
	var list []placedKey
	var kids []string
	for i, element := range elementsOf(value) {
		k := placedKey{newKeyText(string(element)), set, i, nil}
		// A key without a kid has its thumbprint, which its material decides.
		list, kids = append(list, k), append(kids, cmp.Or(k.text("kid"), k.text("n")+k.text("x")))
	}
	for _, k := range list {
		k.kids = kids
		ours, theirs := readPlace(k)
		places.judge(t, k, ours, theirs)
	}
}

// setRuns is the number of sets in the deterministic run.
const setRuns = 5_000

// TestKeySets is the fuzz target without the fuzzer.
func TestKeySets(t *testing.T) {
	seeds, words := keyTexts(), keyWords()
	for run := range setRuns {
		checkSet(t, craftSet(seeds, words, randomScript(4000, uint64(run))))
	}
	places.report(t)
}

// FuzzKeySet reads sets that a script has built.
func FuzzKeySet(f *testing.F) {
	seeds, words := keyTexts(), keyWords()
	for i := range uint8(20) {
		f.Add([]byte{i, i, 0, i})
	}
	f.Fuzz(func(t *testing.T, choices []byte) { checkSet(t, craftSet(seeds, words, &script{choices})) })
}

package notary_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/notary"
)

// witnessed returns a header with a witness, and its payload.
func witnessed(t testing.TB, l *notary.Local, kid string) (with string, payload []byte) {
	t.Helper()
	jti, witness, err := l.TagWitness(t.Context(), kid, header, rest)
	if err != nil {
		t.Fatal(err)
	}
	with, err = notary.WithWitness(header, witness)
	if err != nil {
		t.Fatal(err)
	}
	return with, notary.Join(jti, rest)
}

func witnessKeys(t testing.TB, l *notary.Local) *jwk.Set {
	t.Helper()
	keys, err := l.WitnessKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestThreat85Witness(t *testing.T) {
	local := notary.NewLocal(secret)
	keys := witnessKeys(t, local)
	with, payload := witnessed(t, local, "k1")
	if err := notary.VerifyWitness(keys, "k1", with, payload); err != nil {
		t.Fatal(err)
	}
	stranger := notary.NewLocal(notary.Secret{7})
	byStranger, _ := witnessed(t, stranger, "k1")
	other, otherPayload := witnessed(t, local, "k1")
	for _, c := range []struct {
		name, kid, header string
		payload           []byte
		want              error
	}{
		{"without", "k1", header, payload, notary.ErrNoWitness},
		{"of a stranger", "k1", byStranger, payload, notary.ErrWitness},
		{"of another token", "k1", other, payload, notary.ErrWitness},
		{"other jti, same claims", "k1", with, otherPayload, notary.ErrWitness},
		{"other payload", "k1", with, bytes.Replace(payload, []byte("alice"), []byte("admin"), 1), notary.ErrWitness},
		{"other kid", "k2", with, payload, notary.ErrWitness},
		{"payload without a jti", "k1", with, []byte(`{"sub":"alice"}`), notary.ErrPayload},
	} {
		if err := notary.VerifyWitness(keys, c.kid, c.header, c.payload); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if err := notary.VerifyWitness(nil, "k1", with, payload); !errors.Is(err, notary.ErrWitness) {
		t.Errorf("without keys: %v", err)
	}
}

// What a witness signs is written down in the documentation: made here from the
// words alone.
func TestWitnessInput(t *testing.T) {
	local := notary.NewLocal(secret)
	jti, witness, err := local.TagWitness(t.Context(), "k1", header, rest)
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.Sum256([]byte(header + "." + string(rest)))
	input := "cfw1" + "\x00\x02" + "k1" + jti + string(h[:])
	signature, err := base64.RawURLEncoding.DecodeString(witness)
	if err != nil {
		t.Fatal(err)
	}
	public, err := witnessKeys(t, local).Keys()[0].CryptoPublic()
	if err != nil || !ed25519.Verify(public.(ed25519.PublicKey), []byte(input), signature) {
		t.Errorf("the documented input does not verify: %v", err)
	}
}

func TestEveryByteOfAWitnessedTokenMatters(t *testing.T) {
	local := notary.NewLocal(secret)
	keys := witnessKeys(t, local)
	with, payload := witnessed(t, local, "k1")
	for i := range payload {
		bad := bytes.Clone(payload)
		bad[i] ^= 1
		if notary.VerifyWitness(keys, "k1", with, bad) == nil {
			t.Errorf("accepted with byte %d of the payload changed", i)
		}
	}
	for i := range with {
		bad := []byte(with)
		bad[i] ^= 1
		if notary.VerifyWitness(keys, "k1", string(bad), payload) == nil {
			t.Errorf("accepted with byte %d of the header changed", i)
		}
	}
}

// The tag is of the token without its witness.
func TestSumLeavesAWitnessOut(t *testing.T) {
	local := notary.NewLocal(secret)
	with, payload := witnessed(t, local, "k1")
	if notary.Sum(with, rest) != notary.Sum(header, rest) {
		t.Error("the digest depends on the witness")
	}
	if !accepts(t, local, "k1", with, payload) {
		t.Error("the tag of a witnessed token is refused")
	}
	record, err := notary.RecordOf("k1", token(with, payload))
	if err != nil {
		t.Fatal(err)
	}
	if bare, err := notary.RecordOf("k1", token(header, payload)); err != nil || bare != record {
		t.Errorf("%v: with and without a witness the records differ", err)
	}
}

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// Only the last parameter, written in one way, is a witness: anything else is a
// part of what is tagged.
func TestSplitWitnessIsStrict(t *testing.T) {
	local := notary.NewLocal(secret)
	with, _ := witnessed(t, local, "k1")
	bare, witness := notary.SplitWitness(with)
	if bare != header || len(witness) != 86 {
		t.Fatalf("%q %q", bare, witness)
	}
	const head = `{"alg":"ES256","kid":"k1","typ":"at+jwt"`
	for name, text := range map[string]string{
		"short":                 head + `,"witness":"` + witness[:84] + `"}`,
		"long":                  head + `,"witness":"` + witness + `AA"}`,
		"not the last":          head + `,"witness":"` + witness + `","z":1}`,
		"the only one":          `{"witness":"` + witness + `"}`,
		"inside":                head + `,"a":{"b":1,"witness":"` + witness + `"}}`,
		"in an array":           head + `,"a":[1,"witness":"` + witness + `"]`,
		"space":                 head + `, "witness":"` + witness + `"}`,
		"space after":           head + `,"witness":"` + witness + `" }`,
		"space before":          head + `,"witness": "` + witness + `"}`,
		"other case":            head + `,"Witness":"` + witness + `"}`,
		"escaped":               head + `,"\u0077itness":"` + witness + `"}`,
		"other alphabet":        head + `,"witness":"+` + witness[1:] + `"}`,
		"not canonical":         head + `,"witness":"` + witness[:85] + `B"}`,
		"a number":              head + `,"witness":` + strings.Repeat("1", 88) + `}`,
		"a string that ends so": head + `,"a":"x\",\"witness\":\"` + witness + `"}`,
		"nothing":               head + `,"a":"` + strings.Repeat("x", 120) + `"}`,
	} {
		segment := encode(text)
		if bare, w := notary.SplitWitness(segment); w != "" || bare != segment {
			t.Errorf("%s: %q is a witness", name, w)
		}
	}
	if bare, w := notary.SplitWitness(with + "!"); w != "" || bare != with+"!" {
		t.Error("found in what is not base64url")
	}
}

func TestWithWitnessRefuses(t *testing.T) {
	const witness = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for name, c := range map[string]struct{ header, witness string }{
		"no header":       {"", witness},
		"not base64url":   {"!", witness},
		"empty object":    {encode("{}"), witness},
		"no object":       {encode(`["alg"]`), witness},
		"short witness":   {header, witness[1:]},
		"without witness": {header, ""},
	} {
		if with, err := notary.WithWitness(c.header, c.witness); err == nil {
			t.Errorf("%s: %q", name, with)
		}
	}
}

// A secret is changed in three steps, at each of several notaries at its own time.
func TestSecretIsChangedWithoutAFalseAlarm(t *testing.T) {
	former, next := secret, notary.Secret{42}
	steps := []*notary.Local{notary.NewLocal(former), notary.NewLocal(former, next), notary.NewLocal(next, former), notary.NewLocal(next)}
	for i, by := range steps {
		for j, at := range steps[max(i-1, 0):min(i+2, len(steps))] {
			with, payload := witnessed(t, by, "k1")
			if !accepts(t, at, "k1", with, payload) {
				t.Errorf("tagged at step %d, wrong for neighbor %d", i, j)
			}
			if err := notary.VerifyWitness(witnessKeys(t, at), "k1", with, payload); err != nil {
				t.Errorf("witnessed at step %d, neighbor %d: %v", i, j, err)
			}
		}
	}
	with, payload := witnessed(t, steps[0], "k1")
	if accepts(t, steps[3], "k1", with, payload) || notary.VerifyWitness(witnessKeys(t, steps[3]), "k1", with, payload) == nil {
		t.Error("a secret that was dropped still counts")
	}
}

func TestTooManySecrets(t *testing.T) {
	for name, local := range map[string]*notary.Local{
		"five": notary.NewLocal(notary.Secret{1}, notary.Secret{2}, notary.Secret{3}, notary.Secret{4}, notary.Secret{5}),
		"zero": notary.NewLocal(secret, notary.Secret{}),
	} {
		if _, err := local.Tag(t.Context(), "k1", notary.Digest{}); err == nil {
			t.Errorf("%s: tags", name)
		}
		if _, _, err := local.TagWitness(t.Context(), "k1", header, rest); err == nil {
			t.Errorf("%s: witnesses", name)
		}
		if _, err := local.Check(t.Context(), make([]notary.Record, 1)); err == nil {
			t.Errorf("%s: checks", name)
		}
		if _, err := local.WitnessKeys(t.Context()); err == nil {
			t.Errorf("%s: has keys", name)
		}
	}
}

func FuzzSplitWitness(f *testing.F) {
	var own notary.Secret // of this process: another's seeds are strange to it
	rand.Read(own[:])
	local := notary.NewLocal(own)
	keys := witnessKeys(f, local)
	with, payload := witnessed(f, local, "k1")
	f.Add(with, payload)
	f.Add(header, payload)
	f.Fuzz(func(t *testing.T, segment string, p []byte) {
		bare, witness := notary.SplitWitness(segment)
		if witness == "" {
			if bare != segment {
				t.Errorf("%q became %q", segment, bare)
			}
		} else if again, err := notary.WithWitness(bare, witness); err != nil || again != segment {
			t.Errorf("%q is split and joined to %q, %v", segment, again, err)
		}
		if notary.VerifyWitness(keys, "k1", segment, p) == nil && (segment != with || !bytes.Equal(p, payload)) {
			t.Errorf("a witness for %q %q", segment, p)
		}
	})
}

func BenchmarkTagWitness(b *testing.B) {
	local := notary.NewLocal(secret)
	b.ReportAllocs()
	for b.Loop() {
		local.TagWitness(b.Context(), "k1", header, rest)
	}
}

func BenchmarkVerifyWitness(b *testing.B) {
	local := notary.NewLocal(secret)
	keys := witnessKeys(b, local)
	with, payload := witnessed(b, local, "k1")
	b.ReportAllocs()
	for b.Loop() {
		notary.VerifyWitness(keys, "k1", with, payload)
	}
}

func BenchmarkSplitWitness(b *testing.B) {
	with, _ := witnessed(b, notary.NewLocal(secret), "k1")
	for name, segment := range map[string]string{"without": header, "with": with} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				notary.SplitWitness(segment)
			}
		})
	}
}

func BenchmarkCheck(b *testing.B) {
	local := notary.NewLocal(secret, notary.Secret{2})
	records := recordsOf(b, local, notary.MaxRecords, "k1", "k2")
	b.ReportAllocs()
	for b.Loop() {
		local.Check(b.Context(), records)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/notary.MaxRecords, "ns/record")
}

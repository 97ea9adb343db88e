package notary_test

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/notary"
)

var update = flag.Bool("update", false, "write testdata/tags.txt anew")

var secret = notary.Secret([]byte("0123456789abcdef0123456789abcdef"))

const header = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImsxIiwidHlwIjoiYXQrand0In0"

var rest = []byte(`,"iss":"https://id.example","sub":"alice","aud":"orders"}`)

// jtiOf computes a jti from the words of the documentation alone.
func jtiOf(kid string, nonce [8]byte, d notary.Digest) string {
	key, err := hkdf.Key(sha256.New, secret[:], nil, "counterfoil/notary/tag/v1\x00"+kid, 32)
	if err != nil {
		panic(err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("cf1"))
	mac.Write([]byte{byte(len(kid) >> 8), byte(len(kid))})
	mac.Write([]byte(kid))
	mac.Write(nonce[:])
	mac.Write(d[:])
	return base64.RawURLEncoding.EncodeToString(append(nonce[:], mac.Sum(nil)[:12]...))
}

func TestTagVectors(t *testing.T) {
	local := notary.NewLocal(secret)
	var out strings.Builder
	out.WriteString("# secret, header segment, kid, nonce, payload after the jti -> d, jti\n")
	for i, kid := range []string{"k1", "2026-03-01", strings.Repeat("k", 256)} {
		for _, rest := range []string{string(rest), "}", `,"sub":"ünï"}`} {
			nonce := [8]byte{byte(i), 1, 2, 3, 4, 5, 6, 0xff}
			d := notary.Sum(header, []byte(rest))
			jti := jtiOf(kid, nonce, d)
			if !checked(t, local, kid, jti, d) {
				t.Errorf("kid %.12q, rest %q: the documented tag is refused", kid, rest)
			}
			fmt.Fprintf(&out, "%s %s %s %x %s -> %x %s\n", secret[:], header, kid, nonce, rest, d[:], jti)
		}
	}
	const golden = "testdata/tags.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("tags changed:\n%s", out.String())
	}
}

// checked asks about one token. A jti that has no record has no tag.
func checked(t testing.TB, l *notary.Local, kid, jti string, d notary.Digest) bool {
	t.Helper()
	record, err := notary.NewRecord(kid, jti, d)
	if err != nil {
		return false
	}
	right, err := l.Check(t.Context(), []notary.Record{record})
	if err != nil || len(right) != 1 {
		t.Fatalf("%v %v", right, err)
	}
	return right[0]
}

func tagged(t testing.TB) (local *notary.Local, kid, jti string, payload []byte) {
	t.Helper()
	local = notary.NewLocal(secret)
	jti, err := local.Tag(t.Context(), "k1", notary.Sum(header, rest))
	if err != nil {
		t.Fatal(err)
	}
	return local, "k1", jti, notary.Join(jti, rest)
}

// accepts is what an auditor does with a token's segments.
func accepts(t testing.TB, l *notary.Local, kid, header string, payload []byte) bool {
	t.Helper()
	jti, rest, err := notary.SplitPayload(payload)
	return err == nil && checked(t, l, kid, jti, notary.Sum(header, rest))
}

func TestEveryByteOfATaggedTokenMatters(t *testing.T) {
	local, kid, jti, payload := tagged(t)
	if !accepts(t, local, kid, header, payload) {
		t.Fatal("the tag is refused")
	}
	for i := range payload {
		for bit := range 8 {
			bad := bytes.Clone(payload)
			bad[i] ^= 1 << bit
			if accepts(t, local, kid, header, bad) {
				t.Errorf("accepted with bit %d of payload byte %d changed", bit, i)
			}
		}
	}
	for i := range header {
		bad := []byte(header)
		bad[i] ^= 1
		if accepts(t, local, kid, string(bad), payload) {
			t.Errorf("accepted with header byte %d changed", i)
		}
	}
	for _, other := range []string{"k2", "k", "k11", "K1", "", strings.Repeat("k", 1<<16)} {
		if accepts(t, local, other, header, payload) {
			t.Errorf("accepted for kid %.12q", other)
		}
	}
	for i := range payload {
		if accepts(t, local, kid, header, payload[:i]) {
			t.Errorf("accepted when cut at byte %d", i)
		}
	}
	if accepts(t, local, kid, header, notary.Join(jti, append([]byte(`,"admin":true`), rest...))) {
		t.Error("accepted with a claim before the others")
	}
	stranger := secret
	stranger[0]++
	if accepts(t, notary.NewLocal(stranger), kid, header, payload) {
		t.Error("accepted by another secret")
	}
}

// The kid's length is in the input, so that its end cannot move into the nonce.
func TestTagInputIsUnambiguous(t *testing.T) {
	local := notary.NewLocal(secret)
	nonce := [8]byte{'x', 1, 2, 3, 4, 5, 6, 7}
	d := notary.Sum(header, rest)
	if checked(t, local, "kx", jtiOf("k", nonce, d), d) {
		t.Error("a byte of the nonce passes for one of the kid")
	}
}

func TestSplitPayloadIsStrict(t *testing.T) {
	_, _, jti, good := tagged(t)
	got, after, err := notary.SplitPayload(good)
	if err != nil || got != jti || !bytes.Equal(after, rest) {
		t.Fatalf("%q %q %v", got, after, err)
	}
	if _, after, err := notary.SplitPayload([]byte(`{"jti":"` + jti + `"}`)); err != nil || string(after) != "}" {
		t.Errorf("a payload of nothing but a jti: %q %v", after, err)
	}
	s := string(good)
	for name, bad := range map[string]string{
		"empty":                 "",
		"space before":          " " + s,
		"space inside":          strings.Replace(s, `{"jti"`, `{ "jti"`, 1),
		"space after the colon": strings.Replace(s, `:"`, `: "`, 1),
		"space after the value": strings.Replace(s, jti+`",`, jti+`" ,`, 1),
		"byte order mark":       "\ufeff" + s,
		"another claim first":   strings.Replace(s, `{"jti"`, `{"iss":"x","jti"`, 1),
		"escaped name":          strings.Replace(s, `"jti"`, `"\u006ati"`, 1),
		"other case":            strings.Replace(s, `"jti"`, `"JTI"`, 1),
		"26 characters":         strings.Replace(s, jti, jti[:26], 1),
		"28 characters":         strings.Replace(s, jti, jti+"A", 1),
		"padded":                strings.Replace(s, jti, jti[:26]+"=", 1),
		"standard alphabet":     strings.Replace(s, jti, "+"+jti[1:], 1),
		"newline inside":        strings.Replace(s, jti, jti[:13]+"\n"+jti[14:], 1),
		"escape inside":         strings.Replace(s, jti, `\u0041`+jti[:21], 1),
		"not canonical":         strings.Replace(s, jti, jti[:26]+"B", 1),
		"nothing after":         s[:8+27+1],
		"a colon after":         strings.Replace(s, jti+`",`, jti+`":`, 1),
	} {
		if _, _, err := notary.SplitPayload([]byte(bad)); !errors.Is(err, notary.ErrPayload) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTagsDiffer(t *testing.T) {
	local := notary.NewLocal(secret)
	d := notary.Sum(header, rest)
	seen := map[string]bool{}
	for range 1000 {
		jti, err := local.Tag(t.Context(), "k1", d)
		if err != nil || len(jti) != notary.IDSize || seen[jti] {
			t.Fatalf("%q %v", jti, err)
		}
		seen[jti] = true
	}
}

func TestNoTagWithoutSecretOrKey(t *testing.T) {
	d := notary.Sum(header, rest)
	if _, err := notary.NewLocal(notary.Secret{}).Tag(t.Context(), "k1", d); err == nil {
		t.Error("a notary without a secret tags")
	}
	for _, kid := range []string{"", strings.Repeat("k", 1<<16)} {
		if _, err := notary.NewLocal(secret).Tag(t.Context(), kid, d); err == nil {
			t.Errorf("a kid of %d bytes is tagged", len(kid))
		}
	}
}

func TestSecretDoesNotShow(t *testing.T) {
	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("secret", "secret", secret, "inside", struct{ S notary.Secret }{secret})
	shown := logged.String() + fmt.Sprintf("%v %+v %#v %s %x %d", secret, secret, secret, secret, secret, struct{ S *notary.Secret }{&secret})
	shown += fmt.Sprintf("%+v %#v", notary.NewLocal(secret), notary.NewLocal(secret))
	if b, err := json.Marshal(secret); err == nil {
		shown += string(b)
	}
	for _, leak := range []string{"01234", "30313233", "48 49", "48,49", "0x30, 0x31", "MDEyMz"} {
		if strings.Contains(shown, leak) {
			t.Errorf("the secret shows as %q in %s", leak, shown)
		}
	}
}

func FuzzSplitPayload(f *testing.F) {
	_, _, jti, payload := tagged(f)
	f.Add(payload)
	f.Add([]byte(`{"jti":"` + jti + `"}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		jti, rest, err := notary.SplitPayload(payload)
		if err != nil {
			return
		}
		if got := notary.Join(jti, rest); !bytes.Equal(got, payload) {
			t.Errorf("%q is split and joined to %q", payload, got)
		}
	})
}

func ExampleLocal_Check() {
	local := notary.NewLocal(notary.Secret([]byte("0123456789abcdef0123456789abcdef")))
	rest := []byte(`,"sub":"alice"}`)
	jti, err := local.Tag(context.Background(), "k1", notary.Sum("e30", rest))
	if err != nil {
		fmt.Println(err)
		return
	}
	payload := notary.Join(jti, rest)

	forged := bytes.Replace(payload, []byte("alice"), []byte("admin"), 1)
	var records []notary.Record
	for _, payload := range [][]byte{payload, forged} {
		token := "e30." + base64.RawURLEncoding.EncodeToString(payload) + ".c2lnbmF0dXJl"
		record, err := notary.RecordOf("k1", token)
		if err != nil {
			fmt.Println(err)
			return
		}
		records = append(records, record)
	}
	fmt.Println(local.Check(context.Background(), records))
	// Output:
	// [true false] <nil>
}

func BenchmarkTag(b *testing.B) {
	local := notary.NewLocal(secret)
	d := notary.Sum(header, rest)
	b.ReportAllocs()
	for b.Loop() {
		local.Tag(b.Context(), "k1", d)
	}
}

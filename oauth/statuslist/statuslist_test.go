package statuslist_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/jose/jwt"
	"github.com/counterfoil/counterfoil/oauth/statuslist"
)

// deflate compresses with zlib.
func deflate(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	if _, err := z.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func listOf(bits any, packed []byte) string {
	return fmt.Sprintf(`{"bits":%v,"lst":"%s"}`, bits, wire.Encode(packed))
}

// The two lists of draft-ietf-oauth-status-list, Section 4.1.
func TestParse(t *testing.T) {
	for _, c := range []struct {
		list, bytes string
		bits        int
		statuses    []statuslist.Status
	}{
		{`{"bits":1,"lst":"eNrbuRgAAhcBXQ"}`, "b9a3", 1, []statuslist.Status{1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1}},
		{`{"bits":2,"lst":"eNo76fITAAPfAgc"}`, "c944f9", 2, []statuslist.Status{1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3}},
	} {
		list, err := statuslist.Parse([]byte(c.list))
		if err != nil {
			t.Fatal(err)
		}
		check(t, list, c.bits, c.statuses)
		data, err := hex.DecodeString(c.bytes)
		if err != nil {
			t.Fatal(err)
		}
		again, err := statuslist.Parse([]byte(listOf(c.bits, deflate(t, data))))
		if err != nil {
			t.Fatal(err)
		}
		check(t, again, c.bits, c.statuses)
	}
}

func check(t *testing.T, list *statuslist.List, bits int, want []statuslist.Status) {
	t.Helper()
	if list.Bits() != bits || list.Len() != len(want) {
		t.Errorf("%d statuses of %d bits", list.Len(), list.Bits())
	}
	for i, s := range want {
		if got := list.At(i); got != s {
			t.Errorf("At(%d) = %d, want %d", i, got, s)
		}
	}
}

func TestThreat78IndexOutOfRange(t *testing.T) {
	for _, bits := range []int{1, 2, 4, 8} {
		list, err := statuslist.New(bits, 16)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range []int{-1, -1 << 62, list.Len(), list.Len() + 1, 1 << 30, 1<<63 - 1} {
			if got := list.At(i); got != statuslist.Unknown || got == statuslist.Valid {
				t.Errorf("%d bits: At(%d) = %d", bits, i, got)
			}
			if list.Set(i, statuslist.Valid) == nil {
				t.Errorf("%d bits: Set(%d)", bits, i)
			}
		}
	}
	var empty statuslist.Claim
	if err := wire.Unmarshal([]byte(`{"status_list":{"idx":-1,"uri":"u"}}`), &empty); err != nil || empty.List.Index != -1 {
		t.Errorf("%+v, %v", empty, err)
	}
}

func TestThreat78MalformedList(t *testing.T) {
	one := deflate(t, []byte{0xb9, 0xa3})
	var zipped bytes.Buffer
	g := gzip.NewWriter(&zipped)
	g.Write([]byte{0xb9, 0xa3})
	g.Close()
	spoilt := bytes.Clone(one)
	spoilt[len(spoilt)-1] ^= 1 // the checksum
	for name, text := range map[string]string{
		"bits 3":           listOf(3, one),
		"bits 0":           listOf(0, one),
		"bits -1":          listOf(-1, one),
		"bits 16":          listOf(16, one),
		"bits text":        listOf(`"1"`, one),
		"bits 1.5":         listOf(1.5, one),
		"bits null":        listOf("null", one),
		"no bits":          `{"lst":"` + wire.Encode(one) + `"}`,
		"bits twice":       `{"bits":1,"bits":8,"lst":"` + wire.Encode(one) + `"}`,
		"no lst":           `{"bits":1}`,
		"lst number":       `{"bits":1,"lst":1}`,
		"lst empty":        listOf(1, nil),
		"padding":          `{"bits":1,"lst":"` + wire.Encode(one) + `="}`,
		"raw deflate":      listOf(1, one[2:len(one)-4]),
		"gzip":             listOf(1, zipped.Bytes()),
		"cut":              listOf(1, one[:len(one)-1]),
		"checksum":         listOf(1, spoilt),
		"trailing":         listOf(1, append(bytes.Clone(one), 0)),
		"two streams":      listOf(1, append(bytes.Clone(one), one...)),
		"not an object":    `[]`,
		"null":             `null`,
		"empty":            ``,
		"trailing JSON":    listOf(1, one) + "{}",
		"case-folded name": `{"Bits":1,"lst":"` + wire.Encode(one) + `"}`,
	} {
		if list, err := statuslist.Parse([]byte(text)); !errors.Is(err, statuslist.ErrMalformed) || list != nil {
			t.Errorf("%s: %v, %v", name, list, err)
		}
	}
}

// A list of the largest size is read, and one byte more is not; a bomb costs no
// more memory than the largest list.
func TestThreat78Bomb(t *testing.T) {
	fits := listOf(1, deflate(t, make([]byte, statuslist.MaxBytes)))
	if list, err := statuslist.Parse([]byte(fits)); err != nil || list.Len() != statuslist.MaxBytes*8 {
		t.Error(err)
	}
	for _, n := range []int{statuslist.MaxBytes + 1, 64 * statuslist.MaxBytes} {
		bomb := listOf(1, deflate(t, make([]byte, n)))
		if spent := allocated(func() {
			if _, err := statuslist.Parse([]byte(bomb)); !errors.Is(err, statuslist.ErrMalformed) {
				t.Error(err)
			}
		}); spent > 6*statuslist.MaxBytes+uint64(4*len(bomb)) {
			t.Errorf("%d bytes for a bomb of %d", spent, len(bomb))
		}
	}
}

// allocated returns how many bytes of memory f asks for.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// The first status is in the least significant bit: a list packed the other way
// round says something else, and does so visibly.
func TestThreat78BitOrder(t *testing.T) {
	for _, c := range []struct {
		bits  int
		data  byte
		first statuslist.Status
		last  statuslist.Status
	}{{1, 0x01, 1, 0}, {1, 0x80, 0, 1}, {2, 0x02, 2, 0}, {2, 0x40, 0, 1}, {4, 0x0c, 12, 0}, {4, 0xc0, 0, 12}, {8, 0xfe, 254, 254}} {
		list, err := statuslist.Parse([]byte(listOf(c.bits, deflate(t, []byte{c.data}))))
		if err != nil {
			t.Fatal(err)
		}
		if first, last := list.At(0), list.At(8/c.bits-1); first != c.first || last != c.last {
			t.Errorf("%d bits, %#x: %d … %d", c.bits, c.data, first, last)
		}
	}
}

func TestWriteAndRead(t *testing.T) {
	for _, bits := range []int{1, 2, 4, 8} {
		list, err := statuslist.New(bits, 1001)
		if err != nil {
			t.Fatal(err)
		}
		most := statuslist.Status(1<<bits - 1)
		for i := range 1001 {
			if err := list.Set(i, statuslist.Status(i)&most); err != nil {
				t.Fatal(err)
			}
		}
		if list.Set(0, most+1) == nil || list.Set(0, statuslist.Unknown) == nil {
			t.Errorf("%d bits: a status that does not fit", bits)
		}
		text, err := list.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		again, err := statuslist.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 1001 {
			if got := again.At(i); got != statuslist.Status(i)&most {
				t.Fatalf("%d bits: At(%d) = %d", bits, i, got)
			}
		}
	}
	for _, c := range [][2]int{{3, 1}, {0, 1}, {1, -1}, {8, statuslist.MaxBytes + 1}} {
		if _, err := statuslist.New(c[0], c[1]); err == nil {
			t.Errorf("New(%d, %d)", c[0], c[1])
		}
	}
}

const uri = "https://example.com/statuslists/1"

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func policy() statuslist.Policy {
	return statuslist.Policy{URI: uri, Now: func() time.Time { return now }}
}

// claims are those of a good list, with some changed; "" leaves one out.
func claims(changes ...string) string {
	c := map[string]string{
		"sub": `"` + uri + `"`, "iat": fmt.Sprint(now.Unix()), "exp": fmt.Sprint(now.Add(time.Hour).Unix()),
		"ttl": "600", "status_list": `{"bits":1,"lst":"eNrbuRgAAhcBXQ"}`, "iss": `"https://example.com"`,
	}
	for i := 0; i < len(changes); i += 2 {
		c[changes[i]] = changes[i+1]
	}
	var parts []string
	for name, text := range c {
		if text != "" {
			parts = append(parts, `"`+name+`":`+text)
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func newKey(t testing.TB) *jwk.Key {
	t.Helper()
	key, err := jwk.Generate(jwk.Params{Algorithm: jwk.ES256})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func mint(t testing.TB, key *jwk.Key, typ, payload string) string {
	t.Helper()
	input := wire.Encode([]byte(`{"alg":"ES256","typ":"`+typ+`"}`)) + "." + wire.Encode([]byte(payload))
	sig, err := key.Sign([]byte(input))
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + wire.Encode(sig)
}

func TestVerify(t *testing.T) {
	key := newKey(t)
	list, err := statuslist.Verify(policy(), key, mint(t, key, "statuslist+jwt", claims()))
	if err != nil {
		t.Fatal(err)
	}
	if list.At(0) != statuslist.Invalid || list.At(1) != statuslist.Valid || list.TTL() != 10*time.Minute || !list.Expiry().Equal(now.Add(time.Hour)) {
		t.Errorf("%d, %v, %v", list.At(0), list.TTL(), list.Expiry())
	}
	// Without exp and ttl a list is good for MaxAge.
	list, err = statuslist.Verify(policy(), key, mint(t, key, "statuslist+jwt", claims("exp", "", "ttl", "", "iss", "")))
	if err != nil || list.TTL() != 0 || !list.Expiry().Equal(now.Add(24*time.Hour)) {
		t.Errorf("%v, %v", list, err)
	}
	named := policy()
	named.Issuer = "https://example.com"
	if _, err := statuslist.Verify(named, key, mint(t, key, "statuslist+jwt", claims())); err != nil {
		t.Error(err)
	}
	if _, err := statuslist.Verify(named, key, mint(t, key, "statuslist+jwt", claims("iss", ""))); err == nil {
		t.Error("no iss where one is asked for")
	}
}

func TestThreat78Token(t *testing.T) {
	key := newKey(t)
	for name, token := range map[string]string{
		"sub is another URI": mint(t, key, "statuslist+jwt", claims("sub", `"https://example.com/statuslists/2"`)),
		"no sub":             mint(t, key, "statuslist+jwt", claims("sub", "")),
		"typ":                mint(t, key, "at+jwt", claims()),
		"typ JWT":            mint(t, key, "JWT", claims()),
		"expired":            mint(t, key, "statuslist+jwt", claims("iat", fmt.Sprint(now.Add(-3*time.Hour).Unix()), "exp", fmt.Sprint(now.Add(-2*time.Hour).Unix()))),
		"too old":            mint(t, key, "statuslist+jwt", claims("iat", fmt.Sprint(now.Add(-25*time.Hour).Unix()))),
		"too old, no exp":    mint(t, key, "statuslist+jwt", claims("iat", fmt.Sprint(now.Add(-25*time.Hour).Unix()), "exp", "")),
		"from the future":    mint(t, key, "statuslist+jwt", claims("iat", fmt.Sprint(now.Add(time.Hour).Unix()))),
		"no iat":             mint(t, key, "statuslist+jwt", claims("iat", "")),
		"ttl 0":              mint(t, key, "statuslist+jwt", claims("ttl", "0")),
		"ttl 10^9":           mint(t, key, "statuslist+jwt", claims("ttl", "1000000000")),
		"ttl negative":       mint(t, key, "statuslist+jwt", claims("ttl", "-1")),
		"ttl text":           mint(t, key, "statuslist+jwt", claims("ttl", `"600"`)),
		"no list":            mint(t, key, "statuslist+jwt", claims("status_list", "")),
		"bits 3":             mint(t, key, "statuslist+jwt", claims("status_list", `{"bits":3,"lst":"eNrbuRgAAhcBXQ"}`)),
		"another key":        mint(t, newKey(t), "statuslist+jwt", claims()),
	} {
		list, err := statuslist.Verify(policy(), key, token)
		if err == nil || list != nil {
			t.Errorf("%s: accepted", name)
		}
		var policyError *jwt.PolicyError
		if errors.As(err, &policyError) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, p := range map[string]statuslist.Policy{
		"no URI": {Now: policy().Now}, "no clock": {URI: uri}, "negative": {URI: uri, Now: policy().Now, MaxAge: -1},
	} {
		var policyError *jwt.PolicyError
		if _, err := statuslist.Verify(p, key, mint(t, key, "statuslist+jwt", claims())); !errors.As(err, &policyError) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A status list is larger than other tokens may be, up to a bound of its own.
func TestLargeList(t *testing.T) {
	key := newKey(t)
	list, err := statuslist.New(8, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	state := uint32(1)
	for i := range list.Len() { // no compressor makes this small
		state = state*1664525 + 1013904223
		if err := list.Set(i, statuslist.Status(state>>24)); err != nil {
			t.Fatal(err)
		}
	}
	text, err := list.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	token := mint(t, key, "statuslist+jwt", claims("status_list", string(text)))
	if len(token) < 1<<20 {
		t.Fatalf("only %d bytes", len(token))
	}
	got, err := statuslist.Verify(policy(), key, token)
	if err != nil {
		t.Fatal(err)
	}
	for i := range list.Len() {
		if got.At(i) != list.At(i) {
			t.Fatal(i)
		}
	}
	huge := mint(t, key, "statuslist+jwt", claims("x", `"`+strings.Repeat("x", jws.MaxLarge)+`"`))
	if _, err := statuslist.Verify(policy(), key, huge); !errors.Is(err, jws.ErrTooLarge) {
		t.Error(err)
	}
	access := jwt.Policy{InsecureSkipIssuer: true, InsecureSkipAudience: true, Type: "statuslist+jwt", Now: policy().Now}
	if _, err := jwt.Verify[struct{}](access, key, token); !errors.Is(err, jws.ErrTooLarge) {
		t.Errorf("as a token like others: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"bits":1,"lst":"eNrbuRgAAhcBXQ"}`), 15)
	f.Add([]byte(`{"bits":2,"lst":"eNo76fITAAPfAgc"}`), 3)
	f.Add([]byte(`{"bits":8,"lst":"eNoDAAAAAAE","aggregation_uri":"u"}`), 0)
	f.Fuzz(func(t *testing.T, data []byte, index int) {
		list, err := statuslist.Parse(data)
		if err != nil {
			if list != nil || !errors.Is(err, statuslist.ErrMalformed) {
				t.Fatalf("%v beside %v", list, err)
			}
			return
		}
		status := list.At(index)
		if inside := index >= 0 && index < list.Len(); inside == (status == statuslist.Unknown) || int(status) >= 1<<list.Bits() {
			t.Fatalf("At(%d) of %d = %d", index, list.Len(), status)
		}
		text, err := list.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		again, err := statuslist.Parse(text)
		if err != nil || again.Len() != list.Len() || again.Bits() != list.Bits() || again.At(index) != status {
			t.Fatalf("not the same again: %v", err)
		}
	})
}

// A List that nobody made says nothing of any token.
func TestZeroList(t *testing.T) {
	var list statuslist.List
	if list.Len() != 0 || list.At(0) != statuslist.Unknown || list.Set(0, statuslist.Valid) == nil {
		t.Error("has statuses")
	}
}

package wire_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/wire"
)

func refuseBase64(t *testing.T, text string) {
	t.Helper()
	if b, err := wire.Decode(text); !errors.Is(err, wire.ErrBase64) {
		t.Errorf("Decode(%q) = %x, %v", text, b, err)
	}
	if b, err := wire.Decode([]byte(text)); !errors.Is(err, wire.ErrBase64) {
		t.Errorf("Decode of bytes %q = %x, %v", text, b, err)
	}
}

func TestDecodeGivesBackWhatEncodeTook(t *testing.T) {
	for n := range 100 {
		want := bytes.Repeat([]byte{byte(n), 0xfb}, n)[:n]
		got, err := wire.Decode(wire.Encode(want))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: %x, %v", n, got, err)
		}
		if got := wire.AppendEncode([]byte("x."), want); string(got) != "x."+wire.Encode(want) {
			t.Errorf("AppendEncode = %q", got)
		}
	}
	if got, err := wire.Decode(""); got == nil || len(got) != 0 || err != nil {
		t.Errorf("the empty text is the empty value: %v, %v", got, err)
	}
}

func TestAppendDecodeKeepsWhatWasThere(t *testing.T) {
	buf := make([]byte, 0, 64)
	got, err := wire.AppendDecode(append(buf, "kept "...), wire.Encode([]byte("added")))
	if err != nil || string(got) != "kept added" {
		t.Errorf("%q, %v", got, err)
	}
	if &got[0] != &buf[:1][0] {
		t.Error("room enough, yet the memory is new")
	}
	if got, err := wire.AppendDecode([]byte("full "), wire.Encode([]byte("added"))); err != nil || string(got) != "full added" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestThreat7StandardAlphabetAndPadding(t *testing.T) {
	if got := wire.Encode([]byte{0xfb, 0xff, 0xfe}); got != "-__-" {
		t.Errorf("the alphabet is not that of RFC 4648, Section 5: %s", got)
	}
	for _, text := range []string{"-_-+", "-_-/", "++++", "////", "QUI/", "QQ==", "QUI=", "=", "Q===", "QUJD="} {
		refuseBase64(t, text)
	}
}

// One or more line ends, at every place of texts of every length.
func TestThreat8NewlineInBase64(t *testing.T) {
	for n := range 12 {
		text := wire.Encode(bytes.Repeat([]byte{0x5a}, n))
		for _, end := range []string{"\n", "\r", "\r\n", "\n\n", "\n\n\n", "\n\n\n\n", "\r\n\r\n\r\n"} {
			for i := range len(text) + 1 {
				refuseBase64(t, text[:i]+end+text[i:])
			}
		}
	}
}

func TestThreat9TrailingBits(t *testing.T) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for _, n := range []int{1, 2, 4, 5} {
		text := wire.Encode(bytes.Repeat([]byte{0x77}, n))
		value, _ := wire.Decode(text)
		for _, c := range alphabet {
			other := text[:len(text)-1] + string(c)
			if got, err := wire.Decode(other); err == nil && other != text && bytes.Equal(got, value) {
				t.Errorf("%q and %q are one value", other, text)
			}
		}
	}
	refuseBase64(t, "QR")
	refuseBase64(t, "QUJ")
}

func TestDecodeRefusesForeignCharacters(t *testing.T) {
	for _, text := range []string{"Q", "QUJDR", "Q QI", "QU.D", "QU\x00D", "QUé", "QU\"D", "QUJ\xff", " QUJD", "QUJD\t"} {
		refuseBase64(t, text)
	}
}

func TestDecodeAllocatesItsResultOnly(t *testing.T) {
	text := strings.Repeat("QUJD", 100)
	if n := testing.AllocsPerRun(100, func() { wire.Decode(text) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{"", "QQ", "QUI", "QUJD", "QR", "QUJD\n\n", "-_-_", "QQ==", "A"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := wire.Decode(text)
		if err != nil {
			if got != nil || !errors.Is(err, wire.ErrBase64) {
				t.Fatalf("refused with %v, %v", got, err)
			}
			return
		}
		if wire.Encode(got) != text {
			t.Fatalf("accepted %q, which Encode writes %q", text, wire.Encode(got))
		}
		if lax, err := base64.RawURLEncoding.DecodeString(text); err != nil || !bytes.Equal(lax, got) {
			t.Fatalf("encoding/base64 reads %x, %v", lax, err)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	text := strings.Repeat("QUJD", 150)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := wire.Decode(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendDecode(b *testing.B) {
	text := strings.Repeat("QUJD", 144)
	dst := make([]byte, 0, 600)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := wire.AppendDecode(dst, text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendEncode(b *testing.B) {
	data := make([]byte, 432)
	dst := make([]byte, 0, 600)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		wire.AppendEncode(dst, data)
	}
}

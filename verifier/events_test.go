package verifier_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/verifier"
)

func events(r io.Reader) (list []string, err error) {
	err = verifier.ReadEvents(r, func(data string) error {
		list = append(list, data)
		return nil
	})
	return list, err
}

func TestReadEvents(t *testing.T) {
	for _, c := range []struct {
		name, stream string
		want         []string
	}{
		{"one", "id: 1.2\ndata: a\n\n", []string{"a"}},
		{"without a space", "data:a\n\n", []string{"a"}},
		{"comments", ": hello\n\n:\ndata: a\n: more\n\n", []string{"a"}},
		{"other fields", "event: x\nretry: 5\ndata: a\nunknown\n\n", []string{"a"}},
		{"CR LF", "data: a\r\n\r\ndata: b\r\n\r\n", []string{"a", "b"}},
		{"CR", "data: a\r\rdata: b\r\r", []string{"a", "b"}},
		{"empty events", "\n\n\nid: 1.1\n\n\n", nil},
		{"cut off in an event", "data: a\n\ndata: b\n", []string{"a"}},
		{"cut off in a line", "data: a\n\ndata: b", []string{"a"}},
		{"field in capitals", "DATA: a\n\n", nil},
	} {
		if got, err := events(strings.NewReader(c.stream)); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v, want %q", c.name, got, err, c.want)
		}
		// However the network cuts it.
		if got, err := events(oneByte{strings.NewReader(c.stream)}); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s, byte by byte: %q, %v, want %q", c.name, got, err, c.want)
		}
	}
}

type oneByte struct{ io.Reader }

func (r oneByte) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(len(p), 1)]) }

func TestThreat72EndlessLine(t *testing.T) {
	var read int
	endless := readerFunc(func(p []byte) (int, error) {
		for i := range p {
			p[i] = 'x'
		}
		read += len(p)
		return len(p), nil
	})
	if _, err := events(endless); err == nil || read > 64<<10 {
		t.Errorf("%v after %d bytes of one line", err, read)
	}
	wanted := errors.New("enough")
	if err := verifier.ReadEvents(strings.NewReader("data: a\n\ndata: b\n\n"), func(string) error { return wanted }); err != wanted {
		t.Errorf("error of the caller: %v", err)
	}
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func FuzzReadEvents(f *testing.F) {
	f.Add("id: 1.2\ndata: a\n\n")
	f.Add("data: a\r\rdata:\r\n\n")
	f.Add(": x\n\ndata")
	f.Fuzz(func(t *testing.T, stream string) {
		whole, errWhole := events(strings.NewReader(stream))
		bits, errBits := events(oneByte{strings.NewReader(stream)})
		if (errWhole == nil) != (errBits == nil) || !slices.Equal(whole, bits) {
			t.Errorf("%q at once and %q byte by byte", whole, bits)
		}
		for _, e := range whole {
			if e == "" || strings.ContainsAny(e, "\r\n") {
				t.Errorf("event %q", e)
			}
		}
	})
}

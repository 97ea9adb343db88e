package jws_test

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// zeros reads n zero bytes.
func zeros(n int64) io.Reader { return io.LimitReader(zero{}, n) }

type zero struct{}

func (zero) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A large payload goes by in pieces.
func TestLargePayloadIsNotKept(t *testing.T) {
	const size = 64 << 20
	key := newKey(t, jwk.ES256)
	for _, unencoded := range []bool{false, true} {
		s := newSigner(t, key, unencoded)
		memory, _ := costOf(func() {
			token, err := s.SignReader(zeros(size))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := all.VerifyReader(key, token, zeros(size)); err != nil {
				t.Error(err)
			}
		})
		if memory > 256<<10 {
			t.Errorf("%d bytes of memory for %d", memory, size)
		}
	}
}

// Whatever the reader gives at a time, it is the same payload.
func TestPayloadInPieces(t *testing.T) {
	payload := bytes.Repeat([]byte("0123456789"), 500)
	for _, alg := range []jwk.Algorithm{jwk.HS256, jwk.Ed25519} {
		key := newKey(t, alg)
		s := newSigner(t, key, false)
		token, err := s.SignDetached(payload)
		if err != nil {
			t.Fatal(err)
		}
		for _, wrap := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader} {
			if _, err := jws.VerifyReader(key, token, wrap(bytes.NewReader(payload))); err != nil {
				t.Errorf("%s: %v", alg, err)
			}
			if again, err := s.SignReader(wrap(bytes.NewReader(payload))); err != nil || again != token {
				t.Errorf("%s: %v", alg, err)
			}
		}
	}
}

var errDisk = errors.New("the disk is gone")

// What cannot be read to its end is neither signed nor good.
func TestPayloadThatEndsEarly(t *testing.T) {
	for _, alg := range []jwk.Algorithm{jwk.HS256, jwk.Ed25519} {
		key := newKey(t, alg)
		s := newSigner(t, key, false)
		token, err := s.SignDetached([]byte("payload"))
		if err != nil {
			t.Fatal(err)
		}
		broken := func() io.Reader { return io.MultiReader(strings.NewReader("payload"), iotest.ErrReader(errDisk)) }
		if m, err := jws.VerifyReader(key, token, broken()); !errors.Is(err, errDisk) || m != nil {
			t.Error(err)
		}
		if token, err := s.SignReader(broken()); !errors.Is(err, errDisk) || token != "" {
			t.Error(err)
		}
	}
}

// A token that cannot verify does not cost the reading of its payload.
func TestPayloadIsNotReadInVain(t *testing.T) {
	key := newKey(t, jwk.HS256)
	token, err := newSigner(t, key, false).SignDetached(nil)
	if err != nil {
		t.Fatal(err)
	}
	reader := unread{t}
	if _, err := jws.VerifyReader(newKey(t, jwk.ES256), token, reader); !errors.Is(err, jwk.ErrUnknownKey) {
		t.Error(err)
	}
	if _, err := jws.VerifyReader(key, token+".", reader); !errors.Is(err, jws.ErrMalformed) {
		t.Error(err)
	}
}

// An unread payload must not be read.
type unread struct{ t *testing.T }

func (r unread) Read([]byte) (int, error) {
	r.t.Error("the payload is read")
	return 0, io.EOF
}

// Some algorithms need all of the payload at once, and say so before they fill
// the memory. Beside one that does not they are no hindrance.
func TestNotStreamable(t *testing.T) {
	const above = jwk.MaxWhole // more than that when encoded
	streaming, whole := newKey(t, jwk.ES256), newKey(t, jwk.Ed25519)
	if _, err := newSigner(t, whole, false).SignReader(zeros(above)); !errors.Is(err, jwk.ErrNotStreamable) {
		t.Error(err)
	}
	token, err := newSigner(t, whole, false).SignDetached(make([]byte, above))
	if err != nil {
		t.Fatal(err)
	}
	if m, err := jws.VerifyReader(whole, token, zeros(above)); !errors.Is(err, jwk.ErrNotStreamable) || m != nil {
		t.Error(err)
	}
	if _, err := jws.VerifyDetached(whole, token, make([]byte, above)); err != nil {
		t.Errorf("in memory: %v", err)
	}
	other, err := newSigner(t, streaming, false).SignReader(zeros(above))
	if err != nil {
		t.Fatal(err)
	}
	data, err := jws.JoinDetached(token, other)
	if err != nil {
		t.Fatal(err)
	}
	set, err := jwk.NewSet(whole, streaming)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := jws.VerifyReaderJSON(set, data, zeros(above)); err != nil || m.Index() != 1 || m.Key() != streaming {
		t.Error(err)
	}
	// Each signature has its own reason.
	m, err := jws.VerifyReaderJSON(whole, data, zeros(above))
	if !errors.Is(err, jwk.ErrNotStreamable) || !errors.Is(err, jwk.ErrUnknownKey) || m != nil {
		t.Error(err)
	}
}

// A remote key notes the context with which it was asked, and how much it was
// handed.
type remote struct {
	crypto.Signer
	asked []string
	bytes int
}

type requestID struct{}

func (r *remote) SignContext(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	id, _ := ctx.Value(requestID{}).(string)
	r.asked, r.bytes = append(r.asked, id), len(digest)
	return r.Sign(nil, digest, opts)
}

// A key that a service holds signs in every form, under the caller's context.
func TestSignContext(t *testing.T) {
	material, err := generateECDSA()
	if err != nil {
		t.Fatal(err)
	}
	far := &remote{Signer: material}
	key, err := jwk.New(far, jwk.Params{Algorithm: jwk.ES256})
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.Public()
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.WithValue(t.Context(), requestID{}, "17")
	s := newSigner(t, key, false)
	for _, f := range forms {
		far.asked = nil
		token, err := f.sign(s.WithContext(ctx), []byte("payload"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.verify(jws.Options{}, public, token, []byte("payload")); err != nil {
			t.Errorf("%s: %v", f.name, err)
		}
		if len(far.asked) != 1 || far.asked[0] != "17" || far.bytes != 32 {
			t.Errorf("%s: asked %q for %d bytes", f.name, far.asked, far.bytes)
		}
	}
	far.asked = nil
	token, err := s.SignContext(ctx, []byte("payload"))
	if err != nil {
		t.Fatal(err)
	}
	accept(t, public, token)
	if _, err := s.Sign(nil); err != nil { // the copy did not change it
		t.Error(err)
	}
	if len(far.asked) != 2 || far.asked[0] != "17" || far.asked[1] != "" {
		t.Errorf("asked %q", far.asked)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	for _, s := range []*jws.Signer{s, newSigner(t, newKey(t, jwk.HS256), false)} {
		for _, f := range forms {
			if token, err := f.sign(s.WithContext(ended), nil); !errors.Is(err, context.Canceled) || len(token) != 0 {
				t.Errorf("%s: %v", f.name, err)
			}
		}
	}
}

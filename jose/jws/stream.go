package jws

import (
	"encoding/base64"
	"io"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

// VerifyReader is [Options.VerifyReader] without options.
func VerifyReader(keys jwk.Source, token string, payload io.Reader) (*Message, error) {
	return Options{}.VerifyReader(keys, token, payload)
}

// VerifyReader is [Options.VerifyDetached] for a payload that is read to its end
// and not kept: the Message has neither Payload nor SigningInput. Nothing that was
// read is to be believed before VerifyReader has returned without error. A payload
// of any length will do, but for Ed25519, EdDSA and ML-DSA, which need the whole of
// it at once: then the error is [jwk.ErrNotStreamable] if the payload, encoded, is
// above [jwk.MaxWhole]. Errors of payload are returned as they are.
func (o Options) VerifyReader(keys jwk.Source, token string, payload io.Reader) (*Message, error) {
	d, err := o.parseDetached(token)
	if err != nil {
		return nil, err
	}
	return d.verifyReader(o, keys, payload)
}

// VerifyReaderJSON is [Options.VerifyReaderJSON] without options.
func VerifyReaderJSON(keys jwk.Source, data []byte, payload io.Reader) (*Message, error) {
	return Options{}.VerifyReaderJSON(keys, data, payload)
}

// VerifyReaderJSON is [Options.VerifyDetachedJSON] for a payload that is read as
// [Options.VerifyReader] does, once for all signatures.
func (o Options) VerifyReaderJSON(keys jwk.Source, data []byte, payload io.Reader) (*Message, error) {
	d, err := o.parseDetachedJSON(data)
	if err != nil {
		return nil, err
	}
	return d.verifyReader(o, keys, payload)
}

// verifyReader is verifyAny for a payload that goes by.
func (d *document) verifyReader(o Options, keys jwk.Source, payload io.Reader) (*Message, error) {
	d.streamed = true
	streams := make(streams, len(d.entries))
	for i, e := range d.entries {
		streams[i].open(keys, e)
	}
	if err := streams.copy(payload, d.unencoded()); err != nil {
		return nil, err
	}
	errs := make([]error, len(streams))
	for i := range streams {
		if errs[i] = streams[i].verify(o, d.entries[i]); errs[i] == nil {
			return d.message(i, streams[i].key), nil
		}
	}
	return nil, refusal(errs)
}

// A stream is a signature that waits for its payload.
type stream struct {
	key *jwk.Key
	in  *jwk.Stream
	err error // why it waits no more
}

// open finds the key of e and begins with the protected header.
func (s *stream) open(keys jwk.Source, e *entry) {
	if s.key, s.err = e.findKey(keys); s.err == nil {
		s.in = s.key.NewStream()
		_, s.err = io.WriteString(s.in, e.protected+".")
	}
}

func (s *stream) verify(o Options, e *entry) error {
	if s.err != nil {
		return s.err
	}
	if err := s.in.Verify(e.signature); err != nil {
		return err
	}
	if err := o.askCritical(e.header, e.critical); err != nil {
		return err
	}
	e.remember()
	return nil
}

// streams are the signatures that read one payload.
type streams []stream

// copy hands the payload to all of them. It reads no further when none is left.
func (s streams) copy(payload io.Reader, unencoded bool) error {
	if s.waiting() == 0 {
		return nil
	}
	err := copyPayload(s, payload, unencoded)
	if err != nil && s.waiting() == 0 {
		return nil // each has its own reason
	}
	return err
}

func (s streams) waiting() (n int) {
	for i := range s {
		if s[i].err == nil {
			n++
		}
	}
	return n
}

// Write implements [io.Writer]. It fails when nobody is left to write to.
func (s streams) Write(p []byte) (int, error) {
	for i := range s {
		if s[i].err == nil {
			_, s[i].err = s[i].in.Write(p)
		}
	}
	if s.waiting() == 0 {
		return 0, jwk.ErrNotStreamable
	}
	return len(p), nil
}

// copyPayload writes payload to w in the form in which it is signed.
func copyPayload(w io.Writer, payload io.Reader, unencoded bool) error {
	if unencoded {
		_, err := io.Copy(w, payload)
		return err
	}
	encoder := base64.NewEncoder(base64.RawURLEncoding, w)
	if _, err := io.Copy(encoder, payload); err != nil {
		return err
	}
	return encoder.Close()
}

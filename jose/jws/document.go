package jws

import (
	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// A document is a payload with one signature or several, in whatever form it came.
type document struct {
	entries  []*entry
	payload  []byte
	input    signingInput
	streamed bool // payload and input are not there
}

// unencoded reports whether the payload is signed as it is. All signatures agree.
func (d *document) unencoded() bool { return d.entries[0].unencoded }

// decode takes the payload as it stands in a token.
func (d *document) decode(segment string, check func(string) error) (err error) {
	if d.unencoded() {
		if err := check(segment); err != nil {
			return err
		}
		d.payload = []byte(segment)
	} else if d.payload, err = wire.Decode(segment); err != nil {
		return errEncoding
	}
	d.input = givenInput(d.longest(), segment)
	return nil
}

// attach takes the payload from the caller.
func (d *document) attach(payload []byte) {
	d.payload = payload
	d.input = newInput(d.longest(), payload, d.unencoded())
}

// longest returns the length of the longest protected header.
func (d *document) longest() (n int) {
	for _, e := range d.entries {
		n = max(n, len(e.protected))
	}
	return n
}

// verifyAny returns the message of the first signature that verifies.
func (d *document) verifyAny(o Options, keys jwk.Source) (*Message, error) {
	errs := make([]error, len(d.entries))
	for i := range d.entries {
		m, err := d.verify(o, keys, i)
		if err == nil {
			return m, nil
		}
		errs[i] = err
	}
	return nil, refusal(errs)
}

// verifyAll returns the messages of all signatures if all verify.
func (d *document) verifyAll(o Options, keys jwk.Source) ([]*Message, error) {
	errs := make([]error, len(d.entries))
	messages := make([]*Message, len(d.entries))
	refused := false
	for i := range d.entries {
		messages[i], errs[i] = d.verify(o, keys, i)
		refused = refused || errs[i] != nil
	}
	if refused {
		return nil, refusal(errs)
	}
	return messages, nil
}

// refusal is the error for signatures that were refused for errs.
func refusal(errs []error) error {
	if len(errs) == 1 {
		return errs[0]
	}
	return &SignaturesError{errs}
}

// verify checks signature i: key, signature, then what is critical to the
// application.
func (d *document) verify(o Options, keys jwk.Source, i int) (*Message, error) {
	e := d.entries[i]
	key, err := e.findKey(keys)
	if err != nil {
		return nil, err
	}
	if err := key.Verify(d.input.under(e.protected), e.signature); err != nil {
		return nil, err
	}
	if err := o.askCritical(e.header, e.critical); err != nil {
		return nil, err
	}
	e.remember()
	return d.message(i, key), nil
}

package jws

import "github.com/counterfoil/counterfoil/jose/jwk"

// VerifyJSON is [Options.VerifyJSON] without options.
func VerifyJSON(keys jwk.Source, data []byte) (*Message, error) {
	return Options{}.VerifyJSON(keys, data)
}

// VerifyJSON verifies a token in the JSON serialization, general or flattened (RFC
// 7515, Section 7.2). One good signature is enough; the Message tells which one by
// [Message.Index] and [Message.Key], and has its protected header and no other.
// Who wants each of several people to have signed calls VerifyJSON with the key of
// each: signatures can be taken away from a token, and one person can add two.
//
// A token has at most [MaxSignatures] signatures, [MaxPayload] bytes of payload
// and [MaxDocument] bytes in all. It is refused as a whole if it is not strict
// JSON or if anything in it has the wrong type or encoding, whichever signature is
// good. A "kid" may stand in the unprotected header. Errors are those of [Verify],
// in a [*SignaturesError] where there are several signatures; [ErrDetached] if
// there is no payload.
func (o Options) VerifyJSON(keys jwk.Source, data []byte) (*Message, error) {
	d, err := o.parseAttached(data)
	if err != nil {
		return nil, err
	}
	return d.verifyAny(o, keys)
}

// VerifyAll is [Options.VerifyAll] without options.
func VerifyAll(keys jwk.Source, data []byte) ([]*Message, error) {
	return Options{}.VerifyAll(keys, data)
}

// VerifyAll is [Options.VerifyJSON] for a token in which every signature must
// verify. It returns a Message for each, in their order. That there are as many as
// expected, and by different keys, is for the caller to see.
func (o Options) VerifyAll(keys jwk.Source, data []byte) ([]*Message, error) {
	d, err := o.parseAttached(data)
	if err != nil {
		return nil, err
	}
	return d.verifyAll(o, keys)
}

// parseAttached reads a document with its payload.
func (o Options) parseAttached(data []byte) (*document, error) {
	d, payload, err := o.parseJSON(data)
	switch {
	case err != nil:
		return nil, err
	case !payload.present:
		return nil, ErrDetached
	}
	if err := d.decode(payload.value, anyText); err != nil {
		return nil, err
	}
	if len(d.payload) > MaxPayload {
		return nil, ErrTooLarge
	}
	return d, nil
}

// anyText is all that a JSON string can be.
func anyText(string) error { return nil }

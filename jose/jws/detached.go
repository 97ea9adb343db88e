package jws

import "github.com/counterfoil/counterfoil/jose/jwk"

// VerifyDetached is [Options.VerifyDetached] without options.
func VerifyDetached(keys jwk.Source, token string, payload []byte) (*Message, error) {
	return Options{}.VerifyDetached(keys, token, payload)
}

// VerifyDetached verifies a compact token whose payload travels beside it: its
// middle part is empty (RFC 7515, Appendix F). A token with a payload of its own
// is refused. The Message has the caller's payload, which must not be changed.
func (o Options) VerifyDetached(keys jwk.Source, token string, payload []byte) (*Message, error) {
	d, err := o.parseDetached(token)
	if err != nil {
		return nil, err
	}
	d.attach(payload)
	return d.verifyAny(o, keys)
}

// parseDetached reads a compact token without its payload.
func (o Options) parseDetached(token string) (*document, error) {
	e, payload, err := o.parseCompact(token)
	if err != nil {
		return nil, err
	}
	if payload != "" {
		return nil, errNotDetached
	}
	return &document{entries: []*entry{e}}, nil
}

// VerifyDetachedJSON is [Options.VerifyDetachedJSON] without options.
func VerifyDetachedJSON(keys jwk.Source, data, payload []byte) (*Message, error) {
	return Options{}.VerifyDetachedJSON(keys, data, payload)
}

// VerifyDetachedJSON is [Options.VerifyJSON] for a token without the member
// "payload", which travels beside it.
func (o Options) VerifyDetachedJSON(keys jwk.Source, data, payload []byte) (*Message, error) {
	d, err := o.parseDetachedJSON(data)
	if err != nil {
		return nil, err
	}
	d.attach(payload)
	return d.verifyAny(o, keys)
}

// VerifyAllDetached is [Options.VerifyAllDetached] without options.
func VerifyAllDetached(keys jwk.Source, data, payload []byte) ([]*Message, error) {
	return Options{}.VerifyAllDetached(keys, data, payload)
}

// VerifyAllDetached is [Options.VerifyAll] for a token without the member
// "payload", which travels beside it.
func (o Options) VerifyAllDetached(keys jwk.Source, data, payload []byte) ([]*Message, error) {
	d, err := o.parseDetachedJSON(data)
	if err != nil {
		return nil, err
	}
	d.attach(payload)
	return d.verifyAll(o, keys)
}

// parseDetachedJSON reads a document that has no payload.
func (o Options) parseDetachedJSON(data []byte) (*document, error) {
	d, payload, err := o.parseJSON(data)
	if err != nil {
		return nil, err
	}
	if payload.present {
		return nil, errNotDetached
	}
	return d, nil
}

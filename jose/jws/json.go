package jws

import (
	"bytes"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
)

// Limits of the JSON serialization.
const (
	MaxDocument   = 2 << 20 // bytes of JSON
	MaxPayload    = 1 << 20 // bytes of payload in it; a detached one has no bound
	MaxSignatures = 16

	maxNames = 1 << 10 // members of all objects in it: each costs more than its bytes
)

// A jsonDocument is a JWS in the JSON serialization: with Signatures in its
// general form, with Protected, Header and Signature in its flattened one (RFC
// 7515, Section 7.2). Members with other names are passed over, as it demands.
type jsonDocument struct {
	Payload    text       `json:"payload"`
	Protected  text       `json:"protected"`
	Header     jsonHeader `json:"header"`
	Signature  text       `json:"signature"`
	Signatures jsonList   `json:"signatures"`
	Ciphertext presence   `json:"ciphertext"`
}

// A jsonMember is a signature with its headers.
type jsonMember struct {
	Protected text       `json:"protected"`
	Header    jsonHeader `json:"header"`
	Signature text       `json:"signature"`
}

// parseJSON reads a document but for its payload.
func (o Options) parseJSON(data []byte) (*document, text, error) {
	members, payload, err := readJSON(data)
	if err != nil {
		return nil, text{}, err
	}
	d := new(document)
	for _, m := range members {
		e, err := o.newEntry(m)
		if err != nil {
			return nil, text{}, err
		}
		// RFC 7797, Section 3: all signatures have the same "b64".
		if len(d.entries) > 0 && e.unencoded != d.unencoded() {
			return nil, text{}, errMixedEncoding
		}
		d.entries = append(d.entries, e)
	}
	return d, payload, nil
}

// readJSON returns the signatures and the payload of a document in either form.
func readJSON(data []byte) ([]jsonMember, text, error) {
	if len(data) > MaxDocument || countNames(data) > maxNames {
		return nil, text{}, ErrTooLarge
	}
	var d jsonDocument
	err := wire.Unmarshal(data, &d)
	switch {
	case d.Signatures.tooLarge || d.Header.tooLarge:
		return nil, text{}, ErrTooLarge
	case err != nil:
		return nil, text{}, errDocument
	case bool(d.Ciphertext): // RFC 7516, Section 9
		return nil, text{}, ErrEncrypted
	case !d.Signatures.present:
		return []jsonMember{{d.Protected, d.Header, d.Signature}}, d.Payload, nil
	case d.Protected.present || d.Header.members != nil || d.Signature.present:
		return nil, text{}, errBothForms
	case len(d.Signatures.members) == 0:
		return nil, text{}, errNoSignatures
	}
	return d.Signatures.members, d.Payload, nil
}

// countNames returns how many members the objects in data have, or more. It looks
// closer only where there are that many colons at all.
func countNames(data []byte) (n int) {
	if n = bytes.Count(data, []byte{':'}); n <= maxNames {
		return n
	}
	n = 0
	quoted := false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case quoted && c == '\\':
			i++ // whatever is escaped, it does not end the string
		case c == '"':
			quoted = !quoted
		case c == ':' && !quoted:
			n++
		}
	}
	return n
}

// protected returns the members of the protected header, none if it is absent.
func (m *jsonMember) protected() (map[string]jsontext.Value, error) {
	if !m.Protected.present {
		return map[string]jsontext.Value{}, nil
	}
	members, err := parseMembers(m.Protected.value)
	if err == nil && len(members) == 0 {
		return nil, errEmptyHeader // RFC 7515, Section 7.2.1: it must be absent then
	}
	return members, err
}

// disjoint refuses unprotected parameters that are protected ones too (RFC 7515,
// Section 7.2.1), or that must be protected: "crit" (Section 4.1.11) and "b64"
// (RFC 7797, Section 3).
func disjoint(protected, unprotected map[string]jsontext.Value) error {
	if has(unprotected, "crit") || has(unprotected, "b64") {
		return ErrCritical
	}
	for name := range unprotected {
		if has(protected, name) {
			return errOverlap
		}
	}
	return nil
}

// A text is a JSON string, or absent.
type text struct {
	value   string
	present bool
}

// UnmarshalJSONFrom implements [json.UnmarshalerFrom]. No other value, null
// among them, is a string.
func (t *text) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	v, err := dec.ReadValue()
	if err != nil {
		return err
	}
	if v.Kind() != '"' {
		return errDocument
	}
	t.present = true
	if bytes.IndexByte(v, '\\') < 0 {
		t.value = string(v[1 : len(v)-1])
		return nil
	}
	s, err := jsontext.AppendUnquote(nil, v)
	t.value = string(s)
	return err
}

// A jsonHeader is an unprotected header, or absent.
type jsonHeader struct {
	members  map[string]jsontext.Value
	tooLarge bool
}

// UnmarshalJSONFrom implements [json.UnmarshalerFrom].
func (h *jsonHeader) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	v, err := dec.ReadValue()
	if err != nil {
		return err
	}
	if h.tooLarge = len(v) > MaxHeader; h.tooLarge {
		return ErrTooLarge
	}
	if err := wire.Unmarshal(v, &h.members); err != nil {
		return err
	}
	if len(h.members) == 0 { // RFC 7515, Section 7.2.1: it must be absent then
		return errEmptyHeader
	}
	return nil
}

// A jsonList is the array "signatures", or absent.
type jsonList struct {
	members  []jsonMember
	present  bool
	tooLarge bool
}

// UnmarshalJSONFrom implements [json.UnmarshalerFrom]. It stops at the first
// signature that is too many.
func (l *jsonList) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	start, err := dec.ReadToken()
	if err != nil {
		return err
	}
	if start.Kind() != '[' {
		return errDocument
	}
	l.present = true
	for dec.PeekKind() != ']' {
		if l.tooLarge = len(l.members) == MaxSignatures; l.tooLarge {
			return ErrTooLarge
		}
		var m jsonMember
		if err := json.UnmarshalDecode(dec, &m); err != nil {
			l.tooLarge = m.Header.tooLarge
			return err
		}
		l.members = append(l.members, m)
	}
	_, err = dec.ReadToken()
	return err
}

// A presence says whether a member is there.
type presence bool

// UnmarshalJSONFrom implements [json.UnmarshalerFrom].
func (p *presence) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	*p = true
	return dec.SkipValue()
}

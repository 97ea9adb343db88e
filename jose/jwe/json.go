package jwe

import (
	"bytes"
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// DecryptJSON opens a JWE in the flattened or the general JSON serialization (RFC
// 7516, Section 7.2), as the first of its recipients for whom keys has a key and
// for whom it opens. Errors are those of [Decrypt].
//
// The algorithms may stand in headers that are not protected: the policy pins them
// wherever they stand. What changes the content ("zip"), and "crit", must be
// protected, and no parameter may be in two headers.
func DecryptJSON(keys jwk.Source, p Policy, data []byte) (*Message, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	d, err := parseDocument(data)
	if err != nil {
		return nil, err
	}
	found, err := d.candidates(keys, &p)
	if err != nil {
		return nil, err
	}
	for _, c := range found {
		plaintext, openErr := d.open(c.key, &p, d.recipients[c.index])
		if openErr == nil {
			return d.message(c, plaintext)
		}
		// What says something about the key or the application is said; that
		// another recipient's part does not open is no more than that.
		if err = openErr; !errors.Is(err, ErrDecrypt) {
			return nil, err
		}
	}
	return nil, err
}

// A document is a JWE in one of the JSON serializations.
type document struct {
	body
	recipients []recipient
}

// A candidate is a recipient for whom we have a key.
type candidate struct {
	index int
	key   *jwk.Key
}

func (d *document) message(c candidate, plaintext []byte) (*Message, error) {
	o := &opened{plaintext: plaintext}
	m := &Message{header: d.recipients[c.index].protected(), hidden: &hidden{o}, key: c.key, index: c.index}
	if d.aad == "" {
		return m, nil
	}
	var err error
	o.aad, err = wire.Decode(d.aad)
	return m, err
}

// candidates returns the recipients to try. All that is refused is refused here,
// before the first operation with a key, and the sum of the work has a bound: each
// recipient is one more operation that somebody else has ordered.
func (d *document) candidates(keys jwk.Source, p *Policy) (found []candidate, err error) {
	iterations := 0
	err = ErrAlgorithm
	for i, r := range d.recipients {
		if checkErr := r.check(p); checkErr != nil {
			if !errors.Is(checkErr, jwk.ErrAlgorithm) {
				return nil, checkErr
			}
			continue // for somebody with another kind of key
		}
		key, findErr := r.find(keys)
		if findErr != nil {
			err = findErr
			continue
		}
		found = append(found, candidate{i, key})
		iterations += r.wrapped.P2C
	}
	switch {
	case len(found) == 0:
		return nil, d.explain(err)
	case len(found) > maxAttempts:
		return nil, malformed("too many recipients with the same key")
	case iterations > p.MaxIterations:
		return nil, ErrIterations
	}
	return found, nil
}

// explain gives the reason of the only recipient in its own words.
func (d *document) explain(err error) error {
	if len(d.recipients) == 1 && d.recipients[0].Algorithm == "RSA1_5" {
		return errRSA15
	}
	return err
}

// documentJSON has the members of both serializations; unknown ones are passed
// over (RFC 7516, Section 7.2).
type documentJSON struct {
	Protected    jsontext.Value `json:"protected"`
	Unprotected  jsontext.Value `json:"unprotected"`
	Recipients   jsontext.Value `json:"recipients"`
	Header       jsontext.Value `json:"header"`
	EncryptedKey jsontext.Value `json:"encrypted_key"`
	AAD          jsontext.Value `json:"aad"`
	IV           jsontext.Value `json:"iv"`
	Ciphertext   jsontext.Value `json:"ciphertext"`
	Tag          jsontext.Value `json:"tag"`
}

type recipientJSON struct {
	Header       jsontext.Value `json:"header"`
	EncryptedKey jsontext.Value `json:"encrypted_key"`
}

// recipientsJSON is the array "recipients", of which no more than [MaxRecipients]
// elements are read.
type recipientsJSON []recipientJSON

// UnmarshalJSONFrom implements [json.UnmarshalerFrom].
func (r *recipientsJSON) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() != '[' {
		return malformed("recipients")
	}
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	for dec.PeekKind() != ']' {
		if len(*r) == MaxRecipients {
			return malformed("too many recipients")
		}
		var one recipientJSON
		if dec.PeekKind() != '{' {
			return malformed("recipients")
		}
		if err := json.UnmarshalDecode(dec, &one); err != nil {
			return err
		}
		*r = append(*r, one)
	}
	_, err := dec.ReadToken()
	return err
}

// parseDocument reads either serialization.
func parseDocument(data []byte) (*document, error) {
	if len(data) > MaxToken {
		return nil, errTokenSize
	}
	var w documentJSON
	if wire.Unmarshal(data, &w) != nil {
		return nil, malformed("not a JWE in JSON")
	}
	list, err := w.list()
	if err != nil {
		return nil, err
	}
	d := new(document)
	if d.body, err = w.body(); err != nil {
		return nil, err
	}
	return d, d.read(list, w.Unprotected)
}

// body returns what all recipients share. A value that is empty is left out (RFC
// 7516, Section 7.2.1), except that there is always a ciphertext.
func (w *documentJSON) body() (b body, err error) {
	for _, f := range [...]struct {
		name  string
		value jsontext.Value
		to    *string
	}{
		{"protected", w.Protected, &b.protected}, {"aad", w.AAD, &b.aad}, {"iv", w.IV, &b.iv},
		{"ciphertext", w.Ciphertext, &b.text}, {"tag", w.Tag, &b.tag},
	} {
		if err := readString(f.name, f.value, f.to); err != nil {
			return b, err
		}
	}
	if w.Ciphertext == nil || w.Protected != nil && b.protected == "" || w.AAD != nil && b.aad == "" {
		return b, malformed("protected, aad or ciphertext")
	}
	if _, err := wire.Decode(b.aad); err != nil {
		return b, malformed("aad")
	}
	return b, nil
}

// list returns the recipients: those of the general serialization, or the one of
// the flattened.
func (w *documentJSON) list() ([]recipientJSON, error) {
	if w.Recipients == nil {
		return []recipientJSON{{w.Header, w.EncryptedKey}}, nil
	}
	var several recipientsJSON
	if wire.Unmarshal(w.Recipients, &several) != nil || len(several) == 0 {
		return nil, malformed("recipients")
	}
	if w.Header != nil || w.EncryptedKey != nil { // of both at once
		return nil, malformed("recipients beside header or encrypted_key")
	}
	return several, nil
}

// readString reads a member that is a string; absent, it stays empty.
func readString(name string, value jsontext.Value, to *string) error {
	if value == nil {
		return nil
	}
	if value.Kind() != '"' {
		return malformed(name)
	}
	s, err := jsontext.AppendUnquote(nil, value)
	*to = string(s)
	return err
}

// read makes the JOSE header of each recipient.
func (d *document) read(list []recipientJSON, unprotected jsontext.Value) error {
	h, err := readCommon(d.protected, unprotected)
	if err != nil {
		return err
	}
	for _, one := range list {
		r, err := h.recipient(one)
		if err != nil {
			return err
		}
		d.recipients = append(d.recipients, r)
	}
	return d.agree()
}

// A common is the two headers that all recipients have. They are read once, so
// that a long header costs no more where there are many recipients.
type common struct {
	protected, shared wire.Object
	known             joseHeader  // of both
	own               wire.Object // of the recipient at hand
	safe              params      // what the protected one says by itself
	n                 int         // parameters so far, in all headers
}

func readCommon(protected string, unprotected jsontext.Value) (*common, error) {
	h := new(common)
	if protected != "" {
		text, err := decodeHeader(protected)
		if err != nil {
			return nil, err
		}
		if err := parseHeader(&h.protected, text); err != nil {
			return nil, err
		}
	}
	if unprotected != nil {
		if err := parseHeader(&h.shared, string(unprotected)); err != nil {
			return nil, err
		}
	}
	if err := checkUnprotected(&h.shared, &h.protected); err != nil {
		return nil, err
	}
	h.n = h.protected.Len() + h.shared.Len()
	h.known.add(&h.protected)
	if err := h.safe.fields(&h.known); err != nil {
		return nil, err
	}
	if err := h.safe.protect(&h.protected, &h.known); err != nil {
		return nil, err
	}
	h.known.add(&h.shared)
	return h, nil
}

// agree checks what must be the same for all recipients (RFC 7516, Section
// 7.2.1), and that a key that is not wrapped has one holder.
func (d *document) agree() error {
	if len(d.recipients) == 1 {
		return nil
	}
	for _, r := range d.recipients {
		if r.Encryption != d.recipients[0].Encryption {
			return malformed("recipients with different enc")
		}
		if r.Algorithm == jwk.Dir || r.Algorithm == jwk.ECDHES || r.Algorithm.Integrated() {
			return malformed("direct encryption for several recipients")
		}
	}
	return nil
}

// recipient makes the JOSE header of one recipient: the union of three, of which
// the first alone is protected.
func (h *common) recipient(one recipientJSON) (r recipient, err error) {
	if err := readString("encrypted_key", one.EncryptedKey, &r.encryptedKey); err != nil {
		return r, err
	}
	h.own.Reset()
	if one.Header != nil {
		if err := parseHeader(&h.own, string(one.Header)); err != nil {
			return r, err
		}
	}
	if h.n += h.own.Len(); h.n > maxParameters {
		return r, malformed("too many header parameters")
	}
	if err := checkUnprotected(&h.own, &h.protected, &h.shared); err != nil {
		return r, err
	}
	all := h.known
	all.add(&h.own)
	r.params = &params{zip: h.safe.zip, critical: h.safe.critical, safe: &h.safe.Header}
	if err := r.read(&all); err != nil {
		return r, err
	}
	if r.Algorithm.Integrated() && !h.protected.Has("alg") {
		return r, malformed("alg is not protected")
	}
	return r, nil
}

// checkUnprotected refuses a parameter that is in one of the other headers too (RFC
// 7516, Section 7.2.1), and those that must be protected.
func checkUnprotected(header *wire.Object, others ...*wire.Object) error {
	for i := range header.Len() {
		name, _ := header.At(i)
		if name == "zip" || name == "crit" {
			return malformed(name + " is not protected")
		}
		for _, other := range others {
			if other.Has(name) {
				return malformed("parameter in two headers")
			}
		}
	}
	return nil
}

// EncryptJSON returns plaintext in the JSON serialization for the keys of the
// recipients: flattened for one, with everything protected, and else general. The
// aad is protected and not secret; empty is none. Recipients of one message must
// agree on everything in their headers but "alg", "kid" and what belongs to the
// key; a key for [jwk.Dir] or [jwk.ECDHES] stands alone. The errors are those of
// [Encrypter.Encrypt].
func EncryptJSON(plaintext, aad []byte, recipients ...*Encrypter) ([]byte, error) {
	return encryptJSON(plaintext, aad, recipients, false)
}

// EncryptGeneral is [EncryptJSON] in the general serialization also for one
// recipient, for readers that know no other.
func EncryptGeneral(plaintext, aad []byte, recipients ...*Encrypter) ([]byte, error) {
	return encryptJSON(plaintext, aad, recipients, true)
}

func encryptJSON(plaintext, aad []byte, recipients []*Encrypter, list bool) ([]byte, error) {
	if err := checkRecipients(recipients); err != nil {
		return nil, err
	}
	if len(plaintext)+len(aad) > MaxToken {
		return nil, errTooLarge
	}
	if len(recipients) == 1 {
		return recipients[0].alone(plaintext, aad, list)
	}
	return general(plaintext, aad, recipients)
}

func checkRecipients(recipients []*Encrypter) error {
	if len(recipients) == 0 || len(recipients) > MaxRecipients {
		return errors.New("jwe: no recipients, or too many")
	}
	for _, e := range recipients {
		switch {
		case e == nil || e.key == nil:
			return errors.New("jwe: recipient without a key")
		case len(recipients) > 1 && e.key.Direct():
			return errors.New("jwe: a key that is not wrapped is for one recipient")
		case !bytes.Equal(e.shared, recipients[0].shared):
			return errors.New("jwe: recipients whose headers differ")
		}
	}
	return nil
}

// alone makes the serialization of RFC 7516, Section 7.2.2, or of Section 7.2.1
// with a list of one. Everything is protected.
func (e *Encrypter) alone(plaintext, aad []byte, list bool) ([]byte, error) {
	w, cek, err := e.newKey()
	if err != nil {
		return nil, err
	}
	header, err := e.encodeHeader(nil, nil, w)
	if err != nil {
		return nil, err
	}
	out := appendEncoded([]byte{'{'}, "protected", nil, header)
	return e.appendContent(out, w, list, cek, plaintext, header, aad)
}

// general makes the serialization of RFC 7516, Section 7.2.1.
func general(plaintext, aad []byte, recipients []*Encrypter) ([]byte, error) {
	first := recipients[0]
	header := wire.AppendEncode(nil, append(append([]byte{'{'}, first.shared...), '}'))
	out := appendEncoded([]byte{'{'}, "protected", nil, header)
	cek := freshKey(first.header.Encryption)
	out = append(appendName(out, "recipients"), '[')
	for i, e := range recipients {
		if i > 0 {
			out = append(out, ',')
		}
		w, err := e.key.WrapKey(cek, e.wrap)
		if err != nil {
			return nil, err
		}
		own := append(appendWrapped(append([]byte{'{'}, e.own...), w), '}')
		if len(own) > MaxHeader {
			return nil, errTooLarge
		}
		out = append(appendName(append(out, '{'), "header"), own...)
		out = append(appendEncoded(out, "encrypted_key", w.Key, nil), '}')
	}
	return first.appendContent(append(out, ']'), jwk.Wrapped{}, false, cek, plaintext, header, aad)
}

// appendContent encrypts plaintext and ends the object. Of w it takes the key of
// the only recipient, who may stand in a list. Parts that are empty are left out
// (RFC 7516, Section 7.2.1).
func (e *Encrypter) appendContent(out []byte, w jwk.Wrapped, list bool, cek, plaintext, header, aad []byte) ([]byte, error) {
	s := scratches.Get().(*scratch)
	defer s.release()
	s.aad = append(s.aad[:0], header...)
	if len(aad) > 0 {
		s.aad = wire.AppendEncode(append(s.aad, '.'), aad)
		out = appendEncoded(out, "aad", aad, nil)
	}
	if err := e.seal(s, &w, cek, plaintext, s.aad); err != nil {
		return nil, err
	}
	if list {
		out = append(appendName(out, "recipients"), "[{"...)
	}
	out = appendPart(out, "encrypted_key", w.Key)
	if list {
		out = append(out, "}]"...)
	}
	iv, text, tag := e.suite.Split(s.sealed)
	out = appendPart(appendPart(out, "iv", iv), "tag", tag)
	out = append(appendEncoded(out, "ciphertext", text, nil), '}')
	if len(out) > MaxToken {
		return nil, errTooLarge
	}
	return out, nil
}

// appendPart appends a member unless its value is empty.
func appendPart(out []byte, name string, value []byte) []byte {
	if len(value) == 0 {
		return out
	}
	return appendEncoded(out, name, value, nil)
}

// appendEncoded appends a member: value in base64url, then what is encoded
// already.
func appendEncoded(out []byte, name string, value, encoded []byte) []byte {
	out = append(appendName(out, name), '"')
	out = append(wire.AppendEncode(out, value), encoded...)
	return append(out, '"')
}

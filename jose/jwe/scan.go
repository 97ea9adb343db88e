package jwe

import (
	"strconv"
	"strings"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// A scanner reads the header that nearly every sender writes: an object without
// white space, whose members are known and are strings without escapes, a number,
// or an "epk" of such strings. Where a header belongs to one message alone, reading
// it as JSON in general would take longer than decrypting the message.
//
// Whatever a scanner does not take is left to the general way, which alone decides
// what is refused: a scanner says yes or nothing.
type scanner struct {
	data string // what is still to be read
	seen uint16 // a bit for each name, since none may come twice
}

// scanHeader returns the parameters in the JSON of a protected header, or false.
func scanHeader(data []byte) (*params, bool) {
	s, p := scanner{data: string(data)}, new(params) // one copy, of which the members are parts
	if !s.take('{') {
		return nil, false
	}
	for {
		name, ok := s.text()
		if !ok || !s.take(':') || !s.member(p, name) {
			return nil, false
		}
		if s.take(',') {
			continue
		}
		if !s.take('}') || len(s.data) > 0 || len(p.KeyID) > jwk.MaxKeyID {
			return nil, false
		}
		p.APU, p.APV, p.Iterations = p.wrapped.APU, p.wrapped.APV, p.wrapped.P2C
		return p, p.checkPassword() == nil && !strings.HasPrefix(string(p.Algorithm), "HPKE-")
	}
}

// member reads the value of a member.
func (s *scanner) member(p *params, name string) bool {
	w := &p.wrapped
	switch name {
	case "alg":
		return s.string(0, (*string)(&p.Algorithm))
	case "enc":
		return s.string(1, (*string)(&p.Encryption))
	case "kid":
		return s.string(2, &p.KeyID)
	case "typ":
		return s.string(3, &p.Type)
	case "cty":
		return s.string(4, &p.ContentType)
	case "iv":
		return s.bytes(5, &w.IV)
	case "tag":
		return s.bytes(6, &w.Tag)
	case "apu":
		return s.bytes(7, &w.APU)
	case "apv":
		return s.bytes(8, &w.APV)
	case "p2s":
		return s.bytes(9, &w.P2S)
	case "p2c":
		return s.count(10, &w.P2C)
	case "epk":
		return s.object(11, w)
	}
	return false
}

// first reports whether a member comes for the first time.
func (s *scanner) first(bit uint) bool {
	fresh := s.seen&(1<<bit) == 0
	s.seen |= 1 << bit
	return fresh
}

func (s *scanner) take(c byte) bool {
	if len(s.data) == 0 || s.data[0] != c {
		return false
	}
	s.data = s.data[1:]
	return true
}

// text reads a string of printable ASCII without escapes.
func (s *scanner) text() (string, bool) {
	if !s.take('"') {
		return "", false
	}
	for i := range len(s.data) {
		switch c := s.data[i]; {
		case c == '"':
			text := s.data[:i]
			s.data = s.data[i+1:]
			return text, true
		case c < ' ' || c > '~' || c == '\\':
			return "", false
		}
	}
	return "", false
}

func (s *scanner) string(bit uint, to *string) bool {
	text, ok := s.text()
	*to = text
	return ok && s.first(bit)
}

// bytes reads base64url that is not empty.
func (s *scanner) bytes(bit uint, to *[]byte) bool {
	text, ok := s.text()
	if !ok || len(text) == 0 || !s.first(bit) {
		return false
	}
	var err error
	*to, err = wire.Decode(text)
	return err == nil
}

// count reads a number of decimal digits.
func (s *scanner) count(bit uint, to *int) bool {
	n := 0
	for n < len(s.data) && '0' <= s.data[n] && s.data[n] <= '9' {
		n++
	}
	value, err := strconv.ParseUint(s.data[:n], 10, 31)
	if err != nil || n > 1 && s.data[0] == '0' || !s.first(bit) {
		return false
	}
	s.data = s.data[n:]
	*to = int(value)
	return true
}

// object reads an ephemeral key of the members that one has, and leaves what they
// mean to package jwk.
func (s *scanner) object(bit uint, w *jwk.Wrapped) bool {
	start := s.data
	if !s.first(bit) || !s.take('{') {
		return false
	}
	for {
		name, ok := s.text()
		if !ok || !s.take(':') || !s.coordinate(name) {
			return false
		}
		if s.take(',') {
			continue
		}
		if !s.take('}') {
			return false
		}
		w.EPK = []byte(start[:len(start)-len(s.data)])
		return true
	}
}

func (s *scanner) coordinate(name string) bool {
	bit := uint(12)
	switch name {
	case "kty":
	case "crv":
		bit = 13
	case "x":
		bit = 14
	case "y":
		bit = 15
	default:
		return false
	}
	_, ok := s.text()
	return ok && s.first(bit)
}

package oauth

import (
	"errors"
	"strings"
)

// Errors of [ParseBearer].
var (
	ErrNoBearer  = errors.New("no bearer token")                         // no header
	ErrScheme    = errors.New("authorization of another scheme")         // not Bearer
	ErrManyTimes = errors.New("more than one Authorization header")      // two are never one request
	ErrBearer    = errors.New("not one scheme, one space and one token") // of scheme Bearer, and malformed
)

// ParseBearer reads the values of a request's Authorization header as RFC 6750,
// Section 2.1 says: exactly one, the scheme in any case, one space, one token.
func ParseBearer(values []string) (token string, err error) {
	switch len(values) {
	case 0:
		return "", ErrNoBearer
	case 1:
	default:
		return "", ErrManyTimes
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	switch {
	case !strings.EqualFold(scheme, Bearer):
		return "", ErrScheme
	case token == "" || strings.ContainsAny(token, " \t,"):
		return "", ErrBearer
	}
	return token, nil
}

// CookieValue finds the cookie with exactly that name in the values of a
// request's Cookie header, and says how many of them there are: of two, one was
// set by somebody else, and the caller refuses both.
//
// net/http is not asked, since it cuts spaces off a name: a browser that keeps
// them sees no prefix such as __Host- in such a name, and lets anybody set it. And
// it passes over a second cookie whose value it does not like.
func CookieValue(headers []string, name string) (value string, n int) {
	for _, line := range headers {
		for pair := range strings.SplitSeq(line, ";") {
			if v, ok := strings.CutPrefix(strings.TrimPrefix(pair, " "), name+"="); ok {
				value, n = v, n+1
			}
		}
	}
	return value, n
}

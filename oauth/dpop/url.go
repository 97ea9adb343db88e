package dpop

import (
	"net/url"
	"strings"
)

// normalize returns an http or https URL without query and fragment, in the one
// form that RFC 3986, Sections 6.2.2 and 6.2.3 give to all its spellings (RFC
// 9449, Section 4.3). A URL with a user in it is none.
func normalize(text string) (string, bool) {
	u, err := url.Parse(text)
	if err != nil || u.User != nil || u.Opaque != "" || u.Hostname() == "" {
		return "", false
	}
	standard, ok := map[string]string{"http": "80", "https": "443"}[u.Scheme] // which Parse has put into lower case
	if !ok {
		return "", false
	}
	host := strings.Map(lower, u.Host)
	if port := u.Port(); port == "" || port == standard {
		host = strings.TrimSuffix(strings.TrimSuffix(host, port), ":")
	}
	return u.Scheme + "://" + host + removeDots(normalizeEscapes(u.EscapedPath())), true
}

// lower knows ASCII only: in Unicode U+212A becomes a k as well.
func lower(c rune) rune {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// removeDots takes "." and ".." out of an absolute or empty path (RFC 3986, Section
// 5.2.4).
func removeDots(path string) string {
	kept := []string{""} // before the first slash
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, s := range segments {
		dots := s == "." || s == ".."
		if s == ".." && len(kept) > 1 {
			kept = kept[:len(kept)-1]
		}
		switch last := i == len(segments)-1; {
		case !dots:
			kept = append(kept, s)
		case last:
			kept = append(kept, "")
		}
	}
	return strings.Join(kept, "/")
}

// normalizeEscapes undoes the escapes of characters that need none, and writes
// the others in upper case. The escapes of path are well formed.
func normalizeEscapes(path string) string {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] != '%' {
			b.WriteByte(path[i])
			continue
		}
		if c := unhex(path[i+1])<<4 | unhex(path[i+2]); unreserved(c) {
			b.WriteByte(c)
		} else {
			b.WriteString(strings.ToUpper(path[i : i+3]))
		}
		i += 2
	}
	return b.String()
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}

// unreserved are the characters of RFC 3986, Section 2.3.
func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

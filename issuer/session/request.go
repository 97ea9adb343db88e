package session

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/oauth"
)

// maxBody bounds the body of every request here, in bytes: two tokens of the
// largest size do not fit, one of any real size does.
const maxBody = 20 << 10

const formType = "application/x-www-form-urlencoded"

func badRequest(description string) *serve.Error {
	return &serve.Error{Status: http.StatusBadRequest, Code: oauth.InvalidRequest, Description: description}
}

func mediaType(r *http.Request) string {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return media
}

// readForm reads the parameters of a form body (RFC 6749, Section 3.2): one that
// is sent twice is refused, one that is sent empty was not sent.
func readForm(w http.ResponseWriter, r *http.Request) (map[string]string, error) {
	if mediaType(r) != formType {
		return nil, &serve.Error{
			Status: http.StatusUnsupportedMediaType, Code: oauth.InvalidRequest,
			Description: "the body must be " + formType,
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, tooBig := errors.AsType[*http.MaxBytesError](err); tooBig {
		return nil, &serve.Error{
			Status: http.StatusRequestEntityTooLarge, Code: oauth.InvalidRequest, Description: "the body is too large",
		}
	}
	if err != nil {
		return nil, badRequest("the body ended early")
	}
	return parseForm(string(body))
}

func parseForm(body string) (map[string]string, error) {
	values, err := url.ParseQuery(body)
	if err != nil {
		return nil, badRequest("the body is not a form")
	}
	form := make(map[string]string, len(values))
	for name, v := range values {
		if len(v) != 1 {
			return nil, badRequest("a parameter was sent twice")
		}
		if v[0] != "" {
			form[name] = v[0]
		}
	}
	return form, nil
}

// secretParameters must never stand in a URL, which is written into histories
// and logs (RFC 6750, Section 5.3).
var secretParameters = []string{"access_token", "refresh_token", "token", "password", "username"}

// noSecretInURL refuses a request whose query holds what belongs into the body.
func noSecretInURL(r *http.Request) error {
	if r.URL.RawQuery == "" {
		return nil
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return badRequest("the query is malformed")
	}
	for _, name := range secretParameters {
		if query.Has(name) {
			return badRequest("credentials belong into the body, never into the URL")
		}
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return badRequest("parameters belong into the body")
	}
	return nil
}

// bearer returns the token of the Authorization header, or "" when there is no
// such header: exactly one header, the scheme in any case, one space, one token
// (RFC 9110, Section 11.4; RFC 6750, Section 2.1).
func bearer(r *http.Request) (string, error) {
	token, err := oauth.ParseBearer(r.Header.Values("Authorization"))
	switch {
	case errors.Is(err, oauth.ErrNoBearer):
		return "", nil
	case err != nil:
		return "", badRequest("the Authorization header must be Bearer and one token")
	}
	return token, nil
}

// localPath returns path if it leads to this host and to nowhere else, or "".
func localPath(path string) string {
	if len(path) > maxNext || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") {
		return ""
	}
	// Browsers read a backslash as a slash and skip tabs and newlines.
	if strings.ContainsFunc(path, func(r rune) bool { return r <= ' ' || r == '\\' || r >= 0x7f }) {
		return ""
	}
	if u, err := url.Parse(path); err != nil || u.Host != "" || u.Scheme != "" {
		return ""
	}
	return path
}

// maxNext bounds the path to return to after sign-in, in bytes.
const maxNext = 1024

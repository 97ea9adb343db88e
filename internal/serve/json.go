package serve

import (
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/counterfoil/counterfoil/internal/wire"
)

// WriteJSON answers with v as JSON. It fails when v cannot be encoded, before
// anything is written, or when the client is gone.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	body, err := wire.Marshal(v)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, err = w.Write(append(body, '\n'))
	return err
}

// ReadBody reads a request body of at most limit bytes. Its errors are of type
// [*Error]: 415 for another content type than media, 413 above the limit, and 408
// for a body that did not arrive whole, by a lost connection or by the time limit of
// the server: it may be sent again (RFC 9110, Section 15.5.9).
func ReadBody(w http.ResponseWriter, r *http.Request, media string, limit int64) ([]byte, error) {
	got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || got != media {
		return nil, invalid(http.StatusUnsupportedMediaType, "the body must be "+media)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if _, tooBig := errors.AsType[*http.MaxBytesError](err); tooBig {
		return nil, invalid(http.StatusRequestEntityTooLarge, "the body is too large")
	}
	if err != nil {
		return nil, invalid(http.StatusRequestTimeout, "the body ended early")
	}
	return body, nil
}

// ReadJSON reads a request body of at most limit bytes into v, strictly:
// duplicate names, names that differ in case, invalid UTF-8 and anything after
// the value are refused; members that v does not know are not. Its errors are those
// of [ReadBody], and 400 for a body that is not such JSON.
func ReadJSON(w http.ResponseWriter, r *http.Request, limit int64, v any) error {
	body, err := ReadBody(w, r, "application/json", limit)
	if err != nil {
		return err
	}
	// The decoder's error may quote the body, and the body may hold a password:
	// it is neither sent nor kept as a cause.
	if err := wire.Unmarshal(body, v); err != nil {
		return invalid(http.StatusBadRequest, "the body is not the JSON object that this endpoint takes")
	}
	return nil
}

func invalid(status int, description string) *Error {
	return &Error{Status: status, Code: "invalid_request", Description: description}
}

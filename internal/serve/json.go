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

// ReadJSON reads a request body of at most limit bytes into v, strictly:
// duplicate names, names that differ in case, invalid UTF-8 and anything after
// the value are refused; members that v does not know are not. Its errors are of
// type [*Error]: 415 for another content type, 413 above the limit, 400 otherwise.
func ReadJSON(w http.ResponseWriter, r *http.Request, limit int64, v any) error {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return &Error{
			Status: http.StatusUnsupportedMediaType, Code: "invalid_request",
			Description: "the body must be application/json",
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if _, tooBig := errors.AsType[*http.MaxBytesError](err); tooBig {
		return &Error{
			Status: http.StatusRequestEntityTooLarge, Code: "invalid_request",
			Description: "the body is too large",
		}
	}
	if err != nil {
		return &Error{Status: http.StatusBadRequest, Code: "invalid_request", Description: "the body ended early"}
	}
	// The decoder's error may quote the body, and the body may hold a password:
	// it is neither sent nor kept as a cause.
	if err := wire.Unmarshal(body, v); err != nil {
		return &Error{
			Status: http.StatusBadRequest, Code: "invalid_request",
			Description: "the body is not the JSON object that this endpoint takes",
		}
	}
	return nil
}

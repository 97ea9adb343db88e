package jwe

import (
	"bytes"
	"compress/flate"
	"io"
)

// inflate undoes DEFLATE (RFC 1951), of which the whole of data must be one
// stream: ended, with no wrapper around it and nothing after it. More than
// [MaxInflated] bytes are not read. The error is [ErrDecrypt].
func inflate(data []byte) ([]byte, error) {
	in := bytes.NewReader(data)
	r := flate.NewReader(in) // takes single bytes from in, and none beyond the end
	defer r.Close()
	plaintext, err := io.ReadAll(io.LimitReader(r, MaxInflated+1))
	if err != nil || in.Len() != 0 || len(plaintext) > MaxInflated {
		return nil, ErrDecrypt
	}
	return plaintext, nil
}

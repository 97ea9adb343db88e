// Package wire reads and writes the two encodings under everything else: base64url
// and JSON. It accepts one spelling of each value, where the ordinary decoders
// accept many.
//
//	payload, err := wire.Decode(segment)
//	err = wire.Unmarshal(payload, &claims)
//
// No error repeats what was read. Size is the caller's to bound, before calling.
package wire

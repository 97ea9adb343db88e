package web

import (
	"crypto/sha256"
	"encoding/base64"
)

// HashSource is how a policy names a style sheet (CSP Level 3, Section 2.3.1).
func HashSource(style string) string {
	sum := sha256.Sum256([]byte(style))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

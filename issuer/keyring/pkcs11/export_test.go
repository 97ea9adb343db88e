//go:build pkcs11 && cgo

package pkcs11

import "time"

// AllowRestart lets the module of t be initialized again at once.
func AllowRestart(t *Token) {
	t.module.calls.Lock()
	defer t.module.calls.Unlock()
	t.module.restarted = time.Time{}
}

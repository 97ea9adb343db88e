package guard_test

import (
	"testing"

	"github.com/counterfoil/counterfoil/guard"
	"github.com/counterfoil/counterfoil/issuertest"
)

// A proxy that appends passes the client's own word on in front of its own, and
// the first one would make a mutation from another site look safe.
func TestThreat108ForwardedTwice(t *testing.T) {
	iss := issuertest.New(t)
	h := oneGuard(t, iss, guard.Config{})
	token := iss.Mint(t, nil)
	for name, first := range map[string]string{
		"X-Forwarded-Method": "GET", "X-Forwarded-Host": "app.example", "X-Forwarded-Uri": "/",
	} {
		header := cookie(token, "Sec-Fetch-Site", "same-origin")
		header.Add(name, first)
		wantStatus(t, asked(h, "", "", header), 200)
		header.Add(name, first)
		wantStatus(t, asked(h, "", "", header), 400)
	}
}

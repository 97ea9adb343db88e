package issuertest_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/counterfoil/counterfoil/issuertest"
	"github.com/counterfoil/counterfoil/revocation"
)

// A test of a service: a token is good, and after its session was revoked it is
// not.
func Example() {
	_ = func(t *testing.T) {
		iss := issuertest.New(t)
		v := iss.Verifier(t)
		orders := v.Protect(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		session := iss.SignIn(t, iss.User(t, "ada"))
		request := httptest.NewRequest("GET", "/orders", nil)
		request.Header.Set("Authorization", "Bearer "+session.AccessToken)

		for _, want := range []int{http.StatusOK, http.StatusUnauthorized} {
			answer := httptest.NewRecorder()
			orders.ServeHTTP(answer, request)
			if answer.Code != want {
				t.Errorf("answered %d, want %d", answer.Code, want)
			}
			iss.Revoke(t, revocation.Session, session.SessionID)
		}
	}
	// Output:
}

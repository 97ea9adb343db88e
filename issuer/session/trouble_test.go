package session_test

import (
	"database/sql"
	"io"
	"net/http"
	"strings"
	"testing"
)

// requests is one request to each endpoint that asks the store.
func requests(a answer) map[string]*http.Request {
	return map[string]*http.Request{
		"sign-in":         laptop.json("/sign-in", `{"username":"alice","password":"`+password+`"}`),
		"wrong password":  laptop.json("/sign-in", `{"username":"alice","password":"not that one"}`),
		"token":           laptop.form("/token", "grant_type", "refresh_token", "refresh_token", a.RefreshToken),
		"revoke refresh":  laptop.form("/revoke", "token", a.RefreshToken),
		"revoke access":   laptop.form("/revoke", "token", a.AccessToken),
		"revoke session":  laptop.form("/revoke", "token", a.AccessToken, "sid", a.SessionID),
		"sign-out":        bearing(laptop.request("POST", "/sign-out", "", ""), a.AccessToken),
		"sign-out cookie": with(laptop.form("/sign-out"), &http.Cookie{Name: refreshName, Value: a.RefreshToken}),
	}
}

const refreshName = "__Host-Http-refresh_token"

// unavailable fails the test unless r is asked to come again, and one line of
// the log says why.
func (f *fixture) unavailable(name string, r *http.Request) {
	f.t.Helper()
	before := strings.Count(f.log.String(), "\n")
	res := f.do(r)
	body, err := io.ReadAll(res.Body)
	f.check(err)
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		f.t.Errorf("%s: %d %s, Retry-After %q", name, res.StatusCode, body, res.Header.Get("Retry-After"))
	}
	if page := res.Header.Get("Content-Type") != "application/json"; !page && !strings.Contains(string(body), `"temporarily_unavailable"`) {
		f.t.Errorf("%s: %s", name, body)
	}
	if len(res.Cookies()) > 0 {
		f.t.Errorf("%s: cookies %v", name, res.Cookies())
	}
	if lines := strings.Count(f.log.String(), "\n") - before; lines != 1 {
		f.t.Errorf("%s: %d lines in the log", name, lines)
	}
}

// tamper runs SQL beside the store.
func (f *fixture) tamper(statements ...string) {
	f.t.Helper()
	db, err := sql.Open("sqlite", f.path)
	f.check(err)
	defer db.Close()
	for _, s := range statements {
		_, err := db.Exec(s)
		f.check(err)
	}
}

// No trouble of the store passes for a refusal, which would make clients throw
// their tokens away, or for success.
func TestStoreInTroubleIsUnavailable(t *testing.T) {
	for name, spoil := range map[string]func(*fixture){
		"closed":           func(f *fixture) { f.check(f.store.Close()) },
		"error of its own": func(f *fixture) { f.tamper("ALTER TABLE log_head RENAME TO elsewhere") },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nil)
			all := requests(f.signIn(laptop))
			spoil(f)
			for name, r := range all {
				f.unavailable(name, r)
			}
			f.unavailable("form", laptop.form("/sign-in", "username", "alice", "password", password))
		})
	}
}

// A commit that was not confirmed: who knows whether it was done.
func TestUncertainOutcomeIsNoSuccess(t *testing.T) {
	f := newFixture(t, nil)
	all := requests(f.signIn(laptop))
	f.tamper("CREATE TABLE parent (id INTEGER PRIMARY KEY)",
		"CREATE TABLE child (id INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)",
		"CREATE TRIGGER told AFTER INSERT ON audit BEGIN INSERT INTO child VALUES (1); END",
		"CREATE TRIGGER rotated AFTER UPDATE ON sessions BEGIN INSERT INTO child VALUES (1); END")
	for name, r := range all {
		f.unavailable(name, r)
	}
}

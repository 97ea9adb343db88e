package issuer_test

import (
	"database/sql"
	"testing"
)

// A database that is in trouble says nothing about an access token, and does no
// administration.
func TestAdministrationWithoutTheStore(t *testing.T) {
	for name, spoil := range map[string]func(*testing.T, *node){
		"closed": func(t *testing.T, n *node) { n.store.Close() },
		"error of its own": func(t *testing.T, n *node) {
			db, err := sql.Open("sqlite", n.path)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Exec("ALTER TABLE users RENAME TO elsewhere"); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			root := n.addUser(t, "root", "admin")
			_, tokens := n.signIn(t, root, `,"scope":"admin","audience":"`+n.ring.Issuer()+`"`)
			bearer := "Authorization: Bearer " + tokens.AccessToken
			if a := n.get(t, "/admin/users", bearer); a.status != 200 {
				t.Fatalf("before: %d %s", a.status, a.body)
			}
			spoil(t, n)
			for _, r := range []answer{
				n.get(t, "/admin/users", bearer),
				n.do(t, 503, "GET", "/admin/users", ""),
				n.do(t, 503, "POST", "/admin/revoke", `{"kind":"subject","value":"`+root.ID+`"}`),
			} {
				if r.status != 503 || r.header.Get("Retry-After") == "" {
					t.Errorf("%d %s, Retry-After %q", r.status, r.body, r.header.Get("Retry-After"))
				}
			}
		})
	}
}

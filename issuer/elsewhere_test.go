//go:build unix

package issuer_test

import (
	"database/sql"
	"net/http/httptest"
	"testing"

	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/issuer/store/postgres/postgrestest"
)

// The store begins an epoch by itself where the database has come back in another
// cluster: what verifiers show is made again, and no key of the backup signs, although
// nobody has typed `counterfoil restored`.
func TestThreat75EpochOfTheStore(t *testing.T) {
	pg := postgrestest.Start(t)
	n := startNode(t, httptest.NewUnstartedServer(nil), sharing(t, "http://127.0.0.1:1", pg.Database(t)), issuer.Config{})
	_, tokens := n.signIn(t, n.addUser(t, "alice"), "")
	old := map[string]bool{}
	for _, key := range n.ring.Keys() {
		old[key.KeyID] = true
	}
	var backup string
	n = n.restart(t, func(path string) { backup = pg.Clone(t, path) })
	seen := n.watch(t, func(n *node) { n.revoke(t, "session", tokens.SessionID) })
	before := n.manifest(t)
	n = n.restart(t, func(string) {
		n.shared.path = backup
		elsewhere(t, backup)
	})
	if m := n.manifest(t); m.Epoch <= before.Epoch {
		t.Fatalf("epoch %d after %d", m.Epoch, before.Epoch)
	}
	n.show(t, seen)
	if got := n.refresh(t, tokens.RefreshToken); got != 400 {
		t.Errorf("a revoked session came back to life: %d", got)
	}
	eventually(t, "a key that is not in the backup to sign", func() bool { return !old[n.signing(t)] })
}

// elsewhere makes a database one that another cluster wrote last.
func elsewhere(t *testing.T, url string) {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "UPDATE meta SET value = 'another' WHERE name = 'identity'"); err != nil {
		t.Fatal(err)
	}
}

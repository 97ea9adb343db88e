package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// TestThreat75RestoredAfterATheft: a backup comes back in which one key lives that has
// been killed since, another that has been stolen, and a session that was revoked.
// Verifiers remember all three, a new key signs, and a forgery under the key that
// signed when the backup was made is found like any other.
func TestThreat75RestoredAfterATheft(t *testing.T) {
	f := newField(t, "automatic")
	founded := time.Now().Unix()
	killed, underKilled := f.outlive(t)
	stolen, underStolen := f.outlive(t)
	signed := f.thief.steal(t)
	kept, revoked := f.iss.signIn(t, "alice"), f.iss.signIn(t, "alice")
	backup := filepath.Join(t.TempDir(), "backup.db")
	f.iss.command(t, "", "backup", backup)
	old := f.keys(t)

	f.iss.command(t, "", "keys", "kill", killed.KeyID(), "--wait")
	mustAsk(t, f.guards[0].url+"/auth", forgeries[0].make(t, stolen, underStolen), http.StatusOK)
	f.mustHear(t, "quarantined", stolen)
	f.iss.command(t, "", "revoke", "--session", revoked.Session, "--wait") // every guard has it all then

	f.iss.stop()
	f.iss.restore(t, backup)
	waitFor(t, nil, "second in which a new epoch lies above the lost one", func() error {
		if time.Now().Unix() == founded {
			return errors.New("still the second in which that began")
		}
		return nil
	})
	f.iss.start(t)
	f.iss.command(t, "", "restored") // before any guard is back

	f.untilAnswered(t, stolen)
	fresh := f.untilNoneSigns(t, old, kept)
	f.guards = append(f.guards, newGuard(t, f.iss, "guard-late"))
	for _, g := range f.guards {
		for what, token := range map[string]string{
			"a token of the killed key":      underKilled,
			"one forged with the killed key": forgeries[0].make(t, killed, underKilled),
			"one forged with the stolen key": forgeries[0].make(t, stolen, underStolen),
			"the session that was revoked":   revoked.Access,
		} {
			if got, err := ask(g.url+"/auth", token); err != nil || got != http.StatusUnauthorized {
				t.Errorf("%s: %s: status %d, %v", g.name, what, got, err)
			}
		}
		for what, token := range map[string]string{"a new token": fresh.Access, "an honest one under the stolen key": underStolen} {
			if _, err := untilStatus(g.url+"/auth", token, http.StatusOK, time.Now(), forgeryBound); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	if state := f.keys(t)[killed.KeyID()]; state != keyring.Killed {
		t.Errorf("the killed key is %s", state)
	}
	if status, got, err := f.iss.refresh(revoked.Refresh); err != nil || got.Error != "invalid_grant" {
		t.Errorf("the session that was revoked renews: %d %q %v", status, got.Error, err)
	}
	mustAsk(t, f.guards[0].url+"/auth", forgeries[0].make(t, signed, kept.Access), http.StatusOK)
	f.mustHear(t, "forged", signed)
}

// outlive steals the key that signs, and has the next one sign. A genuine token of
// before goes on to be good.
func (f *field) outlive(t *testing.T) (key *jwk.Key, genuine string) {
	t.Helper()
	f.untilPrepared(t)
	key, genuine = f.thief.steal(t), f.iss.signIn(t, "alice").Access
	f.iss.command(t, "", "keys", "rotate", "--force")
	return key, genuine
}

// keys are the states of those that the issuer has, by kid.
func (f *field) keys(t *testing.T) map[string]keyring.State {
	t.Helper()
	var list []struct {
		KeyID string        `json:"kid"`
		State keyring.State `json:"state"`
	}
	if err := json.Unmarshal([]byte(f.iss.command(t, "", "keys", "list", "--json")), &list); err != nil {
		t.Fatal(err)
	}
	keys := make(map[string]keyring.State)
	for _, k := range list {
		keys[k.KeyID] = k.State
	}
	return keys
}

// mustHear waits for an alarm about a key.
func (f *field) mustHear(t *testing.T, kind string, key *jwk.Key) {
	t.Helper()
	if _, ok := f.alarms.await(forgeryBound, of(kind, key.KeyID())); !ok {
		t.Fatalf("no alarm %s about %s", kind, key.KeyID())
	}
}

// untilNoneSigns renews a session until none of the old keys signs its token.
func (f *field) untilNoneSigns(t *testing.T, old map[string]keyring.State, session tokens) tokens {
	t.Helper()
	waitFor(t, f.iss.process, "key of after the restore", func() error {
		status, got, err := f.iss.refresh(session.Refresh)
		if err != nil || status != http.StatusOK {
			t.Fatalf("a session of the backup: %d %q %v", status, got.Error, err)
		}
		session = got
		if kid := keyIDOf(t, got.Access); old[kid] != "" {
			return fmt.Errorf("%s signs, which was in the backup", kid)
		}
		return nil
	})
	return session
}

// untilAnswered waits until the incident of a key, which the backup does not know, has
// gone on to where another key signs.
func (f *field) untilAnswered(t *testing.T, key *jwk.Key) {
	t.Helper()
	waitFor(t, f.iss.process, "incident that goes on", func() error {
		for _, in := range f.incidents(t) {
			if in.KeyID == key.KeyID() && in.State == store.IncidentSwitched && in.Reporter == "issuer/log" {
				return nil
			}
		}
		return fmt.Errorf("%+v", f.incidents(t))
	})
}

// restore puts a backup in the place of the database.
func (iss *issuerUnderTest) restore(t *testing.T, backup string) {
	t.Helper()
	path := filepath.Join(iss.data, "counterfoil.db")
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(backup)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, data)
}

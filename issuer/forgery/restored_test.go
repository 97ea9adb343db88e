package forgery_test

import (
	"database/sql"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer/forgery"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/revocation"
)

// restore begins an epoch and makes an entry of a key again, as package issuer does
// with what a backup did not have.
func (f *fixture) restore(kid string, flags revocation.Flags) {
	f.Helper()
	var told func()
	f.check(f.store.Update(f.Context(), func(tx *store.Tx) error {
		if _, err := tx.NewEpoch(); err != nil {
			return err
		}
		record, err := tx.Revoke(store.Revocation{Value: kid, Entry: revocation.Entry{
			Kind: revocation.Key, Flags: flags, Handle: f.ring.HandleKey().Handle(revocation.Key, issuerURL, kid),
		}})
		if err != nil {
			return err
		}
		if flags == revocation.Absolute {
			if err := f.ring.Withdraw(tx, kid, "restore", record.Seq); err != nil {
				return err
			}
		}
		told, err = f.desk.Recall(tx, kid, record)
		return err
	}))
	told()
}

// A quarantine that the database had lost is an incident again, and its answer goes to
// the end. Which sessions have tokens under the key is lost as well: it goes when the
// last of those has died.
func TestThreat82LostQuarantineGoesOn(t *testing.T) {
	for name, pick := range map[string]func(f *fixture) string{
		"a key that signs":               (*fixture).active,
		"a key that signed, as was lost": (*fixture).standby,
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, forgery.Config{})
			kid := pick(f)
			f.restore(kid, revocation.Quarantine)
			in := f.incident(kid)
			if in.State != store.IncidentQuarantined || in.QuarantineSeq == 0 || in.Found.IsZero() || in.TokenID != "" || in.Tokens != 0 {
				t.Errorf("%+v", in)
			}
			if list, err := f.desk.Incidents(t.Context()); err != nil || len(list) != 1 {
				t.Errorf("%v (%v)", list, err)
			}
			f.answer()
			if f.active() == kid || f.incident(kid).State != store.IncidentSwitched {
				t.Fatalf("the answer did not go on: %+v", f.incident(kid))
			}
			f.moveOn(tokenLife + time.Minute - time.Millisecond)
			f.answer()
			f.moveOn(forgery.Grace)
			if in := f.incident(kid); in.State != store.IncidentSwitched || !in.Drained.IsZero() {
				t.Fatalf("it went with tokens of the lost time alive: %+v", in)
			}
			f.answer()
			f.moveOn(forgery.Grace)
			f.answer()
			f.want(kid, store.IncidentKilled, keyring.Killed)
			if !f.audited(kid, "restored seq=") {
				t.Error("the audit trail does not say that it was restored")
			}
		})
	}
}

// audited reports whether the audit trail says something about a key.
func (f *fixture) audited(kid, what string) (said bool) {
	f.Helper()
	f.check(f.store.View(f.Context(), func(tx *store.Tx) error {
		rows, err := tx.Audit(0, 0)
		said = slices.ContainsFunc(rows, func(r store.AuditRow) bool {
			return r.Subject == kid && strings.Contains(r.Detail, what)
		})
		return err
	}))
	return said
}

// Who closed it before the theft that was lost did not close that one; who has
// switched already goes on from there.
func TestLostQuarantineOfAKnownIncident(t *testing.T) {
	f := newFixture(t, forgery.Config{})
	kid := f.active()
	f.evidence(forgery.Forged, f.forge(1))
	f.answer()
	before := f.incident(kid)
	f.restore(kid, revocation.Quarantine)
	in := f.incident(kid)
	if in.State != store.IncidentSwitched || in.QuarantineSeq <= before.QuarantineSeq || in.TokenID != before.TokenID || in.Switched != before.Switched {
		t.Errorf("%+v", in)
	}
	f.check(f.desk.Close(t.Context(), kid, "root"))
	f.restore(kid, revocation.Quarantine)
	if in = f.incident(kid); in.State != store.IncidentQuarantined || !in.Closed.IsZero() {
		t.Errorf("%+v", in)
	}
	if in.Tokens != 1 || in.Reporter != "guard" {
		t.Errorf("what was known is lost: %+v", in)
	}
}

// A kill that was lost ends the incident, and counts as the one kill of the day.
func TestThreat82LostKillEndsTheIncident(t *testing.T) {
	f := newFixture(t, forgery.Config{})
	kid := f.active()
	f.restore(kid, revocation.Quarantine)
	f.restore(kid, revocation.Absolute)
	f.want(kid, store.IncidentKilled, keyring.Killed)
	if in := f.incident(kid); in.KillSeq == 0 || in.Killed.IsZero() || !in.Automatic {
		t.Errorf("%+v", in)
	}
	f.restore(kid, revocation.Quarantine) // a frame from before
	f.want(kid, store.IncidentKilled, keyring.Killed)
	next := f.active()
	f.evidence(forgery.Forged, f.forge(2))
	for range 3 {
		f.answer()
		f.moveOn(tokenLife + 2*time.Minute)
	}
	if in := f.incident(next); !in.Held {
		t.Errorf("a second key was given up within a day: %+v", in)
	}
	if got := f.trail(); !slices.Equal(got[:2], []string{"quarantined", "killed"}) {
		t.Errorf("trail %v", got)
	}
}

// What a node remembers of a token that it called forged does not outlive what the
// database has lost: shown again, the token is an incident again.
func TestThreat82ForgedTokenAfterAFailover(t *testing.T) {
	f := newFixture(t, forgery.Config{})
	kid, token := f.active(), f.forge(1)
	f.probe()
	f.evidence(forgery.Forged, token)
	f.forget("incidents", "forgeries")
	f.check(f.store.Update(t.Context(), func(tx *store.Tx) error {
		_, err := tx.NewEpoch()
		return err
	}))
	f.clock.advance(time.Minute)
	f.probe()
	f.evidence(forgery.Forged, token)
	if in := f.incident(kid); in.State != store.IncidentQuarantined || in.Tokens != 1 {
		t.Errorf("%+v", in)
	}
}

// forget empties tables, as a failover to a server that was behind does.
func (f *fixture) forget(tables ...string) {
	f.Helper()
	db, err := sql.Open("sqlite", f.path)
	f.check(err)
	defer db.Close()
	for _, table := range tables {
		_, err := db.Exec("DELETE FROM " + table)
		f.check(err)
	}
}

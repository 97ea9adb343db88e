package session_test

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer/store"
)

// backup copies the database while nothing writes to it.
func (f *fixture) backup() []byte {
	f.t.Helper()
	f.check(f.store.Close())
	data, err := os.ReadFile(f.path)
	f.check(err)
	f.open()
	return data
}

// restore puts a copy back, and says so or not.
func (f *fixture) restore(data []byte, newEpoch bool) {
	f.t.Helper()
	f.check(f.store.Close())
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Remove(f.path + suffix); err != nil && !os.IsNotExist(err) {
			f.t.Fatal(err)
		}
	}
	f.check(os.WriteFile(f.path, data, 0o600))
	f.open()
	if newEpoch {
		f.update(func(tx *store.Tx) error {
			_, err := tx.NewEpoch()
			return err
		})
	}
}

// The owner refreshed three times after the backup was made.
func TestThreat110AheadAfterRollbackIsAcceptedOnce(t *testing.T) {
	f := newFixture(t, nil)
	stolen := f.signIn(laptop)
	copied := f.backup()
	lost1 := f.refreshed(laptop, stolen.RefreshToken)
	lost2 := f.refreshed(laptop, lost1.RefreshToken)
	f.clock.advance(time.Minute)
	f.restore(copied, true)

	next := f.refreshed(laptop, lost2.RefreshToken)
	if next.SessionID != stolen.SessionID {
		t.Error("another session")
	}
	if again := f.refreshed(laptop, lost2.RefreshToken); again.RefreshToken != next.RefreshToken {
		t.Error("a retry after the rollback got another successor")
	}
	next = f.refreshed(laptop, next.RefreshToken)
	// Somebody else comes with a token of the lost time.
	if got := f.refresh(thief, lost1.RefreshToken); got.Error != "invalid_grant" {
		t.Fatalf("%d %s", got.Status, got.Error)
	}
	f.dead(next)
}

// The thief comes first, with an old token that the restored row takes for its
// own or for one ahead. When the owner comes the session ends.
func TestThreat110SecondHolderAfterRollbackIsTheft(t *testing.T) {
	for name, present := range map[string]int{"the row's": 0, "one ahead": 1} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nil)
			tokens := []answer{f.signIn(laptop)}
			copied := f.backup()
			for range 3 {
				tokens = append(tokens, f.refreshed(laptop, tokens[len(tokens)-1].RefreshToken))
			}
			f.clock.advance(time.Minute)
			f.restore(copied, true)

			stolen := f.refreshed(thief, tokens[present].RefreshToken)
			if got := f.refresh(laptop, tokens[3].RefreshToken); got.Error != "invalid_grant" {
				t.Fatalf("the owner: %d %s", got.Status, got.Error)
			}
			f.dead(stolen)
		})
	}
}

// The database went back and nobody said so: the epoch is the same. Nothing is
// accepted, nothing is revoked, and somebody is told.
func TestThreat110AheadInTheSameEpochIsAnAlarm(t *testing.T) {
	f := newFixture(t, nil)
	a := f.signIn(laptop)
	copied := f.backup()
	b := f.refreshed(laptop, a.RefreshToken)
	f.restore(copied, false)

	got := f.refresh(laptop, b.RefreshToken)
	if got.Status != http.StatusBadRequest || got.Error != "invalid_grant" {
		t.Fatalf("%d %s", got.Status, got.Error)
	}
	if f.srv.Counts().Impossible != 1 || !strings.Contains(f.log.String(), "level=ERROR") {
		t.Error("no alarm")
	}
	if row := f.session(a.SessionID); row.RevokedSeq != 0 || len(f.entries()) != 0 {
		t.Error("the session was revoked")
	}
	if row := f.lastAudit(); row.Action != "refresh.impossible" || row.Subject != a.SessionID {
		t.Errorf("the audit trail ends with %q about %q", row.Action, row.Subject)
	}
	// Who presents it over and over does not fill the trail.
	for _, want := range []int{1, 2} {
		for range 3 {
			f.refresh(laptop, b.RefreshToken)
		}
		if n := count(f.audit(), "refresh.impossible"); n != want {
			t.Errorf("%d rows, want %d", n, want)
		}
		f.clock.advance(time.Minute)
	}
}

// Restored twice from one copy, with another line of tokens after each.
func TestThreat110RestoredTwice(t *testing.T) {
	f := newFixture(t, nil)
	a := f.signIn(laptop)
	copied := f.backup()
	first := f.refreshed(laptop, a.RefreshToken)
	f.clock.advance(time.Minute)
	f.restore(copied, true)
	second := f.refreshed(laptop, first.RefreshToken)
	f.clock.advance(time.Minute)
	f.restore(copied, true)
	third := f.refreshed(laptop, second.RefreshToken)
	if got := f.refresh(thief, first.RefreshToken); got.Error != "invalid_grant" {
		t.Fatalf("%d %s", got.Status, got.Error)
	}
	f.dead(third)
}

// A new epoch without a rollback disturbs nobody.
func TestNewEpochKeepsSessions(t *testing.T) {
	f := newFixture(t, nil)
	a := f.signIn(laptop)
	b := f.refreshed(laptop, a.RefreshToken)
	f.restore(f.backup(), true)
	if again := f.refreshed(laptop, a.RefreshToken); again.RefreshToken != b.RefreshToken {
		t.Error("another successor")
	}
	c := f.refreshed(laptop, b.RefreshToken)
	if again := f.refreshed(laptop, b.RefreshToken); again.RefreshToken != c.RefreshToken {
		t.Error("another successor")
	}
}

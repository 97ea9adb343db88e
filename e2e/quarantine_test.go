package e2e_test

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// sleepers is how many honest tokens exist at the moment of a theft that no guard
// has seen yet.
const sleepers = 24

// signInSleepers makes tokens that nobody uses for now. They are signed by the key
// that is about to be stolen.
func signInSleepers(t *testing.T, iss *issuerUnderTest) []string {
	t.Helper()
	var unused []string
	for _, s := range signInMany(t, iss, sleepers) {
		unused = append(unused, s.Access)
	}
	return unused
}

// theft steals the key that signs, forges, and waits until every guard proves the
// key's tokens before they pass.
func (f *field) theft(t *testing.T) (forge func(forgery) string) {
	t.Helper()
	key, _ := f.stealAndForge(t, forgeries[0])
	genuine := f.victim.Access
	forge = func(forged forgery) string { return forged.make(t, key, genuine) }
	begin := time.Now()
	f.firstUse(t, forgeries[0], forge(forgeries[0]), 0)
	for _, g := range f.guards { // with another token each time: one that was never seen
		for status := 0; status != http.StatusUnauthorized; {
			var err error
			if status, err = ask(g.url+"/auth", forge(forgeries[0])); err != nil {
				t.Fatal(err)
			}
			if time.Since(begin) > forgeryBound {
				t.Fatalf("%s takes forged tokens %v after the first", g.name, forgeryBound)
			}
		}
	}
	return forge
}

// TestThreat86Quarantine: under quarantine whatever is genuine passes, seen before
// or not, and nothing that is forged.
func TestThreat86Quarantine(t *testing.T) {
	f := newField(t, "automatic")
	crowd := newCrowd(t, f.iss, f.guards, crowdSize)
	seen := signInMany(t, f.iss, sleepers)
	for _, s := range seen {
		for _, g := range f.guards {
			mustAsk(t, g.url+"/auth", s.Access, http.StatusOK)
		}
	}
	unused := signInSleepers(t, f.iss)
	forge := f.theft(t)

	var took []time.Duration
	for i, token := range unused {
		begin := time.Now()
		mustAsk(t, f.guards[i%3].url+"/auth", token, http.StatusOK)
		took = append(took, time.Since(begin))
	}
	report(t, "a genuine token is proved before it passes", took)
	for _, s := range seen {
		for _, g := range f.guards {
			mustAsk(t, g.url+"/auth", s.Access, http.StatusOK)
		}
	}
	for _, forged := range forgeries {
		for _, g := range f.guards {
			mustAsk(t, g.url+"/auth", forge(forged), http.StatusUnauthorized)
		}
	}
	time.Sleep(2 * crowd.renew) // until everybody has renewed
	crowd.stop()
	crowd.check(t)
}

// TestQuarantineWithoutNotary: with the notary down nothing new is proved, and what
// was proved goes on.
func TestQuarantineWithoutNotary(t *testing.T) {
	f := newField(t, "automatic")
	proved := f.iss.signIn(t, "alice").Access
	for _, g := range f.guards {
		mustAsk(t, g.url+"/auth", proved, http.StatusOK)
	}
	unused := signInSleepers(t, f.iss)
	forge := f.theft(t)
	for _, g := range f.guards { // the reports of before have been answered
		mustAsk(t, g.url+"/auth", proved, http.StatusOK)
	}
	f.notary.kill()
	for i, g := range f.guards {
		mustAsk(t, g.url+"/auth", proved, http.StatusOK)
		mustAsk(t, g.url+"/auth", forge(forgeries[0]), http.StatusUnauthorized)
		begin := time.Now()
		mustAsk(t, g.url+"/auth", unused[i], http.StatusUnauthorized) // its client renews
		if took := time.Since(begin); took > forgeryBound {
			t.Errorf("%s said no after %v", g.name, took)
		}
	}
	f.notary.start(t)
	for i, g := range f.guards {
		if _, err := untilStatus(g.url+"/auth", unused[3+i], http.StatusOK, time.Now(), startLimit); err != nil {
			t.Errorf("with the notary back: %v", err)
		}
	}
}

// TestGuardRestartedUnderQuarantine: a guard that comes back knows nothing of what
// was proved, and proves it again.
func TestGuardRestartedUnderQuarantine(t *testing.T) {
	f := newField(t, "automatic")
	genuine := f.iss.signIn(t, "alice").Access
	mustAsk(t, f.guards[0].url+"/auth", genuine, http.StatusOK)
	forge := f.theft(t)
	f.guards[0].stop()
	f.guards[0].process = start(t, "guard from its state folder", f.guards[0].env, f.guards[0].argv...)
	waitFor(t, f.guards[0].process, "guard after a restart", ready(plain, f.guards[0].url+"/readyz"))
	mustAsk(t, f.guards[0].url+"/auth", forge(forgeries[0]), http.StatusUnauthorized)
	mustAsk(t, f.guards[0].url+"/auth", genuine, http.StatusOK)
}

// TestNotaryRestartedUnderLoad: nobody is minted a token without the notary, and
// nobody is refused one that he has.
func TestNotaryRestartedUnderLoad(t *testing.T) {
	f := newField(t, "automatic")
	crowd := newCrowd(t, f.iss, f.guards, crowdSize)
	for range 2 {
		f.notary.kill()
		status, _, err := f.iss.post("/sign-in", map[string]any{"username": "alice", "password": password})
		if err != nil || status != http.StatusServiceUnavailable {
			t.Fatalf("sign-in without the notary: %d %v", status, err)
		}
		time.Sleep(time.Second)
		f.notary.start(t)
		waitFor(t, f.notary.process, "minting", func() error {
			status, _, err := f.iss.post("/sign-in", map[string]any{"username": "alice", "password": password})
			if err == nil && status != http.StatusOK {
				err = fmt.Errorf("status %d", status)
			}
			return err
		})
	}
	f.victim = f.iss.signIn(t, "alice")
	s := f.strike(t, forgeries[0], 0)
	t.Logf("measured: after two restarts of the notary a forgery was found in %v and refused everywhere in %v", s.alarmed, s.refused)
	crowd.stop()
	crowd.check(t)
}

// killPatience is how long the answer may take to its end: until every session has
// renewed, and half a minute more.
const killPatience = 90 * time.Second

// TestAnswerToItsEnd: quarantine, rotation and the kill of the old key under load,
// and nobody honest notices any of it.
func TestAnswerToItsEnd(t *testing.T) {
	f := newField(t, "automatic")
	crowd := newCrowd(t, f.iss, f.guards, 2*crowdSize)
	f.untilPrepared(t)
	key, token := f.stealAndForge(t, forgeries[0])
	old := f.victim.Access
	begin := time.Now()
	f.firstUse(t, forgeries[0], token, 0)
	f.untilReplaced(t, key.KeyID())
	if _, ok := f.alarms.await(forgeryBound, of("rotated", key.KeyID())); !ok {
		t.Fatal("nobody said that another key signs")
	}
	f.renewVictim(t) // the last one, for who renewed in that very moment counts as not moved
	killed, ok := f.alarms.await(killPatience, of("killed", key.KeyID()))
	if !ok {
		t.Fatalf("the key was not killed within %v", killPatience)
	}
	t.Logf("measured: first use of a forged token until the old key was killed, with its honest traffic gone: %v", killed.at.Sub(begin).Round(time.Millisecond))
	for _, g := range f.guards {
		for _, dead := range []string{token, old, forgeries[0].make(t, key, old)} {
			if _, err := untilStatus(g.url+"/auth", dead, http.StatusUnauthorized, time.Now(), testedBound); err != nil {
				t.Error(err)
			}
		}
		mustAsk(t, g.url+"/auth", f.victim.Access, http.StatusOK)
	}
	time.Sleep(2 * crowd.renew) // whoever is hurt by the kill shows it when he renews
	crowd.stop()
	crowd.check(t)
	if n := crowd.again.Load(); n != 0 {
		t.Errorf("%d requests were refused first", n)
	}
}

// TestIssuerKilledDuringAnAnswer: what an issuer has begun, it ends after a crash.
func TestIssuerKilledDuringAnAnswer(t *testing.T) {
	f := newField(t, "automatic")
	crowd := newCrowd(t, f.iss, f.guards, crowdSize)
	key, token := f.stealAndForge(t, forgeries[0])
	f.firstUse(t, forgeries[0], token, 0)
	if _, ok := f.alarms.await(forgeryBound, of("forged", key.KeyID())); !ok {
		t.Fatal("no alarm")
	}
	f.iss.kill()
	time.Sleep(500 * time.Millisecond)
	f.iss.start(t)
	f.untilReplaced(t, key.KeyID())
	begin := time.Now()
	for _, g := range f.guards {
		if _, err := untilStatus(g.url+"/auth", token, http.StatusUnauthorized, begin, startLimit); err != nil {
			t.Error(err)
		}
		mustAsk(t, g.url+"/auth", forgeries[0].make(t, key, f.victim.Access), http.StatusUnauthorized)
	}
	crowd.stop()
	crowd.check(t)
}

// TestThreat93KillUnderLoad: the key that signs is killed by hand, as who learned
// of the theft elsewhere would. Everybody renews, and nobody signs in again.
func TestThreat93KillUnderLoad(t *testing.T) {
	f := newField(t, "automatic")
	crowd := newCrowd(t, f.iss, f.guards, crowdSize)
	var took []time.Duration
	for range 5 {
		f.untilPrepared(t)
		key := f.thief.steal(t)
		f.renewVictim(t)
		old := f.victim.Access
		mustAsk(t, f.guards[0].url+"/auth", old, http.StatusOK)
		begin := time.Now()
		f.iss.command(t, "", "keys", "kill", key.KeyID())
		for _, g := range f.guards {
			for _, token := range []string{old, forgeries[0].make(t, key, old)} {
				d, err := untilStatus(g.url+"/auth", token, http.StatusUnauthorized, begin, testedBound)
				if err != nil {
					t.Fatal(err)
				}
				took = append(took, d)
			}
		}
		f.untilReplaced(t, key.KeyID())
		crowd.untilPast(t, key.KeyID())
	}
	report(t, "the command to kill a key until a guard refuses what it signed", took)
	crowd.stop()
	crowd.check(t)
}

// TestThreat137BackupAndKeyOfItGiveNoStandby: the thief of the database and of the
// key-encryption key has the key that signs, and none that will.
func TestThreat137BackupAndKeyOfItGiveNoStandby(t *testing.T) {
	f := newField(t, "automatic")
	if f.thief.steal(t) == nil {
		t.Fatal("the thief has nothing")
	}
	waiting := f.thief.sealed(t, "standby")
	if len(waiting) < 2 {
		t.Fatalf("%d standbys", len(waiting))
	}
	for _, sealed := range waiting {
		if key, err := f.thief.open(sealed); err == nil {
			t.Errorf("the thief opened standby %s", key.KeyID())
		}
	}
}

// TestAnswerLeavesATrail: each step is in the audit trail, in the log and in a
// webhook, and none of them holds a token.
func TestAnswerLeavesATrail(t *testing.T) {
	f := newField(t, "automatic")
	key, token := f.stealAndForge(t, forgeries[0])
	f.firstUse(t, forgeries[0], token, 0)
	f.untilReplaced(t, key.KeyID())
	trail := f.iss.command(t, "", "audit", "list", "--json")
	log := f.iss.out.String()
	raised, _ := f.alarms.all()
	var bodies bytes.Buffer
	for _, a := range raised {
		bodies.WriteString(a.body)
	}
	for name, text := range map[string]string{"audit trail": trail, "log": log, "webhooks": bodies.String()} {
		if !strings.Contains(text, key.KeyID()) {
			t.Errorf("the %s does not name the key", name)
		}
		for _, part := range strings.Split(token, ".") {
			if strings.Contains(text, part) {
				t.Errorf("the %s holds a part of the token", name)
			}
		}
	}
	var kinds []string
	for _, a := range raised {
		kinds = append(kinds, a.Kind)
	}
	if i, j := slices.Index(kinds, "forged"), slices.Index(kinds, "quarantined"); i < 0 || j < i {
		t.Errorf("webhooks: %v", kinds)
	}
}

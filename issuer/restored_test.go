package issuer_test

import (
	"fmt"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/issuer/forgery"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
	"github.com/counterfoil/counterfoil/revocation"
)

// restart closes the store, lets change do something to its file, and starts a
// node on what is there then.
func (n *node) restart(t *testing.T, change func(path string)) *node {
	t.Helper()
	n.Close()
	n.store.Close()
	change(n.path)
	n.shared.open(t)
	return startNode(t, httptest.NewUnstartedServer(nil), n.shared, issuer.Config{})
}

// replace puts a backup in the place of a SQLite file.
func replace(t *testing.T, path string, backup []byte) {
	t.Helper()
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, backup, 0o600); err != nil {
		t.Fatal(err)
	}
}

// After a restore the revocations that the backup does not know are made again
// from frames that somebody kept: sessions and users that were revoked stay so.
func TestThreat75LostRevocationsAreCollected(t *testing.T) {
	n := newRemote(t)
	alice, bob, carol := n.addUser(t, "alice"), n.addUser(t, "bob"), n.addUser(t, "carol")
	_, a := n.signIn(t, alice, "")
	_, b := n.signIn(t, bob, "")
	_, c := n.signIn(t, carol, "")
	var backup []byte
	n = n.restart(t, func(path string) {
		var err error
		if backup, err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	})
	l := n.follow(t, at(n.manifest(t).Position()))
	n.revoke(t, "session", a.SessionID)
	last := n.revoke(t, "subject", "bob")
	var frames []string
	for {
		f, _, err := l.next()
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, l.data)
		if f.Last() == last {
			break
		}
	}
	table := n.load(t)
	l.close()

	n = n.restart(t, func(path string) {
		replace(t, path, backup)
	})
	var out struct {
		Epoch     uint64 `json:"epoch"`
		Base      uint64 `json:"base"`
		Recovered int    `json:"recovered"`
		Unknown   int    `json:"unknown"`
	}
	n.do(t, 200, "POST", "/admin/restored", fmt.Sprintf(`{"frames":[%s]}`, quoted(frames))).into(t, &out)
	if out.Base <= last || out.Epoch <= table.Head().Epoch || out.Recovered != 2 || out.Unknown != 0 {
		t.Errorf("%+v after %v", out, table.Head())
	}
	if n.refresh(t, a.RefreshToken) != 400 {
		t.Error("a revoked session came back to life")
	}
	if n.refresh(t, b.RefreshToken) != 400 {
		t.Error("the session of a revoked user came back to life")
	}
	if got := n.refresh(t, c.RefreshToken); got != 200 {
		t.Errorf("an innocent session: %d", got)
	}
	if status, _ := n.signIn(t, bob, ""); status != 200 {
		t.Errorf("signing in again: %d", status)
	}
	fresh := n.load(t) // a verifier that knew nothing
	if !n.revokedIn(fresh, revocation.Session, a.SessionID, last) || !n.revokedIn(fresh, revocation.Subject, bob.ID, last) {
		t.Error("a new verifier does not learn of lost revocations")
	}
	if n.revokedIn(fresh, revocation.Subject, carol.ID, last-2) {
		t.Error("an innocent user is revoked")
	}
}

// A verifier that shows a frame above the head makes the issuer begin an epoch by
// itself; one that shows what the log knows changes nothing.
func TestThreat75VerifierShowsALostFrame(t *testing.T) {
	n := newNode(t)
	alice := n.addUser(t, "alice")
	_, tokens := n.signIn(t, alice, "")
	var backup []byte
	var err error
	n = n.restart(t, func(path string) {
		if backup, err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	})
	l := n.follow(t, at(n.manifest(t).Position()))
	n.revoke(t, "subject", "alice")
	var shown *revocation.Frame
	for shown == nil || len(shown.Entries) == 0 {
		if shown, _, err = l.next(); err != nil {
			t.Fatal(err)
		}
	}
	show := func(seq uint64) {
		t.Helper()
		body := fmt.Sprintf(`{"instance":"one","epoch":%d,"seq":%d,"c":%q,"frames":[%q]}`, shown.Epoch, seq, shown.C1, l.data)
		if a := send(t, request(t, "POST", n.url+"/revocation/ack", body)); a.status != 204 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	show(shown.Last())
	if got := n.manifest(t).Position(); got != shown.End() {
		t.Fatalf("a frame that the log knows moved it to %v", got)
	}
	l.close()

	n = n.restart(t, func(path string) { replace(t, path, backup) })
	if got := n.refresh(t, tokens.RefreshToken); got == 400 {
		t.Fatal("the backup knows of the revocation already")
	}
	show(shown.Last())
	m := n.manifest(t)
	if m.Epoch <= shown.Epoch || m.Base <= shown.Last() || m.Head != m.Base+1 {
		t.Errorf("epoch %d base %d head %d after %v", m.Epoch, m.Base, m.Head, shown.End())
	}
	show(shown.Last()) // a second verifier: the epoch has begun
	if again := n.manifest(t); again.Epoch != m.Epoch || again.Head != m.Head {
		t.Errorf("every verifier begins an epoch: %d, %d", m.Epoch, again.Epoch)
	}
	if status, _ := n.signIn(t, alice, ""); status != 200 {
		t.Errorf("signing in again: %d", status)
	}
}

// Only frames of this issuer's own feed key are believed.
func TestRestoredRefusesForeignFrames(t *testing.T) {
	n := newNode(t)
	p := n.manifest(t).Position()
	thief, err := jwk.Generate(jwk.Params{Algorithm: jwk.EdDSA, KeyID: n.ring.FeedKey().KeyID()})
	if err != nil {
		t.Fatal(err)
	}
	e := revocation.Entry{Kind: revocation.Everything, Handle: 1}
	f := revocation.Frame{
		Issuer: n.ring.Issuer(), Epoch: p.Epoch, First: p.Seq + 1, C0: p.C, C1: p.C.Next(p.Seq+1, e),
		AsOf: n.clock.Now(), HandleKeyID: n.ring.HandleKey().ID(), Entries: []revocation.Entry{e},
	}
	signed, err := f.Sign(thief)
	if err != nil {
		t.Fatal(err)
	}
	n.do(t, 400, "POST", "/admin/restored", fmt.Sprintf(`{"frames":[%q]}`, signed))
	if got := n.manifest(t).Position(); got != p {
		t.Errorf("the log moved to %v", got)
	}
}

// A key that was killed after the backup is as stolen as before: it neither signs
// nor is published again.
func TestThreat75LostKillIsMadeAgain(t *testing.T) {
	n := newRemote(t)
	alice := n.addUser(t, "alice")
	signer, err := n.ring.Signer("")
	if err != nil {
		t.Fatal(err)
	}
	stolen := signer.Key().KeyID()
	var backup []byte
	n = n.restart(t, func(path string) {
		if backup, err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	})
	l := n.follow(t, at(n.manifest(t).Position()))
	n.do(t, 200, "POST", "/admin/revoke", fmt.Sprintf(`{"kind":"key","value":%q,"absolute":true}`, stolen))
	for {
		f, _, err := l.next()
		if err != nil {
			t.Fatal(err)
		}
		if len(f.Entries) > 0 {
			break
		}
	}
	killed := l.data
	l.close()

	n = n.restart(t, func(path string) { replace(t, path, backup) })
	n.do(t, 200, "POST", "/admin/restored", fmt.Sprintf(`{"frames":[%q]}`, killed))
	if signer, err = n.ring.Signer(""); err != nil || signer.Key().KeyID() == stolen {
		t.Errorf("the killed key signs again (%v)", err)
	}
	if _, err := n.ring.Public().Find(stolen, string(jwk.ES256)); err == nil {
		t.Error("the killed key is published again")
	}
	status, tokens := n.signIn(t, alice, "")
	if status != 200 {
		t.Fatalf("sign-in: %d", status)
	}
	if tok, err := jwt.ParseUnverified(tokens.AccessToken); err != nil || tok.UnverifiedHeader().KeyID == stolen {
		t.Errorf("a new token is signed by the killed key (%v)", err)
	}
}

// until asks for the incident of a key until it is in one of some states.
func (n *node) until(t *testing.T, kid string, states ...store.IncidentState) (in forgery.Incident) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !slices.Contains(states, in.State); {
		if time.Now().After(deadline) {
			t.Fatalf("the incident is %+v", in)
		}
		n.do(t, 200, "GET", "/admin/incidents/"+kid, "").into(t, &in)
	}
	return in
}

// A quarantine that was begun after the backup is an incident again when somebody
// shows its frame, and the answer goes on without being asked.
func TestThreat82LostQuarantineIsAnsweredAgain(t *testing.T) {
	n := newNode(t)
	_, tokens := n.signIn(t, n.addUser(t, "alice"), "")
	signer, err := n.ring.Signer("")
	if err != nil {
		t.Fatal(err)
	}
	stolen := signer.Key().KeyID()
	var backup []byte
	n = n.restart(t, func(path string) {
		if backup, err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	})
	l := n.follow(t, at(n.manifest(t).Position()))
	if v := n.verdict(t, n.forge(t, tokens.AccessToken)); v != "forged" {
		t.Fatal(v)
	}
	var frames []string
	for quarantined := false; !quarantined; {
		f, _, err := l.next()
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, l.data)
		for _, e := range f.Entries {
			quarantined = quarantined || e.Flags&revocation.Quarantine != 0
		}
	}
	l.close()

	n = n.restart(t, func(path string) { replace(t, path, backup) })
	n.do(t, 404, "GET", "/admin/incidents/"+stolen, "")
	n.do(t, 200, "POST", "/admin/restored", fmt.Sprintf(`{"frames":[%s]}`, quoted(frames)))
	in := n.until(t, stolen, store.IncidentSwitched)
	if in.QuarantineSeq == 0 || in.Successor == "" || in.Successor == stolen || in.Reporter != "issuer/log" {
		t.Errorf("%+v", in)
	}
	if list := n.do(t, 200, "GET", "/admin/incidents", "").body; !strings.Contains(list, stolen) {
		t.Error(list)
	}
	if !strings.Contains(n.log.String(), "alarm=quarantined kid="+stolen) {
		t.Error("the log does not say that it goes on")
	}
	if got := n.refresh(t, tokens.RefreshToken); got != 200 {
		t.Errorf("a session is lost: %d", got)
	}
}

// A key of the backup may have been given up since, and nobody may show that: the
// issuer does not sign with it, nor with the standbys of then. No session ends.
func TestThreat75NoKeyOfTheBackupSigns(t *testing.T) {
	n := newRemote(t)
	_, tokens := n.signIn(t, n.addUser(t, "alice"), "")
	old := map[string]bool{}
	for _, key := range n.ring.Keys() {
		old[key.KeyID] = true
	}
	n = n.restart(t, func(string) {})
	n.do(t, 200, "POST", "/admin/restored", `{"frames":[]}`)
	eventually(t, "a key that is not in the backup signs", func() bool {
		signer, err := n.ring.Signer("")
		return err == nil && !old[signer.Key().KeyID()]
	})
	if got := n.refresh(t, tokens.RefreshToken); got != 200 {
		t.Errorf("a session is lost: %d", got)
	}
	for _, key := range n.ring.Keys() {
		if key.State == keyring.Standby && old[key.KeyID] {
			t.Errorf("%s is a standby of the backup", key.KeyID)
		}
	}
}

// A clock that goes back after a restore does not use up keys: each key of the backup
// is replaced once.
func TestClockGoesBackAfterARestore(t *testing.T) {
	n := newNode(t)
	before := len(n.ring.Keys())
	n.do(t, 200, "POST", "/admin/restored", `{"frames":[]}`)
	n.clock.advance(-time.Hour)
	for range 10 {
		if err := n.RenewKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if made := len(n.ring.Keys()) - before; made != before {
		t.Errorf("%d keys were made in place of %d", made, before)
	}
}

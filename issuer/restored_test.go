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
	"github.com/counterfoil/counterfoil/oauth"
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

// A sight is what verifiers saw of a history that the database has lost.
type sight struct {
	frames []string            // as the feed sent them
	trust  string              // the statement in force then
	end    revocation.Position // after the last of them
}

// lose makes a backup of the store, has more happen that verifiers see, and starts a
// node on the backup.
func (n *node) lose(t *testing.T, more func(n *node)) (restored *node, seen *sight) {
	t.Helper()
	restored = n.goBack(t, func(n *node) { seen = n.watch(t, more) })
	return restored, seen
}

// goBack is lose for those who watch for themselves.
func (n *node) goBack(t *testing.T, more func(n *node)) *node {
	t.Helper()
	var backup []byte
	n = n.restart(t, func(path string) {
		var err error
		if backup, err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	})
	more(n)
	return n.restart(t, func(path string) { replace(t, path, backup) })
}

// watch follows the feed for as long as something happens.
func (n *node) watch(t *testing.T, more func(n *node)) *sight {
	t.Helper()
	l := n.follow(t, at(n.manifest(t).Position()))
	defer l.close()
	more(n)
	seen, end := &sight{trust: n.ring.Trust()}, n.manifest(t).Position()
	for seen.end.Before(end) {
		f, _, err := l.next()
		if err != nil {
			t.Fatal(err)
		}
		seen.frames, seen.end = append(seen.frames, l.data), f.End()
	}
	return seen
}

// show is an acknowledgement with what a verifier saw.
func (n *node) show(t *testing.T, seen *sight) {
	t.Helper()
	body := fmt.Sprintf(`{"instance":"one","epoch":%d,"seq":%d,"c":%q,"frames":[%s],"trust":%q}`,
		seen.end.Epoch, seen.end.Seq, seen.end.C, quoted(seen.frames), seen.trust)
	if a := send(t, request(t, "POST", n.url+"/revocation/ack", body)); a.status != 204 {
		t.Fatalf("%d %s", a.status, a.body)
	}
}

// hand gives what somebody kept to the issuer, as `counterfoil restored` does.
func (n *node) hand(t *testing.T, seen *sight) (out restored) {
	t.Helper()
	n.do(t, 200, "POST", "/admin/restored", fmt.Sprintf(`{"frames":[%s]}`, quoted(seen.frames))).into(t, &out)
	return out
}

type restored struct {
	Epoch     uint64 `json:"epoch"`
	Base      uint64 `json:"base"`
	Recovered int    `json:"recovered"`
	Unknown   int    `json:"unknown"`
}

// signing is the kid of the key that signs.
func (n *node) signing(t *testing.T) string {
	t.Helper()
	signer, err := n.ring.Signer("")
	if err != nil {
		t.Fatal(err)
	}
	return signer.Key().KeyID()
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
	var last uint64
	var before revocation.Position
	n, seen := n.lose(t, func(n *node) {
		n.revoke(t, "session", a.SessionID)
		last = n.revoke(t, "subject", "bob")
		before = n.load(t).Head()
	})
	out := n.hand(t, seen)
	if out.Base <= last || out.Epoch <= before.Epoch || out.Recovered != 2 || out.Unknown != 0 {
		t.Errorf("%+v after %v", out, before)
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
	n, seen := n.lose(t, func(n *node) {
		known := n.watch(t, func(n *node) { n.revoke(t, "subject", "alice") })
		n.show(t, known)
		if got := n.manifest(t).Position(); got != known.end {
			t.Fatalf("a frame that the log knows moved it to %v", got)
		}
	})
	if got := n.refresh(t, tokens.RefreshToken); got == 400 {
		t.Fatal("the backup knows of the revocation already")
	}
	n.show(t, seen)
	m := n.manifest(t)
	if m.Epoch <= seen.end.Epoch || m.Base <= seen.end.Seq || m.Head != m.Base+1 {
		t.Errorf("epoch %d base %d head %d after %v", m.Epoch, m.Base, m.Head, seen.end)
	}
	n.show(t, seen) // a second verifier: the epoch has begun
	if again := n.manifest(t); again.Epoch != m.Epoch || again.Head != m.Head {
		t.Errorf("every verifier begins an epoch: %d, %d", m.Epoch, again.Epoch)
	}
	if status, _ := n.signIn(t, alice, ""); status != 200 {
		t.Errorf("signing in again: %d", status)
	}
}

// The issuer has gone on with a backup and given the lost numbers to other entries: a
// frame that ends at one of them is told apart by its chain.
func TestThreat75LostNumberIsUsedAgain(t *testing.T) {
	n := newNode(t)
	_, tokens := n.signIn(t, n.addUser(t, "alice"), "")
	n.addUser(t, "bob")
	n, seen := n.lose(t, func(n *node) { n.revoke(t, "session", tokens.SessionID) })
	if again := n.revoke(t, "subject", "bob"); again != seen.end.Seq {
		t.Fatalf("%d is used again, and %d was lost", again, seen.end.Seq)
	}
	n.show(t, seen)
	if m := n.manifest(t); m.Epoch <= seen.end.Epoch {
		t.Errorf("epoch %d", m.Epoch)
	}
	if got := n.refresh(t, tokens.RefreshToken); got != 400 {
		t.Errorf("a revoked session came back to life: %d", got)
	}
}

// The feed key was changed after the backup, as after a theft, and verifiers take the one
// of before no more. What they show proves by the root that the database went back: what
// was lost is made again, and a key signs the feed that they take.
func TestThreat75FeedKeyIsLost(t *testing.T) {
	n := newNode(t)
	_, a := n.signIn(t, n.addUser(t, "alice"), "")
	_, b := n.signIn(t, n.addUser(t, "bob"), "")
	stolen := n.signing(t)
	var one, other, older *sight
	_, c := n.signIn(t, n.addUser(t, "carol"), "")
	n = n.goBack(t, func(n *node) {
		rotate := func() { n.do(t, 200, "POST", "/admin/keys/feed", "") }
		before := n.watch(t, func(n *node) { n.revoke(t, "session", c.SessionID) })
		rotate()
		older = n.watch(t, func(n *node) { n.revoke(t, "subject", "bob") })
		n.clock.advance(time.Minute)
		rotate()
		one = n.watch(t, func(n *node) {
			n.do(t, 200, "POST", "/admin/revoke", fmt.Sprintf(`{"kind":"key","value":%q,"absolute":true}`, stolen))
		})
		other = n.watch(t, func(n *node) { n.revoke(t, "session", a.SessionID) })
		other.frames = append(before.frames, other.frames...) // by the key of the backup
	})
	if n.signing(t) != stolen {
		t.Fatal("the backup knows of the kill already")
	}
	n.clock.advance(time.Minute)
	before := n.trust(t).Version
	n.show(t, one)
	after := n.trust(t).Version
	lost, err := revocation.OpenTrust(n.ring.Root(), n.ring.Issuer(), one.trust)
	if err != nil || lost.Version <= before || after <= lost.Version {
		t.Errorf("version %d, with %d lost, after %d, %v", after, lost.Version, before, err)
	}
	if n.signing(t) == stolen {
		t.Error("the killed key signs again")
	}
	n.show(t, other)
	if got := n.refresh(t, a.RefreshToken); got != 400 {
		t.Errorf("a revoked session came back to life: %d", got)
	}
	if got := n.refresh(t, c.RefreshToken); got != 400 {
		t.Errorf("a session that was revoked before the feed key was changed: %d", got)
	}
	if n.trust(t).Version != after {
		t.Error("each verifier changes the feed key")
	}
	body := fmt.Sprintf(`{"instance":"one","epoch":1,"seq":1,"c":"","frames":[%s],"trust":%q}`, quoted(older.frames), older.trust)
	if got := send(t, request(t, "POST", n.url+"/revocation/ack", body)); got.status != 400 {
		t.Errorf("a feed key that was given up before is believed: %d", got.status)
	}
	if got := n.refresh(t, b.RefreshToken); got != 200 {
		t.Errorf("bob: %d", got)
	}
}

// The epoch has begun when the verifiers come, with nothing or with what one of them
// knows: those whose turn it is later are believed as well, once, and begin no other.
func TestThreat75VerifiersComeAfterTheEpoch(t *testing.T) {
	n := newNode(t)
	_, a := n.signIn(t, n.addUser(t, "alice"), "")
	_, b := n.signIn(t, n.addUser(t, "bob"), "")
	var killed string
	var one, other, last *sight
	n, _ = n.lose(t, func(n *node) {
		one = n.watch(t, func(n *node) {
			n.revoke(t, "session", a.SessionID)
			killed = n.signing(t)
			n.do(t, 200, "POST", "/admin/revoke", fmt.Sprintf(`{"kind":"key","value":%q,"absolute":true}`, killed))
		})
		other = n.watch(t, func(n *node) { n.revoke(t, "session", b.SessionID) })
		last = n.watch(t, func(n *node) {
			n.revoke(t, "subject", "alice")
			n.do(t, 200, "POST", "/admin/revoke", fmt.Sprintf(`{"kind":"key","value":%q,"absolute":true}`, n.signing(t)))
		})
	})
	n.clock.advance(time.Minute) // restores do not take less than a second
	n.hand(t, &sight{})
	began := n.manifest(t).Position()
	for _, seen := range []*sight{one, other, one} {
		n.show(t, seen)
	}
	if got := n.manifest(t).Position(); got.Epoch != began.Epoch || got.Seq != began.Seq+3 {
		t.Errorf("the log is at %v, and was at %v before three entries were shown", got, began)
	}
	for name, tokens := range map[string]oauth.TokenResponse{"alice": a, "bob": b} {
		if got := n.refresh(t, tokens.RefreshToken); got != 400 {
			t.Errorf("the revoked session of %s: %d", name, got)
		}
	}
	if _, err := n.ring.Public().Find(killed, string(jwk.ES256)); err == nil {
		t.Error("the killed key is published again")
	}
	fresh := n.load(t)
	n.follow(t, at(fresh.Head())).apply(fresh, n.manifest(t).Head)
	if !n.revokedIn(fresh, revocation.Session, b.SessionID, other.end.Seq) {
		t.Error("a new verifier does not learn of it")
	}

	// What the log would have dropped by now is not made again; kills never are dropped.
	began = n.manifest(t).Position()
	err := n.store.Update(t.Context(), func(tx *store.Tx) error {
		_, err := tx.TrimLog(n.clock.Now().Add(time.Hour))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, seen := range []*sight{one, other, last} {
		n.show(t, seen)
	}
	if got := n.manifest(t).Position(); got.Epoch != began.Epoch || got.Seq != began.Seq+1 {
		t.Errorf("the log is at %v, and was at %v before one kill was shown", got, began)
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

// makeUp signs a frame of entries that are in no log.
func (n *node) makeUp(t *testing.T, epoch, first uint64, entries ...revocation.Entry) string {
	t.Helper()
	f := revocation.Frame{
		Issuer: n.ring.Issuer(), Epoch: epoch, First: first, C1: revocation.Link{}.Chain(first, entries),
		AsOf: n.clock.Now(), HandleKeyID: n.ring.HandleKey().ID(), Entries: entries,
	}
	signed, err := f.Sign(n.ring.FeedKey())
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// Who has the feed key and the credential of a verifier shows revocations of his own. He
// does not fill the tables of verifiers with entries that stay for ever, nor end one key
// after another. A person may believe more than the issuer does.
func TestThreat75MadeUpRevocations(t *testing.T) {
	n := newNode(t)
	alice, old := n.addUser(t, "alice"), map[string]bool{}
	for _, key := range n.ring.Keys() {
		old[key.KeyID] = true
	}
	before := n.manifest(t).Position()
	n.clock.advance(time.Minute)
	n.hand(t, &sight{})
	eventually(t, "keys of after the restore", func() bool { return !old[n.signing(t)] && n.count(keyring.Standby) == 2 })
	began := n.manifest(t).Head
	var entries []revocation.Entry
	for k := range 500 {
		entries = append(entries, revocation.Entry{Kind: revocation.Token, Flags: revocation.Absolute, Handle: revocation.Handle(k)},
			revocation.Entry{Kind: revocation.Key, Flags: revocation.Absolute, Handle: revocation.Handle(k)})
	}
	first := before.Seq + 1
	made := &sight{end: before}
	for len(entries) > 0 {
		some := entries[:min(len(entries), revocation.MaxFrameEntries)]
		made.frames = append(made.frames, n.makeUp(t, before.Epoch, first, some...))
		entries, first = entries[len(some):], first+uint64(len(some))
	}
	n.show(t, made)
	n.show(t, made)
	if got := n.manifest(t).Head - began; got == 0 || got > 256 {
		t.Errorf("%d entries stay for ever", got)
	}
	n.clock.advance(25 * time.Hour)
	var kills []revocation.Entry
	for _, key := range n.ring.Keys() {
		if key.State == keyring.Active || key.State == keyring.Standby {
			kills = append(kills, revocation.Entry{Kind: revocation.Key, Flags: revocation.Absolute,
				Handle: n.ring.HandleKey().Handle(revocation.Key, n.ring.Issuer(), key.KeyID)})
		}
	}
	killed := n.count(keyring.Killed)
	made = &sight{end: before, frames: []string{n.makeUp(t, before.Epoch, first, kills...)}}
	n.show(t, made)
	if got := n.count(keyring.Killed) - killed; got != 1 {
		t.Errorf("%d keys are killed", got)
	}
	if status, _ := n.signIn(t, alice, ""); status != 200 {
		t.Errorf("sign-in: %d", status)
	}
	if !strings.Contains(n.log.String(), "more lost revocations than are believed") {
		t.Error("the log does not say so")
	}
	if out := n.hand(t, made); out.Recovered != len(kills)-1 {
		t.Errorf("a person is believed %d of %d", out.Recovered, len(kills))
	}
}

// count returns how many keys are in a state.
func (n *node) count(state keyring.State) (keys int) {
	for _, key := range n.ring.Keys() {
		if key.State == state {
			keys++
		}
	}
	return keys
}

// Who has the feed key and the credential of a verifier shows a log of his own. He does
// not use up the numbers of ours, and epochs do not follow each other as he likes.
func TestThreat75MadeUpHistory(t *testing.T) {
	n := newNode(t)
	before := n.manifest(t).Position()
	own := func(epoch, first uint64) string {
		return n.makeUp(t, epoch, first, revocation.Entry{Kind: revocation.Session, Handle: revocation.Handle(first)})
	}
	shows := func(want int, frame string) {
		t.Helper()
		body := fmt.Sprintf(`{"instance":"one","epoch":1,"seq":1,"c":"","frames":[%q]}`, frame)
		if a := send(t, request(t, "POST", n.url+"/revocation/ack", body)); a.status != want {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	for _, frame := range []string{own(before.Epoch, revocation.MaxSeq-2), own(revocation.MaxSeq-1, before.Seq+1)} {
		shows(400, frame)
		n.do(t, 400, "POST", "/admin/restored", fmt.Sprintf(`{"frames":[%q]}`, frame))
	}
	if got := n.manifest(t).Position(); got != before {
		t.Fatalf("the log moved to %v", got)
	}
	if !strings.Contains(n.log.String(), "somebody has the feed key") {
		t.Error("the log does not say so")
	}
	shows(204, own(before.Epoch, before.Seq+1000))
	began := n.manifest(t).Position()
	if began.Epoch == before.Epoch {
		t.Error("one that could be true is not taken")
	}
	shows(503, own(began.Epoch, began.Seq+1000))
	n.clock.advance(11 * time.Minute)
	shows(204, own(began.Epoch, began.Seq+2000))
}

// A key that was killed after the backup is as stolen as before: it neither signs
// nor is published again.
func TestThreat75LostKillIsMadeAgain(t *testing.T) {
	n := newRemote(t)
	alice := n.addUser(t, "alice")
	stolen := n.signing(t)
	n, seen := n.lose(t, func(n *node) {
		n.do(t, 200, "POST", "/admin/revoke", fmt.Sprintf(`{"kind":"key","value":%q,"absolute":true}`, stolen))
	})
	n.hand(t, seen)
	if n.signing(t) == stolen {
		t.Error("the killed key signs again")
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
	stolen := n.signing(t)
	n, seen := n.lose(t, func(n *node) {
		if v := n.verdict(t, n.forge(t, tokens.AccessToken)); v != "forged" {
			t.Fatal(v)
		}
		n.until(t, stolen, store.IncidentQuarantined, store.IncidentSwitched)
	})
	n.do(t, 404, "GET", "/admin/incidents/"+stolen, "")
	n.hand(t, seen)
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
	n.hand(t, &sight{})
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
	n.hand(t, &sight{})
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

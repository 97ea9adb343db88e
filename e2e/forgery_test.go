package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/testport"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

// What we promise: from the first use of a forged token until the alarm, and until
// the last guard refuses it. A test on a shared machine asserts five times that.
const forgeryBound = 5 * time.Second

// controlTime is how long nothing may happen where nobody looks.
const controlTime = 2 * time.Second

// strikesEnv says how many times TestStolenKey steals the key; make soak and make
// bench want a hundred.
const strikesEnv = "COUNTERFOIL_STRIKES"

// crowdSize is the number of honest clients at work during a theft.
const crowdSize = 12

// A field is a deployment in processes of its own: issuer, notary and three guards,
// a receiver of alarms, a thief, and one session whose tokens the thief has seen.
type field struct {
	notary *notaryUnderTest
	iss    *issuerUnderTest
	guards []*guardUnderTest
	debug  []string // addresses of the guards' metrics
	alarms *alarms
	thief  *thief
	victim tokens
}

// newField starts a deployment whose issuer answers forgeries in the given mode.
func newField(t *testing.T, answer string) *field {
	t.Helper()
	return newFieldOver(t, nil, answer)
}

// newFieldOver is newField with an issuer that speaks https, so that nobody is
// believed for being on the same machine.
func newFieldOver(t *testing.T, tls *certificate, answer string) *field {
	t.Helper()
	f := &field{notary: newNotary(t), alarms: newAlarms(t)}
	config := fmt.Sprintf("  forgery:\n    answer: %s\n    webhook: %s\n", strconv.Quote(answer), f.alarms.url)
	f.iss = newIssuerWith(t, tls, config, "--notary-at", "unix:"+f.notary.socket)
	f.iss.addUser(t, "alice")
	for i := range 3 {
		debug := fmt.Sprintf("127.0.0.1:%d", testport.Free(t))
		f.debug = append(f.debug, debug)
		f.guards = append(f.guards, newGuard(t, f.iss, fmt.Sprintf("guard-%d", i+1), "--debug-listen", debug))
	}
	f.thief = newThief(t, f.iss)
	f.victim = f.iss.signIn(t, "alice")
	return f
}

// A notaryUnderTest is a running `counterfoil notary` on a unix socket.
type notaryUnderTest struct {
	*process
	data, socket string
}

func newNotary(t *testing.T) *notaryUnderTest {
	t.Helper()
	dir := t.TempDir()
	n := &notaryUnderTest{data: filepath.Join(dir, "notary"), socket: filepath.Join(dir, "notary.sock")}
	n.start(t)
	return n
}

// twin starts a second notary, with the same secrets.
func (n *notaryUnderTest) twin(t *testing.T) *notaryUnderTest {
	t.Helper()
	dir := t.TempDir()
	other := &notaryUnderTest{data: filepath.Join(dir, "notary"), socket: filepath.Join(dir, "notary.sock")}
	copyFolder(t, n.data, other.data, "notary.key", "release.json")
	other.start(t)
	return other
}

// start starts the notary, again if it ran before, on the same secret.
func (n *notaryUnderTest) start(t *testing.T) {
	t.Helper()
	n.process = start(t, "notary", nil, binaries.counterfoil, "notary", "--data", n.data, "--listen", "unix:"+n.socket)
	waitFor(t, n.process, "listening notary", func() error {
		conn, err := net.Dial("unix", n.socket)
		if err == nil {
			err = conn.Close()
		}
		return err
	})
}

// renewVictim gives the victim a token under the key that signs now.
func (f *field) renewVictim(t *testing.T) {
	t.Helper()
	status, got, err := f.iss.refresh(f.victim.Refresh)
	if err != nil || status != http.StatusOK {
		t.Fatalf("the victim's renewal: %d %q %v", status, got.Error, err)
	}
	f.victim = got
}

// A strike is one use of a stolen key: when it was found out, after the first use.
type strike struct {
	alarmed time.Duration // the webhook was received
	refused time.Duration // the last guard refused the token
}

// stealAndForge takes the key that signs now and forges with it.
func (f *field) stealAndForge(t *testing.T, forged forgery) (key *jwk.Key, token string) {
	t.Helper()
	key = f.thief.steal(t)
	f.renewVictim(t)
	if kid := keyIDOf(t, f.victim.Access); kid != key.KeyID() {
		t.Fatalf("the issuer signs with %s, and %s was stolen", kid, key.KeyID())
	}
	return key, forged.make(t, key, f.victim.Access)
}

// strike steals the key that signs now, forges a token, shows it to one guard and
// then to all of them, and waits for alarm and refusal.
func (f *field) strike(t *testing.T, forged forgery, at int) (s strike) {
	t.Helper()
	key, token := f.stealAndForge(t, forged)
	begin := time.Now()
	f.firstUse(t, forged, token, at)
	var wg sync.WaitGroup
	took, errs := make([]time.Duration, len(f.guards)), make([]error, len(f.guards))
	for i, g := range f.guards {
		wg.Go(func() {
			took[i], errs[i] = untilStatus(g.url+"/auth", token, http.StatusUnauthorized, begin, forgeryBound)
		})
	}
	raised, ok := f.alarms.await(forgeryBound, of("forged", key.KeyID()))
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			t.Errorf("%s: %s: %v", forged.name, f.guards[i].name, err)
		}
	}
	if !ok {
		t.Fatalf("%s: no alarm within %v of its first use", forged.name, forgeryBound)
	}
	if jti := claimOf(t, token, "jti"); raised.JTI != jti {
		t.Errorf("%s: the alarm names token %q, want %q", forged.name, raised.JTI, jti)
	}
	return strike{alarmed: raised.at.Sub(begin), refused: slices.Max(took)}
}

// firstUse shows a token to one guard. Where no limit of the key stands against
// it, it passes: it cannot be told from a genuine one without the notary.
func (f *field) firstUse(t *testing.T, forged forgery, token string, at int) {
	t.Helper()
	want := http.StatusOK
	if forged.refused {
		want = http.StatusUnauthorized
	}
	mustAsk(t, f.guards[at%len(f.guards)].url+"/auth", token, want)
}

// untilReplaced waits until another key signs than the stolen one, and every guard
// takes what it signs.
func (f *field) untilReplaced(t *testing.T, stolen string) {
	t.Helper()
	waitFor(t, f.iss.process, "successor of the key", func() error {
		f.renewVictim(t)
		if keyIDOf(t, f.victim.Access) == stolen {
			return fmt.Errorf("%s still signs", stolen)
		}
		return nil
	})
	for _, g := range f.guards {
		mustAsk(t, g.url+"/auth", f.victim.Access, http.StatusOK)
	}
}

// untilPrepared waits until every guard holds the key that would come next, as it
// does a second after that was published, and usually a day before it is needed.
func (f *field) untilPrepared(t *testing.T) {
	t.Helper()
	waitFor(t, f.iss.process, "a standby that every guard holds", func() error {
		var keys []struct {
			State   string    `json:"state"`
			Ready   time.Time `json:"ready"`
			Waiting []string  `json:"waiting"`
		}
		if err := json.Unmarshal([]byte(f.iss.command(t, "", "keys", "list", "--json")), &keys); err != nil {
			t.Fatal(err)
		}
		for _, k := range keys {
			if k.State == "standby" && !k.Ready.IsZero() && len(k.Waiting) == 0 {
				return nil
			}
		}
		return errors.New("there is none yet")
	})
}

// An incident is what counterfoil incident list --json prints of one.
type incident struct {
	KeyID    string              `json:"kid"`
	State    store.IncidentState `json:"state"`
	Reporter string              `json:"reporter"`
	Tokens   int                 `json:"tokens"`
}

func (f *field) incidents(t *testing.T) (list []incident) {
	t.Helper()
	if err := json.Unmarshal([]byte(f.iss.command(t, "", "incident", "list", "--json")), &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// strikeEach steals and forges once for each of a list, under load, and reports how
// long it took to find out.
func (f *field) strikeEach(t *testing.T, list []forgery) {
	t.Helper()
	crowd := newCrowd(t, f.iss, f.guards, crowdSize)
	var alarmed, refused []time.Duration
	for i, forged := range list {
		f.untilPrepared(t)
		stolen := f.thief.steal(t).KeyID()
		s := f.strike(t, forged, i)
		alarmed, refused = append(alarmed, s.alarmed), append(refused, s.refused)
		f.untilReplaced(t, stolen)
		if t.Failed() {
			break
		}
	}
	crowd.stop()
	report(t, "first use of a forged token until the alarm", alarmed)
	report(t, "first use of a forged token until the last guard refuses it", refused)
	crowd.check(t)
}

// keyIDOf says which key signed a token.
func keyIDOf(t *testing.T, token string) string {
	t.Helper()
	u, err := jwt.ParseUnverified(token)
	if err != nil {
		t.Fatal(err)
	}
	return u.UnverifiedHeader().KeyID
}

// forgeriesOf selects forgeries by the row of the threat that they belong to.
func forgeriesOf(threats ...int) []forgery {
	return slices.DeleteFunc(slices.Clone(forgeries), func(f forgery) bool { return !slices.Contains(threats, f.threat) })
}

// TestStolenKey is the whole story: the key that signs is stolen again and again,
// and each token forged with it is found at its first use, while nobody honest
// notices.
func TestStolenKey(t *testing.T) {
	strikes := len(forgeries)
	if s := os.Getenv(strikesEnv); s != "" {
		var err error
		if strikes, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	var list []forgery
	for i := range strikes {
		list = append(list, forgeries[i%len(forgeries)])
	}
	newField(t, "automatic").strikeEach(t, list)
}

func TestThreat82StolenKeyIsFoundAtItsFirstUse(t *testing.T) {
	newField(t, "automatic").strikeEach(t, forgeriesOf(82))
}

func TestThreat83CopiedJTIIsFoundAtItsFirstUse(t *testing.T) {
	newField(t, "automatic").strikeEach(t, forgeriesOf(83))
}

func TestThreat131OtherTypAndClaimsBeforeJTIAreFound(t *testing.T) {
	newField(t, "automatic").strikeEach(t, forgeriesOf(131))
}

// TestControlFindsNothing is the same theft where nobody looks: so the other tests
// see what the notary finds, and not something else.
func TestControlFindsNothing(t *testing.T) {
	f := newField(t, "off")
	for i, forged := range forgeries {
		_, token := f.stealAndForge(t, forged)
		f.firstUse(t, forged, token, i)
		for _, g := range f.guards {
			want := http.StatusOK
			if forged.refused {
				want = http.StatusUnauthorized
			}
			mustAsk(t, g.url+"/auth", token, want)
		}
		defer func() { // when controlTime is over
			for _, g := range f.guards {
				if !forged.refused {
					mustAsk(t, g.url+"/auth", token, http.StatusOK)
				}
			}
		}()
	}
	if raised, ok := f.alarms.await(controlTime, func(alarm) bool { return true }); ok {
		t.Errorf("an alarm where nobody looks: %s", raised.body)
	}
}

// TestDryRunOnlyAlarms: what a new operator turns on first.
func TestDryRunOnlyAlarms(t *testing.T) {
	f := newField(t, "alarm")
	key, token := f.stealAndForge(t, forgeries[0])
	f.firstUse(t, forgeries[0], token, 0)
	if _, ok := f.alarms.await(forgeryBound, of("forged", key.KeyID())); !ok {
		t.Fatal("no alarm")
	}
	time.Sleep(controlTime)
	for _, g := range f.guards {
		mustAsk(t, g.url+"/auth", token, http.StatusOK)
	}
	f.renewVictim(t)
	if kid := keyIDOf(t, f.victim.Access); kid != key.KeyID() {
		t.Errorf("the keys were changed: %s signs", kid)
	}
}

// TestGuardEndsAfterAForgery: a guard that is stopped as soon as it has let a forged
// token pass still tells of it.
func TestGuardEndsAfterAForgery(t *testing.T) {
	f := newField(t, "automatic")
	key, token := f.stealAndForge(t, forgeries[0])
	f.firstUse(t, forgeries[0], token, 0)
	f.guards[0].stop()
	if _, ok := f.alarms.await(forgeryBound, of("forged", key.KeyID())); !ok {
		t.Error("no alarm: what the guard had seen ended with it")
	}
}

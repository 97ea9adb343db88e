package session_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer/session"
	"github.com/counterfoil/counterfoil/issuer/store"
)

// A model is what the rules of refresh tokens say, told naively: it remembers
// every token of a session, and knows nothing of counters, hashes and MACs.
type model struct {
	epoch   int
	current string
	before  string // the token that current came from
	rotated time.Time
	holder  device
	touched int            // the epoch of the last rotation
	known   map[string]int // every token made in this history, and in which epoch
	dead    bool
}

func (m model) copy() model {
	m.known = maps.Clone(m.known)
	return m
}

// A verdict is what a token comes to, with the successor where there is one.
type verdict string

const (
	rotates  verdict = "rotates"
	repeats  verdict = "repeats"
	refused  verdict = "refused"
	theft    verdict = "theft"
	stranger verdict = "stranger"
)

// present judges a token that was made in the given epoch.
func (m *model) present(token string, made int, d device, now time.Time) verdict {
	_, known := m.known[token]
	switch {
	case m.dead:
		return refused
	case token == m.current:
		return rotates
	case token == m.before && now.Sub(m.rotated) <= session.RefreshGrace && d == m.holder:
		return repeats
	case token == m.before && now.Sub(m.rotated) <= session.RefreshGrace:
		return stranger
	case known:
		m.dead = true
		return theft
	// A token of the lost time: good once, if nobody came since the rollback and
	// its line was not given up in an earlier one.
	case m.touched < m.epoch && made >= m.touched:
		return rotates
	}
	m.dead = true
	return theft
}

func (m *model) rotate(token string, made int, next string, d device, now time.Time) {
	m.known[token], m.known[next] = made, m.epoch
	m.before, m.current, m.rotated, m.holder, m.touched = token, next, now, d, m.epoch
}

// A line is one decision of the implementation, without HTTP and SQL: the rules
// alone, on a row in memory.
type line struct {
	row   store.Session
	epoch uint64
	dead  bool
}

func (l *line) present(t *testing.T, token string, d device, now time.Time) (verdict, string) {
	r, err := session.ParseRefresh(fixedKeys{}, token)
	if err != nil {
		t.Fatal(err)
	}
	if l.dead {
		return refused, ""
	}
	holder := session.Holder{d.addr[0], d.agent[0]}
	switch decision := session.Decide(&l.row, r, holder, l.epoch, now); decision {
	case session.Rotate, session.Adopt:
		next := r.Next(l.epoch)
		l.row.Counter, l.row.Epoch, l.row.SecretHash = next.Counter, next.Epoch, next.SecretHash()
		l.row.Holder, l.row.RotatedAt = holder, now
		return rotates, next.Token()
	case session.Repeat:
		return repeats, r.Next(l.row.Epoch).Token()
	case session.Stranger:
		return stranger, ""
	case session.Theft:
		l.dead = true
		return theft, ""
	default:
		t.Fatalf("decision %d on a token that was made", decision)
		return "", ""
	}
}

// A world runs a line beside its model.
type world struct {
	t      *testing.T
	rng    *rand.Rand
	now    time.Time
	line   line
	model  model
	tokens []string // every token ever handed out, in any history
	made   map[string]int
	copies []backup
	trace  []string
}

type backup struct {
	line  line
	model model
}

func newWorld(t *testing.T, rng *rand.Rand) *world {
	first, err := session.NewRefresh(fixedKeys{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	token, now := first.Token(), time.Unix(1e9, 0)
	w := &world{t: t, rng: rng, now: now, tokens: []string{token}, made: map[string]int{token: 1}}
	w.line = line{epoch: 1, row: store.Session{
		ID: first.SessionID(), Epoch: 1, SecretHash: first.SecretHash(), RotatedAt: now,
	}}
	w.model = model{epoch: 1, current: token, rotated: now, touched: 1, known: map[string]int{token: 1}}
	return w
}

func (w *world) step() {
	switch n := w.rng.IntN(100); {
	case n < 70:
		w.presentAny()
	case n < 85:
		w.now = w.now.Add(time.Duration(w.rng.Int64N(int64(45 * time.Second))))
	case n < 88: // the clock goes back
		w.now = w.now.Add(-time.Duration(w.rng.Int64N(int64(5 * time.Second))))
	case n < 92:
		w.copies = append(w.copies, backup{w.line, w.model.copy()})
	case n < 96 && len(w.copies) > 0:
		b := w.copies[w.rng.IntN(len(w.copies))]
		epoch := w.model.epoch
		w.line, w.model = b.line, b.model.copy()
		w.newEpoch(epoch + 1)
	case n < 97:
		w.newEpoch(w.model.epoch + 1)
	}
}

func (w *world) newEpoch(n int) {
	w.model.epoch, w.line.epoch = n, uint64(n)
	w.trace = append(w.trace, fmt.Sprint("epoch ", n))
}

// presentAny presents a token, more often a late one, from one of two devices.
func (w *world) presentAny() {
	i := len(w.tokens) - 1 - min(int(w.rng.ExpFloat64()*0.5), len(w.tokens)-1)
	token, d := w.tokens[i], []device{laptop, thief}[min(w.rng.IntN(4), 1)]
	want := w.model.present(token, w.made[token], d, w.now)
	got, next := w.line.present(w.t, token, d, w.now)
	w.trace = append(w.trace, fmt.Sprintf("%s presents %d: %s", d.agent, i, got))
	if got != want {
		w.t.Fatalf("%s, the model says %s\n%q", got, want, w.trace)
	}
	switch got {
	case rotates:
		if _, seen := w.made[next]; seen {
			w.t.Fatalf("a token was handed out twice\n%q", w.trace)
		}
		w.model.rotate(token, w.made[token], next, d, w.now)
		w.tokens, w.made[next] = append(w.tokens, next), w.model.epoch
	case repeats:
		if next != w.model.current {
			w.t.Fatalf("another successor\n%q", w.trace)
		}
	}
}

// Two holders, a clock that jumps, copies made and put back, in random order.
func TestThreat109RulesAgreeWithTheModel(t *testing.T) {
	const worlds, steps = 4000, 60
	ends := make(map[bool]int)
	for seed := range uint64(worlds) {
		w := newWorld(t, rand.New(rand.NewPCG(seed, 109)))
		for range steps {
			w.step()
		}
		ends[w.model.dead]++
	}
	// The test is worth something only if both ends are met often.
	if ends[true] < worlds/10 || ends[false] < worlds/10 {
		t.Errorf("%d sessions died, %d lived", ends[true], ends[false])
	}
}

// The same, through HTTP and a file: fewer steps, the whole path.
func TestThreat110StoreAgreesWithTheModel(t *testing.T) {
	f := newFixture(t, nil)
	for seed := range uint64(12) {
		w := newStoreWorld(f, rand.New(rand.NewPCG(seed, 110)))
		for range 40 {
			w.step()
		}
	}
}

// A storeWorld runs the model beside the server.
type storeWorld struct {
	*fixture
	rng    *rand.Rand
	model  model
	sid    string
	tokens []string
	made   map[string]int
	file   []byte
	then   model
	trace  []string
}

func newStoreWorld(f *fixture, rng *rand.Rand) *storeWorld {
	f.t.Helper()
	a := f.signIn(laptop)
	w := &storeWorld{fixture: f, rng: rng, sid: a.SessionID, tokens: []string{a.RefreshToken}, made: map[string]int{a.RefreshToken: 1}}
	w.model = model{epoch: 1, current: a.RefreshToken, rotated: f.clock.now(), holder: laptop, touched: 1,
		known: map[string]int{a.RefreshToken: 1}}
	return w
}

func (w *storeWorld) step() {
	w.t.Helper()
	switch n := w.rng.IntN(100); {
	case n < 75:
		w.presentAny()
	case n < 90:
		w.clock.advance(time.Duration(w.rng.Int64N(int64(45 * time.Second))))
	case n < 94:
		w.file, w.then = w.backup(), w.model.copy()
	case n < 98 && w.file != nil:
		w.clock.advance(time.Second) // a new epoch takes its number from the clock
		epoch := w.model.epoch
		w.restore(w.file, true)
		w.model = w.then.copy()
		w.model.epoch = epoch + 1
		w.trace = append(w.trace, "restore")
	}
}

func (w *storeWorld) presentAny() {
	w.t.Helper()
	i := len(w.tokens) - 1 - min(int(w.rng.ExpFloat64()*0.5), len(w.tokens)-1)
	token, d := w.tokens[i], []device{laptop, thief}[min(w.rng.IntN(4), 1)]
	want := w.model.present(token, w.made[token], d, w.clock.now())
	a := w.refresh(d, token)
	w.trace = append(w.trace, fmt.Sprintf("%s presents %d: %d, %s", d.agent, i, a.Status, want))
	given := a.Status == http.StatusOK
	if given != (want == rotates || want == repeats) {
		w.t.Fatalf("%d %s\n%q", a.Status, a.Error, w.trace)
	}
	if alive := w.session(w.sid).RevokedSeq == 0; alive == w.model.dead {
		w.t.Fatalf("alive: %v\n%q", alive, w.trace)
	}
	switch want {
	case rotates:
		w.model.rotate(token, w.made[token], a.RefreshToken, d, w.clock.now())
		w.tokens, w.made[a.RefreshToken] = append(w.tokens, a.RefreshToken), w.model.epoch
	case repeats:
		if a.RefreshToken != w.model.current {
			w.t.Fatalf("another successor\n%q", w.trace)
		}
	}
}

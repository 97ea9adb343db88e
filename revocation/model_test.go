package revocation_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/revocation"
)

// The model: an issuer with a log, a verifier's table that sees it through
// frames, snapshots and restarts, tokens that live ten minutes, and a naive set
// of everything ever revoked that knows no bounds. After every step tokens are
// judged by both. A live token that the naive set refuses must be refused by
// the table (never under-revoked); one that only the table refuses must lie
// below its low-water mark (over-revoked only by that).

const (
	modelLife  = 10 * time.Minute
	modelNames = 40 // things of each kind that tokens name; handle 0 is one
)

type modelToken struct {
	minted  time.Time
	rsq     uint64
	forged  bool // the thief chose rsq; only absolute entries can reach it
	targets []revocation.Target
}

type modelRecord struct {
	revocation.Record
	at time.Time
}

type model struct {
	*testing.T
	rng    *rand.Rand
	log    *log
	table  *revocation.Table
	cfg    revocation.TableConfig
	naive  map[revocation.Target][]modelRecord
	tokens []modelToken
	fresh  revocation.Handle // the next handle never used before
	skew   time.Duration     // of the node that signs
	stats  struct{ checks, revoked, found, low, forged, behind, quarantined int }
}

func TestModelNeverUnderRevoked(t *testing.T) {
	for seed := range uint64(3) {
		m := &model{
			T: t, rng: rand.New(rand.NewPCG(seed, 1)), log: newLog(), fresh: 1 << 32,
			cfg:   revocation.TableConfig{Cap: revocation.MinCap, Retention: modelLife + revocation.RetentionSlack},
			naive: map[revocation.Target][]modelRecord{},
		}
		m.table = loaded(t, m.log, m.cfg)
		for range modelSteps {
			m.step()
			m.checkAll()
		}
		t.Logf("seed %d: %d entries, cap %d, peak %d, %+v", seed, len(m.log.records), m.cfg.Cap, m.table.Peak(), m.stats)
		if m.table.Peak() > m.cfg.Cap {
			t.Errorf("peak memory %d above the cap %d", m.table.Peak(), m.cfg.Cap)
		}
		s := m.stats
		if s.revoked == 0 || s.found == 0 || s.low == 0 || s.forged == 0 || s.behind == 0 || s.quarantined == 0 {
			t.Errorf("the model misses a case: %+v", s)
		}
	}
}

func (m *model) step() {
	switch p := m.rng.IntN(1000); {
	case p < 300:
		m.mint()
	case p < 330:
		m.forge()
	case p < 520:
		m.revoke()
	case p < 530:
		m.flood(m.rng.IntN(1500))
	case p < 800:
		m.log.now = m.log.now.Add(time.Duration(m.rng.IntN(5000)) * time.Millisecond)
		m.follow()
	case p < 900:
		m.follow()
	case p < 940:
		m.disorder()
	case p < 960:
		m.resync()
	case p < 975:
		m.restart()
	case p < 980:
		m.log.now = m.log.now.Add(time.Duration(m.rng.IntN(8)) * time.Minute)
	case p < 982:
		m.epoch()
	case p < 984:
		m.skew = time.Duration(m.rng.IntN(3)-1) * time.Hour
	}
}

func (m *model) name() revocation.Handle { return revocation.Handle(m.rng.IntN(modelNames)) }

func (m *model) unique() revocation.Handle { m.fresh++; return m.fresh }

func (m *model) mint() {
	tok := modelToken{minted: m.log.now, rsq: m.log.Seq, targets: []revocation.Target{
		target(revocation.Token, m.unique()), target(revocation.Session, m.unique()),
		target(revocation.Everything, 7),
	}}
	for kind := revocation.Subject; kind < revocation.Everything; kind++ {
		tok.targets = append(tok.targets, target(kind, m.name()))
	}
	m.add(tok)
}

// forge makes a token with a stolen key: any rsq, and no entry but an absolute
// one on its jti or kid means it.
func (m *model) forge() {
	m.add(modelToken{
		minted: m.log.now, rsq: m.log.Seq - uint64(m.rng.IntN(3)), forged: true,
		targets: []revocation.Target{target(revocation.Token, m.unique()), target(revocation.Key, m.unique())},
	})
}

func (m *model) add(tok modelToken) {
	if len(m.tokens) > 300 {
		m.tokens = m.tokens[100:]
	}
	m.tokens = append(m.tokens, tok)
}

func (m *model) revoke() {
	if len(m.tokens) == 0 {
		return
	}
	tok := m.tokens[m.rng.IntN(len(m.tokens))]
	what := tok.targets[m.rng.IntN(len(tok.targets))]
	e := entry(what.Kind, what.Handle)
	switch p := m.rng.IntN(100); {
	case what.Kind == revocation.Everything && p > 5:
		return
	case tok.forged || p < 3 && (what.Kind == revocation.Token || what.Kind == revocation.Device):
		e.Flags = revocation.Absolute
	case p < 6:
		e.Flags = revocation.Quarantine
	case p < 7 && what.Kind == revocation.Token:
		e.Flags = revocation.Quarantine | revocation.Absolute
	}
	m.append(e)
}

func (m *model) flood(n int) {
	for range n {
		m.append(entry(revocation.Kind(1+m.rng.IntN(7)), m.unique()))
	}
}

func (m *model) append(e revocation.Entry) {
	m.log.revoke(e)
	at := revocation.Target{Kind: e.Kind, Handle: e.Handle}
	m.naive[at] = append(m.naive[at], modelRecord{revocation.Record{Seq: m.log.Seq, Entry: e}, m.log.now})
}

// signed is f as the skewed node signs it.
func (m *model) signed(f *revocation.Frame) *revocation.Frame {
	f.AsOf = f.AsOf.Add(m.skew)
	return f
}

// follow applies some of what is missing, in frames cut anywhere.
func (m *model) follow() {
	for m.table.Head().Epoch == m.log.Epoch {
		head := m.table.Head().Seq
		missing := int(m.log.Seq - head)
		if m.rng.IntN(12) == 0 {
			return // the rest comes later
		}
		if missing == 0 {
			apply(m.T, m.table, m.signed(m.log.heartbeat()))
			return
		}
		overlap := m.rng.IntN(4)
		if uint64(overlap) > head-m.log.base {
			overlap = 0
		}
		n := overlap + 1 + m.rng.IntN(min(missing, revocation.MaxFrameEntries-4))
		apply(m.T, m.table, m.signed(m.log.frame(head-uint64(overlap), n)))
	}
}

// disorder sends what must be refused, and changes nothing.
func (m *model) disorder() {
	head := m.table.Head()
	if head.Epoch != m.log.Epoch {
		if err := m.table.Apply(m.signed(m.log.heartbeat())); !errors.Is(err, revocation.ErrGap) {
			m.Fatalf("frame of the next epoch: %v, want ErrGap", err)
		}
		return
	}
	if back := head.Seq - m.log.base; back > 1 {
		f := m.log.frame(head.Seq-2, 1)
		if err := m.table.Apply(f); !errors.Is(err, revocation.ErrStale) {
			m.Fatalf("older frame: %v, want ErrStale", err)
		}
	}
	if m.log.Seq > head.Seq+1 {
		if err := m.table.Apply(m.log.frame(head.Seq+1, 1)); !errors.Is(err, revocation.ErrGap) {
			m.Fatalf("frame after a gap: %v, want ErrGap", err)
		}
	}
	if m.table.Head() != head {
		m.Fatal("a refused frame moved the head")
	}
}

// resync loads a snapshot of the head: after a gap, in a new epoch, or for no
// reason.
func (m *model) resync() {
	if err := m.table.Load(m.log.snapshot(m.cfg.Retention)); err != nil {
		m.Fatalf("Load: %v", err)
	}
}

// restart goes through the file.
func (m *model) restart() {
	var file bytes.Buffer
	if _, err := m.table.WriteTo(&file); err != nil {
		m.Fatal(err)
	}
	cfg := m.cfg
	cfg.Issuer = issuer
	table, err := revocation.ReadTable(cfg, &file)
	if err != nil {
		m.Fatal(err)
	}
	if table.Head() != m.table.Head() || !table.AsOf().Equal(m.table.AsOf()) {
		m.Fatalf("restart moved the head from %v to %v", m.table.Head(), table.Head())
	}
	m.table = table
}

func (m *model) epoch() {
	m.log.now = m.log.now.Add(time.Second)
	m.log.newEpoch()
	if m.rng.IntN(2) == 0 {
		m.mint()
		m.revoke()
		m.resync()
	}
}

func (m *model) checkAll() {
	for range 40 {
		if len(m.tokens) == 0 {
			return
		}
		tok := m.tokens[m.rng.IntN(len(m.tokens))]
		if m.log.now.Sub(tok.minted) > modelLife {
			continue // dead by exp
		}
		m.check(tok)
	}
}

func (m *model) check(tok modelToken) {
	m.stats.checks++
	head, low := m.table.Head().Seq, m.table.LowWater()
	want := m.judge(tok, head)
	got := check(m.table, tok.rsq, tok.targets...)
	switch {
	case want.must && !got.Revoked:
		m.Fatalf("UNDER-REVOKED: rsq %d, head %d, low %d, %+v", tok.rsq, head, low, tok)
	case got.Revoked && !want.may && !(got.BelowLowWater && tok.rsq < low):
		m.Fatalf("over-revoked: %+v, rsq %d, head %d, low %d, %+v", got, tok.rsq, head, low, tok)
	case want.proof && !got.Quarantined && !got.Revoked:
		m.Fatalf("not quarantined: rsq %d, %+v", tok.rsq, tok)
	case got.Behind != (tok.rsq > head):
		m.Fatalf("Behind = %t with rsq %d and head %d", got.Behind, tok.rsq, head)
	}
	count(&m.stats.revoked, want.must && !tok.forged)
	count(&m.stats.found, want.must && !got.BelowLowWater)
	count(&m.stats.forged, want.must && tok.forged)
	count(&m.stats.low, got.BelowLowWater)
	count(&m.stats.behind, got.Behind)
	count(&m.stats.quarantined, got.Quarantined)
}

func count(n *int, yes bool) {
	if yes {
		*n++
	}
}

// A judgement is what the naive set says: what must be refused, what may be,
// and what must be proved.
type judgement struct{ must, may, proof bool }

// judge is the rule of what is revoked, without bounds, over all entries up to
// head. Absolute entries on other things than signing keys end at some time
// after the longest life of a token; all the rest counts for ever.
func (m *model) judge(tok modelToken, head uint64) (j judgement) {
	for _, what := range tok.targets {
		for _, r := range m.naive[what] {
			if r.Seq <= head {
				j.add(r, tok.rsq, m.log.now.Sub(r.at) <= modelLife)
			}
		}
	}
	return j
}

// add takes in a record on a target of the token; young says that tokens from
// before it are still alive.
func (j *judgement) add(r modelRecord, rsq uint64, young bool) {
	single := r.Entry.Kind == revocation.Token || r.Entry.Kind == revocation.Session
	switch flags := r.Entry.Flags; {
	case flags&revocation.Absolute != 0:
		j.may = true
		j.must = j.must || young || r.Entry.Kind == revocation.Key
	case flags&revocation.Quarantine != 0:
		j.proof = j.proof || young
	case single || r.Seq > rsq:
		j.must, j.may = true, true
	}
}

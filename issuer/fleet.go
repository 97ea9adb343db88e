package issuer

import (
	"context"
	"crypto/rand"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/issuer/store"
)

// The rhythm in which nodes tell each other what they have heard.
const (
	tellEvery    = time.Second           // when nobody waits
	tellHurried  = 50 * time.Millisecond // while somebody does, on any node
	waitsFor     = 3 * time.Second       // how long a node's mark says that somebody waits; renewed
	tellLimit    = 2 * time.Second       // for one exchange with the store
	awaitSpacing = 5 * time.Millisecond  // acknowledgements within it are counted together
)

// connectedFor is how long after its last acknowledgement a verifier counts as
// connected. It sends one every two seconds.
const connectedFor = 5 * time.Second

// A fleet is every instance of every verifier, whichever node it talks to. Each node
// writes what it has heard into a row of its own and reads those of the others.
type fleet struct {
	*holders
	st    *store.Store
	log   *slog.Logger
	id    string
	nudge chan struct{} // capacity 1: there may be a reason to hurry
	moved <-chan struct{}

	exchanging chan struct{}    // holds one token while an exchange runs, so that the newest wins
	versions   map[string]int64 // of the rows that were read; exchange's own
	told       time.Time        // when our row was last written; exchange's own
	marked     time.Time        // until then our mark stands; exchange's own
	hurried    time.Time        // until then somebody waits; exchange's own
}

func newFleet(st *store.Store, life time.Duration, moved <-chan struct{}, log *slog.Logger, now func() time.Time) *fleet {
	return &fleet{
		holders: newHolders(life, now), st: st, log: log, id: rand.Text(), moved: moved,
		nudge: make(chan struct{}, 1), exchanging: make(chan struct{}, 1), versions: map[string]int64{},
	}
}

// run exchanges what was heard until ctx ends. The log moves before anybody waits
// for it to be applied, so that is when to look for those who wait.
func (f *fleet) run(ctx context.Context) {
	if !f.st.Shared() {
		return
	}
	failing := false
	for {
		pace, err := f.exchange(ctx, false)
		if err != nil && !failing && ctx.Err() == nil {
			f.log.Error("what verifiers acknowledge is not shared with other nodes", "err", err)
		}
		failing = err != nil
		if !pause(ctx, tellHurried) {
			return
		}
		timer := time.NewTimer(pace - tellHurried)
		select {
		case <-ctx.Done():
		case <-f.moved:
		case <-f.nudge:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// exchange reads what other nodes have heard and writes what this one has. Whoever
// waits leaves a mark for others to hurry. The pace is how soon to come again.
func (f *fleet) exchange(ctx context.Context, waits bool) (pace time.Duration, err error) {
	if !f.st.Shared() {
		return tellEvery, nil
	}
	ctx, cancel := context.WithTimeout(ctx, tellLimit)
	defer cancel()
	select {
	case f.exchanging <- struct{}{}:
		defer func() { <-f.exchanging }()
	case <-ctx.Done():
		return tellEvery, ctx.Err()
	}
	if waits {
		if err := f.mark(ctx); err != nil {
			return tellEvery, err
		}
	}
	if err := f.read(ctx); err != nil {
		return tellEvery, err
	}
	hurried := f.now().Before(f.hurried)
	if hurried || f.now().Sub(f.told).Abs() > tellEvery-tellHurried {
		if err := f.write(ctx); err != nil {
			return tellEvery, err
		}
	}
	if hurried {
		return tellHurried, nil
	}
	return tellEvery, nil
}

// mark says that somebody waits here, ahead of when the last mark ends.
func (f *fleet) mark(ctx context.Context) error {
	now := f.now()
	f.hurried = now.Add(waitsFor)
	if f.marked.Sub(now) > waitsFor/2 {
		return nil
	}
	err := f.st.Update(ctx, func(tx *store.Tx) error {
		at, err := tx.Now()
		if err != nil {
			return err
		}
		return tx.MarkNode(f.id, at.Add(waitsFor))
	})
	if err == nil {
		f.marked = f.hurried
		signal(f.nudge)
	}
	return err
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // one is waiting already
	}
}

// write tells the others what was heard here, in the time of the database. It is the
// latest that it can have been: who waits is never told of an answer that came
// sooner than it did.
func (f *fleet) write(ctx context.Context) error {
	rows := f.tell()
	if rows == nil {
		return nil
	}
	f.told = f.now()
	err := f.st.Update(ctx, func(tx *store.Tx) error {
		sent := f.now()
		at, err := tx.Now()
		if err != nil {
			return err
		}
		heard, err := wire.Marshal(shifted(rows, at.Add(time.Millisecond).Sub(sent))) // at is cut off to one
		if err != nil {
			return err
		}
		return tx.SaveNode(store.NodeRow{ID: f.id, Heard: string(heard)})
	})
	if err != nil {
		f.untold()
	}
	return err
}

// shifted returns rows by another clock.
func shifted(rows []holder, by time.Duration) []holder {
	rows = slices.Clone(rows)
	for i := range rows {
		rows[i].Heard, rows[i].Since = rows[i].Heard.Add(by), rows[i].Since.Add(by)
		if !rows[i].Unanswered.IsZero() {
			rows[i].Unanswered = rows[i].Unanswered.Add(by)
		}
	}
	return rows
}

// read takes what other nodes have written since it was last called.
func (f *fleet) read(ctx context.Context) error {
	return f.st.View(ctx, func(tx *store.Tx) error {
		at, err := tx.Now()
		if err != nil {
			return err
		}
		ahead := f.now().Sub(at) // at the most
		nodes, err := tx.Nodes()
		if err != nil {
			return err
		}
		var names []string
		for _, n := range nodes {
			if n.ID == f.id {
				continue
			}
			names = append(names, n.ID)
			if until := n.Waits.Add(ahead); until.After(f.hurried) {
				f.hurried = until
			}
			if err := f.readNode(tx, n, ahead); err != nil {
				return err
			}
		}
		f.keep(names)
		maps.DeleteFunc(f.versions, func(node string, _ int64) bool { return !slices.Contains(names, node) })
		return nil
	})
}

func (f *fleet) readNode(tx *store.Tx, n store.NodeRow, ahead time.Duration) error {
	if f.versions[n.ID] == n.Version {
		return nil
	}
	row, err := tx.Node(n.ID)
	if err != nil {
		return err
	}
	var rows []holder
	if err := wire.Unmarshal([]byte(row.Heard), &rows); err != nil {
		return err
	}
	f.learn(n.ID, shifted(rows, ahead))
	f.versions[n.ID] = row.Version
	return nil
}

// tidy removes the rows of nodes that have been gone for longer than a token lives.
func (f *fleet) tidy(ctx context.Context) error {
	if !f.st.Shared() {
		return nil
	}
	return f.st.Update(ctx, func(tx *store.Tx) error {
		now, err := tx.Now()
		if err != nil {
			return err
		}
		return tx.RemoveNodes(now.Add(-f.life))
	})
}

// A Coverage tells which verifiers refuse what an entry revokes.
type Coverage struct {
	Confirmed int      `json:"confirmed"`
	Of        int      `json:"of"`         // instances heard within the longest token life, on any node
	Silent    []string `json:"silent"`     // those that did not confirm in time, as credential/instance
	SlowestMS int64    `json:"slowest_ms"` // from the order to when the last that confirmed was heard
}

// await waits until every instance has confirmed seq, or ctx ends.
func (f *fleet) await(ctx context.Context, epoch, seq uint64, began time.Time) Coverage {
	first := map[string]time.Time{} // when each was first known to have confirmed
	renew := time.NewTicker(waitsFor / 3)
	defer renew.Stop()
	for {
		rows, changed := f.list()
		c := cover(rows, epoch, seq, began, first)
		if len(c.Silent) == 0 {
			return c
		}
		select {
		case <-changed:
			pause(ctx, awaitSpacing)
		case <-renew.C:
			_, _ = f.exchange(ctx, true) // if it fails we still count those that this node hears
		case <-serve.Draining(ctx):
			return c
		case <-ctx.Done():
			return c
		}
	}
}

// cover counts. An instance that went further meanwhile confirmed when it was first
// seen to have.
func cover(rows []holder, epoch, seq uint64, began time.Time, first map[string]time.Time) Coverage {
	c := Coverage{Of: len(rows), Silent: []string{}}
	for _, row := range rows {
		name := row.name()
		if !row.reached(epoch, seq) {
			c.Silent = append(c.Silent, name)
			continue
		}
		if _, ok := first[name]; !ok {
			first[name] = row.Since
		}
		c.SlowestMS = max(c.SlowestMS, first[name].Sub(began).Milliseconds())
	}
	c.Confirmed = c.Of - len(c.Silent)
	return c
}

// connected returns the verifiers that are connected to any node. Other nodes are asked
// to hurry for who waits.
func (i *Issuer) connected(ctx context.Context, waits bool) ([]holder, error) {
	if _, err := i.fleet.exchange(ctx, waits); err != nil {
		return nil, err
	}
	rows, _ := i.fleet.list()
	limit := i.cfg.Now().Add(-connectedFor)
	return slices.DeleteFunc(rows, func(row holder) bool { return row.Heard.Before(limit) }), nil
}

// without names those of some verifiers that do not hold key kid, as
// credential/instance. What a verifier holds is known by the hash that it
// acknowledges; one whose hash is not that of a set that was published here lately
// does not count as having it.
func (i *Issuer) without(rows []holder, kid string) (names []string) {
	for _, row := range rows {
		if !i.hub.jwks.has(row.Keys, kid) {
			names = append(names, row.name())
		}
	}
	return names
}

// waitingFor names the connected verifiers that do not hold key kid yet, on any
// node. It is a gate of package keyring. The present set is rendered first: where
// nobody asks this node for keys, it would know of none that others hold.
func (i *Issuer) waitingFor(ctx context.Context, kid string) ([]string, error) {
	if _, err := i.keySet(ctx); err != nil {
		return nil, err
	}
	rows, err := i.connected(ctx, false)
	return i.without(rows, kid), err
}

package issuer

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"
)

// Bounds on what is remembered about verifiers.
const (
	maxPerVerifier  = 256         // instances of one credential, on all nodes
	maxVerifierRows = 4096        // instances in all
	farewellFor     = time.Minute // other nodes learn within it that an instance has signed off; see isSpent
)

// clockDoubt is how far apart the clocks of two nodes may seem to be. Of two
// acknowledgements within it of each other nobody can tell which is the newer.
const clockDoubt = time.Second

// A holder is one instance of a verifier, by its last acknowledgement: it holds keys and
// a position in the log.
type holder struct {
	Credential string `json:"credential"`
	acknowledgement
	Heard time.Time `json:"heard"`
	Since time.Time `json:"since"`         // when it first said that it is where it is
	Fork  bool      `json:"fork,omitzero"` // it stands where our log does not lead: two histories

	Unanswered time.Time `json:"unanswered,omitzero"` // since when each acknowledgement says that reports are
}

func (h *holder) name() string { return h.Credential + "/" + h.Instance }

func (h *holder) at(o *holder) bool { return h.Epoch == o.Epoch && h.Seq == o.Seq && h.C == o.C }

// later returns the newer of two acknowledgements of one instance. Where the clocks
// of two nodes leave that open, it is the one that signs off, or the one that is
// further in the log: an instance does not go back.
func later(a, b holder) holder {
	switch d := a.Heard.Sub(b.Heard); {
	case d > clockDoubt:
		return a
	case d < -clockDoubt:
		return b
	case a.Done != b.Done:
		if a.Done {
			return a
		}
		return b
	case a.Epoch == b.Epoch && a.Seq == b.Seq:
		return sooner(a, b)
	case a.reached(b.Epoch, b.Seq):
		return a
	}
	return b
}

// sooner returns the newer of two acknowledgements of the same number. The older one
// tells since when it has been so.
func sooner(a, b holder) holder {
	if b.Heard.After(a.Heard) {
		a, b = b, a
	}
	if a.at(&b) && b.Since.Before(a.Since) {
		a.Since = b.Since
	}
	return a
}

type instance struct{ credential, name string }

func (h *holder) instance() instance { return instance{h.Credential, h.Instance} }

// holders remembers the instances that were heard within the longest token life:
// on this node, and on those that share its database.
type holders struct {
	life time.Duration
	now  func() time.Time

	mu      sync.Mutex
	heard   map[instance]holder            // here
	others  map[string]map[instance]holder // elsewhere, by node
	news    bool                           // heard has changed since it was last told to others
	changed chan struct{}                  // closed and replaced when anything has
}

func newHolders(life time.Duration, now func() time.Time) *holders {
	return &holders{
		life: life, now: now, heard: map[instance]holder{}, others: map[string]map[instance]holder{},
		changed: make(chan struct{}),
	}
}

// put takes an acknowledgement. known is what was heard from the instance before, on
// any node; ok is false when its credential has too many instances.
func (h *holders) put(row holder) (known holder, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	known, ok = h.find(row.instance())
	ok = ok && !known.Done
	if !ok && row.Done {
		return known, true // one that we do not know signs off
	}
	if !ok && !h.room(row.Credential) {
		return known, false
	}
	row.Since = row.Heard
	if ok && known.at(&row) {
		row.Since = known.Since
	}
	if row.isUnanswered() {
		row.Unanswered = row.Heard
		if ok && !known.Unanswered.IsZero() && row.Heard.Sub(known.Heard) <= connectedFor {
			row.Unanswered = known.Unanswered
		}
	}
	h.heard[row.instance()] = row
	h.news = true
	h.change()
	return known, true
}

// change wakes who waits. Callers hold h.mu.
func (h *holders) change() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// find returns the newest acknowledgement of an instance. Callers hold h.mu.
func (h *holders) find(key instance) (newest holder, ok bool) {
	newest, ok = h.heard[key]
	for _, rows := range h.others {
		if row, there := rows[key]; there {
			if ok {
				row = later(newest, row)
			}
			newest, ok = row, true
		}
	}
	return newest, ok && !h.isOver(&newest)
}

// isOver reports whether an acknowledgement is too old to count.
func (h *holders) isOver(row *holder) bool {
	life := h.life
	if row.Done {
		life = min(life, farewellFor)
	}
	return row.Heard.Before(h.now().Add(-life))
}

// isSpent reports whether nothing depends on an acknowledgement that was heard here
// any more. A farewell is kept as long as another node's rows, perhaps those of one
// that is gone, say that the instance is there. Callers hold h.mu.
func (h *holders) isSpent(row *holder) bool {
	return h.isOver(row) && !(row.Done && h.isClaimed(row.instance()))
}

// isClaimed reports whether another node has heard of an instance, and no farewell.
// Callers hold h.mu.
func (h *holders) isClaimed(key instance) bool {
	for _, rows := range h.others {
		if row, ok := rows[key]; ok && !row.Done {
			return true
		}
	}
	return false
}

// room makes sure that one more instance fits. It forgets silent ones, and those that
// signed off when there are too many of them; there are no more of those that it keeps
// than other nodes have rows. Callers hold h.mu.
func (h *holders) room(credential string) bool {
	h.forget(h.isSpent)
	all := h.all()
	live, farewells, total := 0, 0, 0
	for key, row := range all {
		switch {
		case row.Done && key.credential == credential:
			farewells++
		case !row.Done:
			total++
			if key.credential == credential {
				live++
			}
		}
	}
	if farewells >= maxPerVerifier {
		h.forget(func(row *holder) bool {
			return row.Done && row.Credential == credential && !h.isClaimed(row.instance())
		})
	}
	return live < maxPerVerifier && total < maxVerifierRows
}

func (h *holders) forget(over func(*holder) bool) {
	maps.DeleteFunc(h.heard, func(_ instance, row holder) bool { return over(&row) })
}

// all returns the newest acknowledgement of every instance, also of those that have
// signed off. Callers hold h.mu.
func (h *holders) all() map[instance]holder {
	all := maps.Clone(h.heard)
	for _, rows := range h.others {
		for key, row := range rows {
			if known, ok := all[key]; ok {
				row = later(known, row)
			}
			all[key] = row
		}
	}
	return all
}

// list returns who was heard, in order of name, and a channel that closes when
// somebody else or something new is.
func (h *holders) list() ([]holder, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forget(h.isSpent)
	rows := make([]holder, 0, len(h.heard))
	for _, row := range h.all() {
		if !row.Done && !h.isOver(&row) {
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, func(a, b holder) int { return cmp.Compare(a.name(), b.name()) })
	return rows, h.changed
}

// tell returns what others do not know yet, which is all that was heard here, and
// nil when there is nothing new. untold takes it back: it did not reach them.
func (h *holders) tell() []holder {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.news {
		return nil
	}
	h.news = false
	h.forget(h.isSpent)
	rows := make([]holder, 0, len(h.heard))
	for _, row := range h.heard {
		rows = append(rows, row)
	}
	return rows
}

func (h *holders) untold() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.news = true
}

// learn takes what another node has heard, in place of what it had before. An
// instance that has moved there is not kept here: were it to sign off there, it
// would seem to be here still.
func (h *holders) learn(node string, rows []holder) {
	h.mu.Lock()
	defer h.mu.Unlock()
	there := make(map[instance]holder, len(rows))
	for _, row := range rows[:min(len(rows), maxVerifierRows)] {
		there[row.instance()] = row
		mine, ok := h.heard[row.instance()]
		if ok && (row.Heard.Sub(mine.Heard) > clockDoubt || later(mine, row).Done && !mine.Done) {
			delete(h.heard, row.instance())
			h.news = true
		}
	}
	h.others[node] = there
	h.change()
}

// keep forgets every node that is not among those named.
func (h *holders) keep(nodes []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	maps.DeleteFunc(h.others, func(node string, _ map[instance]holder) bool { return !slices.Contains(nodes, node) })
}

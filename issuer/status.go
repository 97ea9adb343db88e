package issuer

import (
	"time"

	"github.com/counterfoil/counterfoil/issuer/forgery"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/session"
)

// Status is a moment in the life of an Issuer, for people and metrics. Counters are
// since the process began, and of this node.
type Status struct {
	Sessions session.Counts

	Epoch uint64    // of the log, as this node last read it
	Head  uint64    // seq of its last entry
	AsOf  time.Time // when that read began

	Keys []keyring.Info // every key that the keyring has or had

	Verifiers VerifierCounts // on all nodes, as this one knows

	Forgeries     forgery.Counts // zero when nothing is answered
	ForgeryBounds forgery.Bounds
}

// VerifierCounts count the instances that were heard within the longest token life.
type VerifierCounts struct {
	Connected int           // heard within the last seconds
	Silent    int           // not, and not signed off either
	Behind    int           // connected, and not at the head of the log yet
	Forked    int           // stand where our log does not lead
	Oldest    time.Duration // since the least recent of the connected ones was heard

	Unanswered int // connected, and for long enough for an alarm without an answer to their reports
	Partial    int // connected, and report a share of tokens or none: forgeries among the others go unnoticed
}

// Status returns the present state.
func (i *Issuer) Status() Status {
	s := Status{Sessions: i.sessions.Counts(), Keys: i.keys.Keys()}
	if v := i.hub.latest.Load(); v != nil {
		s.Epoch, s.Head, s.AsOf = v.head.Epoch, v.head.Seq, v.asOf
	}
	s.Verifiers = i.countVerifiers(s.Epoch, s.Head)
	if i.desk != nil {
		s.Forgeries, s.ForgeryBounds = i.desk.Counts(), i.desk.Bounds()
	}
	return s
}

func (i *Issuer) countVerifiers(epoch, head uint64) (c VerifierCounts) {
	now := i.cfg.Now()
	rows, _ := i.fleet.list()
	for _, row := range rows {
		if row.Fork {
			c.Forked++
		}
		age := now.Sub(row.Heard)
		if age > connectedFor {
			c.Silent++
			continue
		}
		c.Connected++
		c.Oldest = max(c.Oldest, age)
		if row.isCut() {
			c.Unanswered++
		}
		if s := row.Seen; s != nil && (s.Off || s.Share < 1) {
			c.Partial++
		}
		if !row.reached(epoch, head) {
			c.Behind++
		}
	}
	return c
}

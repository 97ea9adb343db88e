package issuer

import (
	"time"

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
}

// Status returns the present state.
func (i *Issuer) Status() Status {
	s := Status{Sessions: i.sessions.Counts(), Keys: i.keys.Keys()}
	if v := i.hub.latest.Load(); v != nil {
		s.Epoch, s.Head, s.AsOf = v.head.Epoch, v.head.Seq, v.asOf
	}
	return s
}

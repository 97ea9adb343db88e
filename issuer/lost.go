package issuer

import (
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/revocation"
)

// strikePage is how many entries of the log are read at once, to find those that frames
// show.
const strikePage = 4096

// lostLog is what signed frames say of a history that the database does not know.
type lostLog struct {
	entries map[mark]revocation.Entry
	end     revocation.Position // the highest one that the epoch does not lie above; zero: there is none
}

// nothing reports whether the log knows all that was shown.
func (l *lostLog) nothing() bool { return l.end.Epoch == 0 && len(l.entries) == 0 }

// lostEntries compares frames with the log.
func lostEntries(tx *store.Tx, frames []*revocation.Frame) (*lostLog, error) {
	held, err := tx.Head()
	if err != nil {
		return nil, err
	}
	lost := &lostLog{entries: map[mark]revocation.Entry{}}
	for _, f := range frames {
		known, err := leadsThrough(tx, held, f)
		if err != nil {
			return nil, err
		}
		if !known {
			lost.take(held, f)
		}
	}
	return lost, lost.strike(tx)
}

// leadsThrough reports whether our log passes through the end of a frame, or cannot
// tell. It does not where the frame ends above the head, or with another value of the
// chain.
func leadsThrough(tx *store.Tx, held store.Head, f *revocation.Frame) (bool, error) {
	end := f.End()
	if end.Epoch > held.Epoch || end.Epoch == held.Epoch && end.Seq > held.Seq {
		return false, nil
	}
	if end.Epoch == held.Epoch && (end.Seq <= held.LowWater || end.Seq <= held.Base) {
		return true, nil // trimmed, or before the epoch: nothing to compare with
	}
	at, err := tx.Log(end.Seq-1, 1)
	if err != nil || len(at) == 0 || at[0].Seq != end.Seq {
		return false, err
	}
	return at[0].Epoch == end.Epoch && at[0].C == end.C, nil
}

// take adds a frame that our log does not pass through. The numbers of an epoch that is
// over lie below those of the present one, where entries are made again without
// beginning another; below the low-water mark, the log would have dropped them as well.
func (l *lostLog) take(held store.Head, f *revocation.Frame) {
	over := f.Epoch < held.Epoch && f.Last() <= held.Base
	if !over && l.end.Before(f.End()) {
		l.end = f.End()
	}
	for k, e := range f.Entries {
		seq := f.First + uint64(k)
		if over && seq <= held.LowWater && !staysForEver(e) {
			continue
		}
		l.entries[mark{f.Epoch, seq}] = e
	}
}

// staysForEver reports whether no log drops an entry, see [store.Tx.TrimLog].
func staysForEver(e revocation.Entry) bool {
	return e.Kind == revocation.Key && e.Flags&revocation.Absolute != 0
}

// strike leaves out what the log holds at the same or a higher number. It has all that
// was made again before: a second verifier that shows the same changes nothing.
func (l *lostLog) strike(tx *store.Tx) error {
	if len(l.entries) == 0 {
		return nil
	}
	held := map[revocation.Entry]uint64{} // the highest number of those that were shown
	first := uint64(revocation.MaxSeq)
	for at, e := range l.entries {
		held[e], first = 0, min(first, at.seq)
	}
	for after := first - 1; ; {
		records, err := tx.Log(after, strikePage)
		if err != nil {
			return err
		}
		for _, r := range records {
			if _, shown := held[r.Entry]; shown {
				held[r.Entry] = r.Seq
			}
		}
		if len(records) < strikePage {
			break
		}
		after = records[len(records)-1].Seq
	}
	for at, e := range l.entries {
		if held[e] >= at.seq {
			delete(l.entries, at)
		}
	}
	return nil
}

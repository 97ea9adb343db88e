package forgery

import (
	"errors"
	"time"

	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/revocation"
)

// fromLog stands among reporters for the revocation log, where an incident is made
// again from entries that the database had lost. No client has a slash in its name.
const fromLog = "issuer/log"

// Recall makes again what the database has lost of the incident of a key, from an
// entry of the key that was made again in the same transaction, and is now record.
// The answer goes on from there. What was found, and who found it, is lost. When the
// transaction has committed, the caller calls told, which says what was done.
func (d *Desk) Recall(tx *store.Tx, kid string, record store.LogRecord) (told func(), err error) {
	key, err := tx.Key(kid)
	if errors.Is(err, store.ErrNotFound) {
		return func() {}, nil
	}
	if err != nil {
		return nil, err
	}
	in, s, err := d.read(tx, kid)
	fresh := errors.Is(err, store.ErrNotFound)
	if err != nil && !fresh {
		return nil, err
	}
	if fresh {
		*in = store.Incident{KeyID: kid, Drill: key.Use == keyring.UseDrill, Reporter: fromLog, Found: s.at, Seen: s.at}
	}
	if !s.recall(in, &key, record) {
		return func() {}, nil
	}
	s.incident = *in
	if fresh {
		err = tx.InsertIncident(*in)
	} else {
		err = tx.UpdateIncident(*in)
	}
	if err == nil {
		err = d.writeAlarms(tx, s)
	}
	return func() { d.say(s) }, err
}

// recall takes an incident as far as an entry of its key says that it had come.
func (s *step) recall(in *store.Incident, key *store.KeyRow, record store.LogRecord) bool {
	gone := key.State == keyring.Killed || key.State == keyring.Retired
	switch flags := record.Entry.Flags; {
	case flags&revocation.Absolute != 0 && in.State != store.IncidentKilled:
		// Nobody knows who gave it up. As if the issuer had, it gives up no other
		// key by itself within a day.
		in.State, in.Killed, in.KillSeq, in.Automatic, in.Held = store.IncidentKilled, s.at, record.Seq, true, false
		s.alarm(KindKilled, "restored seq="+formatSeq(record.Seq))
	case flags&revocation.Quarantine != 0 && !gone:
		if in.State != store.IncidentSwitched {
			in.State = store.IncidentQuarantined
			in.Switched, in.Drained, in.Closed, in.Held = time.Time{}, time.Time{}, time.Time{}, false
		}
		in.QuarantineSeq, in.Quarantined = record.Seq, s.at
		s.alarm(KindQuarantined, "restored seq="+formatSeq(record.Seq))
	default:
		return false
	}
	return true
}

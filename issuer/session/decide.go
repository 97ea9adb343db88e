package session

import (
	"cmp"
	"crypto/subtle"
	"time"

	"github.com/counterfoil/counterfoil/issuer/store"
)

// RefreshGrace is how long after a rotation the token before still gets the
// successor that the rotation made, in database time. It covers tabs that race
// and answers that were lost.
const RefreshGrace = 30 * time.Second

// A Decision is what a presented refresh token comes to.
type Decision uint8

const (
	// Rotate: it is the row's token. Its successor replaces it.
	Rotate Decision = iota + 1
	// Adopt: the row was rolled back behind it. It is accepted this once, its
	// successor becomes the row's, and any other token of the lost time is Theft.
	Adopt
	// Repeat: it is the one before, from the same holder and in time. It gets the
	// successor that is there already.
	Repeat
	// Stranger: it is the one before, in time, from another holder. It gets
	// nothing, and nothing is revoked.
	Stranger
	// Theft: it was used before, or belongs to a line that another holder
	// continued. The session ends.
	Theft
	// Impossible: its MAC is right and it was never made. Somebody has the MAC
	// key, or the database was rolled back and nobody said so.
	Impossible
)

// Decide judges a refresh token against its session's row. epoch is the log's
// and now is the database's; both come from the snapshot that holds the row.
//
// Tokens of a session are ordered by epoch, then by counter. A row and its token
// stand at the same place. An epoch begins when the database may have been rolled
// back, so a token ahead of the row is believed if it is from before the present
// epoch; the first to be believed carries the row into the present epoch, and
// with it all the others fall behind.
func Decide(row *store.Session, r *Refresh, holder Holder, epoch uint64, now time.Time) Decision {
	place := cmp.Or(cmp.Compare(r.Epoch, row.Epoch), cmp.Compare(r.Counter, row.Counter))
	switch {
	case place == 0 && sameHash(r.SecretHash(), row.SecretHash):
		return Rotate
	case place > 0 && r.Epoch < epoch:
		return Adopt
	case place >= 0:
		return Impossible
	case !precedes(r, row) || now.Sub(row.RotatedAt) > RefreshGrace:
		return Theft
	case !sameHash(holder, row.Holder):
		return Stranger
	}
	return Repeat
}

// precedes reports whether the row's token is the successor of r.
func precedes(r *Refresh, row *store.Session) bool {
	return r.Counter+1 == row.Counter && sameHash(r.Next(row.Epoch).SecretHash(), row.SecretHash)
}

func sameHash(a, b [32]byte) bool { return subtle.ConstantTimeCompare(a[:], b[:]) == 1 }

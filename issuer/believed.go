package issuer

import (
	"fmt"
	"time"

	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/revocation"
)

// What is made again in a day because verifiers showed it, all of them together. Frames
// are believed for the feed key alone, and whoever stole it, and the credential of a
// verifier, makes them as he likes: he must neither fill the table of every verifier with
// entries that never leave it, nor end one key after another. The rest waits for a person,
// who hands it to `counterfoil restored`.
const (
	believedFor     = 24 * time.Hour
	believedEntries = 50_000
	believedMarks   = 256 // with a flag: they stay, or have tokens asked about
	believedKills   = 1   // of keys that sign or will
)

// believedKey is where the store keeps what was made again in the day that began then.
const believedKey = "restored.believed"

// believed counts what was made again.
type believed struct {
	since                 int64 // Unix milliseconds
	entries, marks, kills int
}

// readBelieved reads the counts of the present day, for all nodes.
func readBelieved(tx *store.Tx) (*believed, error) {
	now, err := tx.Now()
	if err != nil {
		return nil, err
	}
	if _, err := tx.KeepMeta(believedKey, (&believed{}).String()); err != nil {
		return nil, err
	}
	text, err := tx.LockMeta(believedKey)
	if err != nil {
		return nil, err
	}
	b := &believed{}
	if _, err := fmt.Sscanf(text, "%d %d %d %d", &b.since, &b.entries, &b.marks, &b.kills); err != nil {
		return nil, fmt.Errorf("what verifiers were believed cannot be read: %w", err)
	}
	if age := now.UnixMilli() - b.since; age < 0 || age >= believedFor.Milliseconds() {
		b = &believed{since: now.UnixMilli()}
	}
	return b, nil
}

func (b *believed) String() string {
	return fmt.Sprintf("%d %d %d %d", b.since, b.entries, b.marks, b.kills)
}

func (b *believed) keep(tx *store.Tx) error { return tx.SetMeta(believedKey, b.String()) }

// take reports whether an entry is made again, and counts it. key is the row that it is
// about, if it is about a key.
func (b *believed) take(e revocation.Entry, key *store.KeyRow) bool {
	next := *b
	next.entries++
	if e.Flags != 0 {
		next.marks++
	}
	if e.Kind == revocation.Key {
		switch {
		case key == nil:
			return false // it was made after the backup, and no key set has it any more
		case e.Flags&revocation.Absolute != 0 && (key.State == keyring.Active || key.State == keyring.Standby):
			next.kills++
		}
	}
	if next.entries > believedEntries || next.marks > believedMarks || next.kills > believedKills {
		return false
	}
	*b = next
	return true
}

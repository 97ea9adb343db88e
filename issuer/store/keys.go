package store

import (
	"time"

	"github.com/counterfoil/counterfoil/revocation"
)

// A KeyState is where a key is in its life; it only ever goes forward.
type KeyState string

// The states of a key.
const (
	KeyStandby  KeyState = "standby"  // published, does not sign
	KeyActive   KeyState = "active"   // signs; one for each use and algorithm
	KeyRetiring KeyState = "retiring" // published until its last token has expired
	KeyRetired  KeyState = "retired"  // not published
	KeyKilled   KeyState = "killed"   // stolen; an absolute entry stands against it
	KeyRefused  KeyState = "refused"  // not a key of the issuer: somebody else wrote the row
)

// A KeyRow is one key of the issuer. Rows are never deleted: a kid is not used
// again. Times are kept in milliseconds.
type KeyRow struct {
	KID       string
	Use       string // what it signs, such as "at+jwt" or "feed"
	Alg       string
	State     KeyState
	Sealed    string    // the private key as a JWE; may be erased once retired
	Public    []byte    // the public JWK
	Published time.Time // as a standby
	Activated time.Time // zero: not yet, like Retired
	Retired   time.Time
	Version   int64  // counts UpdateKey
	MAC       []byte // of the issuer over the rest, but for Sealed and Version
}

const keyColumns = "kid, use, alg, state, sealed, public, published, activated, retired, version, mac"

func (k *KeyRow) dest() []any {
	return []any{
		text{&k.KID}, text{&k.Use}, text{&k.Alg}, text{(*string)(&k.State)}, text{&k.Sealed}, bytes{&k.Public},
		millis{&k.Published}, millis{&k.Activated}, millis{&k.Retired}, signed{&k.Version}, bytes{&k.MAC},
	}
}

// InsertKey adds a key. [ErrExists] means that the kid is taken, or that
// another key is active for the same use and algorithm. k.Version is ignored.
func (tx *Tx) InsertKey(k KeyRow) error {
	n, err := tx.exec("INSERT INTO keys ("+keyColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, $10) ON CONFLICT DO NOTHING`,
		k.KID, k.Use, k.Alg, string(k.State), k.Sealed, k.Public,
		toMillis(k.Published), toMillis(k.Activated), toMillis(k.Retired), k.MAC)
	return one(n, err, ErrExists)
}

// UpdateKey writes the state, both halves of the key, the times and the MAC of k over the key
// with its kid if k.Version is still that of the row, and [ErrConflict]
// otherwise. So it is when another key is active for the same use and
// algorithm: retire that one first.
func (tx *Tx) UpdateKey(k KeyRow) error {
	n, err := tx.exec(`UPDATE keys SET state = $2, sealed = $3, public = $4, published = $5, activated = $6, retired = $7,
		mac = $9, version = version + 1 WHERE kid = $1 AND version = $8 AND ($2 <> 'active' OR NOT EXISTS
			(SELECT 1 FROM keys o WHERE o.use = keys.use AND o.alg = keys.alg AND o.state = 'active' AND o.kid <> $1))`,
		k.KID, string(k.State), k.Sealed, k.Public,
		toMillis(k.Published), toMillis(k.Activated), toMillis(k.Retired), k.Version, k.MAC)
	return one(n, err, ErrConflict)
}

// RefuseKey writes the MAC and the version of k over the row with its kid, and the state
// [KeyRefused], if the version of the row still is was, and [ErrConflict] otherwise. It
// leaves alone what else somebody wrote there.
func (tx *Tx) RefuseKey(k KeyRow, was int64) error {
	n, err := tx.exec("UPDATE keys SET state = $2, mac = $3, version = $4 WHERE kid = $1 AND version = $5",
		k.KID, string(KeyRefused), k.MAC, k.Version, was)
	return one(n, err, ErrConflict)
}

// Key returns the key with a kid.
func (tx *Tx) Key(kid string) (KeyRow, error) {
	var k KeyRow
	err := tx.row("SELECT "+keyColumns+" FROM keys WHERE kid = $1", []any{kid}, k.dest()...)
	return k, err
}

// Keys returns all keys, the oldest first.
func (tx *Tx) Keys() ([]KeyRow, error) {
	return list(tx, "SELECT "+keyColumns+" FROM keys ORDER BY published, kid", nil, (*KeyRow).dest)
}

// A SecretRow is a sealed secret that is no signing key, such as K_feed.
// Several under one name follow one another.
type SecretRow struct {
	Name    string
	ID      string
	Sealed  string    // a JWE
	Created time.Time // milliseconds
}

func (s *SecretRow) dest() []any {
	return []any{text{&s.Name}, text{&s.ID}, text{&s.Sealed}, millis{&s.Created}}
}

// InsertSecret adds a secret. [ErrExists] means that name and ID are taken.
func (tx *Tx) InsertSecret(s SecretRow) error {
	n, err := tx.exec("INSERT INTO secrets (name, id, sealed, created) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
		s.Name, s.ID, s.Sealed, toMillis(s.Created))
	return one(n, err, ErrExists)
}

// Secrets returns the secrets with a name, the oldest first.
func (tx *Tx) Secrets(name string) ([]SecretRow, error) {
	return list(tx, "SELECT name, id, sealed, created FROM secrets WHERE name = $1 ORDER BY created, id",
		[]any{name}, (*SecretRow).dest)
}

// AllSecrets returns every secret, in the order of name and age.
func (tx *Tx) AllSecrets() ([]SecretRow, error) {
	return list(tx, "SELECT name, id, sealed, created FROM secrets ORDER BY name, created, id", nil, (*SecretRow).dest)
}

// ResealSecret writes sealed over a secret if it still is what s says, and
// [ErrConflict] otherwise.
func (tx *Tx) ResealSecret(s SecretRow, sealed string) error {
	n, err := tx.exec("UPDATE secrets SET sealed = $4 WHERE name = $1 AND id = $2 AND sealed = $3",
		s.Name, s.ID, s.Sealed, sealed)
	return one(n, err, ErrConflict)
}

// KeyRevokedAfter reports whether the log holds an ordinary entry of the key e
// stands for with a number above rsq. It is for the issuer's own endpoints, which
// have no table; a killed key tells by its state.
func (tx *Tx) KeyRevokedAfter(rsq uint64, e revocation.Entry) (bool, error) {
	var n uint64
	err := tx.row("SELECT count(*) FROM log WHERE seq > $1 AND kind = $2 AND handle = $3 AND flags & $4 = 0",
		[]any{int64(rsq), int64(revocation.Key), int64(e.Handle), int64(revocation.Quarantine)}, number{&n})
	return n > 0, err
}

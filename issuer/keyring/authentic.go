package keyring

import (
	"context"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/counterfoil/counterfoil/issuer/audit"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// rowLabel parts the secret of the rows from whatever else may come from the root.
const rowLabel = "counterfoil/keyring/row/v1"

// rowSecret derives the secret that key rows are authenticated under. It comes from
// the root key, and not from the key-encryption key, under which anyone can seal a
// secret of his own if it has a public half: whoever puts another root in its place is
// noticed by each verifier that holds the old one.
func rowSecret(root *jwk.Key) ([]byte, error) {
	private, err := root.CryptoPrivate()
	if err != nil {
		return nil, err
	}
	key, ok := private.(ed25519.PrivateKey)
	if !ok {
		return nil, ErrKEK
	}
	seed := key.Seed()
	defer clear(seed)
	return hkdf.Key(sha256.New, seed, nil, rowLabel, secretSize)
}

// rowMAC covers all that a row says, but for the sealed key, which is compared with the
// public one when it is opened, and the count of changes. No two rows have one encoding:
// each text has its length before it, and numbers have eight bytes.
func rowMAC(secret []byte, row *store.KeyRow) []byte {
	mac := hmac.New(sha256.New, secret)
	number := func(n int64) { mac.Write(binary.BigEndian.AppendUint64(nil, uint64(n))) }
	for _, text := range []string{row.KID, row.Use, row.Alg, string(row.State), string(row.Public)} {
		number(int64(len(text)))
		mac.Write([]byte(text))
	}
	for _, at := range []time.Time{row.Published, row.Activated, row.Retired} {
		if at.IsZero() {
			number(0) // as the store keeps it
		} else {
			number(at.UnixMilli())
		}
	}
	return mac.Sum(nil)
}

// wrote reports whether this issuer wrote a row, and nobody has changed it since.
func (k *Keyring) wrote(row *store.KeyRow) bool {
	return hmac.Equal(row.MAC, rowMAC(k.fixed.rows, row))
}

// sift parts the keys of the issuer from foreign rows. Nothing but this decides what a
// key is: it stands before all that reads rows.
func (k *Keyring) sift(rows []store.KeyRow) (own, foreign []store.KeyRow) {
	for i := range rows {
		if k.wrote(&rows[i]) && rows[i].State != Refused {
			own = append(own, rows[i])
		} else {
			foreign = append(foreign, rows[i])
		}
	}
	return own, foreign
}

// own reads the keys of the issuer.
func (k *Keyring) own(tx *store.Tx) ([]store.KeyRow, error) {
	rows, err := tx.Keys()
	own, _ := k.sift(rows)
	return own, err
}

// marked reports whether a foreign row was refused before.
func (k *Keyring) marked(row *store.KeyRow) bool { return row.State == Refused && k.wrote(row) }

// write puts a row that was read back, with what has changed.
func (c *change) write(row *store.KeyRow) error {
	row.MAC = rowMAC(c.k.fixed.rows, row)
	if err := c.tx.UpdateKey(*row); err != nil {
		return err
	}
	row.Version++
	return nil
}

// maxRefused is how many foreign rows are marked at once, and how many are listed.
const maxRefused = 64

// refuse marks rows that the issuer did not write. They are in no key set before that;
// it makes room where one is in the place of the key that signs, and says once, for
// all nodes, that somebody writes to the database.
func (k *Keyring) refuse(ctx context.Context) error {
	var done []store.KeyRow
	err := k.change(ctx, actorSelf, func(c *change) (err error) {
		done, err = c.refuse()
		return err
	})
	if err != nil {
		return err
	}
	for i := range done {
		info := foreignInfo(&done[i])
		k.cfg.Log.Error("a key in the database is not from this issuer, or was changed by somebody else: it is left out of everything",
			"kid", info.KeyID, "use", info.Use, "alg", info.Algorithm, "unsigned", len(done[i].MAC) == 0)
	}
	return nil
}

// refuseNew marks what was read last.
func (k *Keyring) refuseNew(ctx context.Context) error {
	if !k.ring.Load().unmarked {
		return nil
	}
	if err := k.refuse(ctx); err != nil {
		return err
	}
	return k.Reload(ctx)
}

func (c *change) refuse() (done []store.KeyRow, err error) {
	for i := range c.foreign {
		row := &c.foreign[i]
		if c.k.marked(row) || len(done) == maxRefused {
			continue
		}
		mark := *row
		mark.State, mark.Version = Refused, int64(counted(row))+1
		mark.MAC = rowMAC(c.k.fixed.rows, &mark)
		err := c.tx.RefuseKey(mark, row.Version)
		if err == nil {
			err = c.note(audit.KeyRefuse, row.KID, fmt.Sprintf("use=%q alg=%q state=%q unsigned=%t", row.Use, row.Alg, row.State, len(row.MAC) == 0))
		}
		if err != nil && !errors.Is(err, store.ErrText) { // see markable
			return nil, err
		}
		done = append(done, *row)
		*row = mark
	}
	return done, nil
}

// maxCounted bounds what one row adds to [Keyring.Version]. No key changes as often.
const maxCounted = 1 << 20

// counted is how often a row has changed, by what is said there. Nobody who writes
// another number into a row of his own makes the sum overflow.
func counted(row *store.KeyRow) uint64 { return uint64(min(max(row.Version, 1), maxCounted)) }

// markable reports whether the store can be told about a row: SQLite takes a kid that
// is no text. Such a row is left out like others, and in the log of each start.
func markable(row *store.KeyRow) bool {
	return utf8.ValidString(row.KID) && !strings.Contains(row.KID, "\x00")
}

// maxForeignKID bounds what is shown of a kid that anybody may have written.
const maxForeignKID = 64

// foreignInfo describes a foreign row by those of its words that are ours.
func foreignInfo(row *store.KeyRow) Info {
	info := Info{KeyID: strings.ToValidUTF8(row.KID[:min(len(row.KID), maxForeignKID)], "?"), State: Refused}
	if slices.Contains([]string{UseAccess, UseDrill, UseCanary}, row.Use) {
		info.Use = row.Use
	}
	if alg := jwk.Algorithm(row.Alg); Signs(alg) {
		info.Algorithm = alg
	}
	return info
}

// leaveOut lists foreign rows, of which nothing else is made.
func (r *ring) leaveOut(k *Keyring, foreign []store.KeyRow) {
	for i := range foreign {
		row := &foreign[i]
		r.unmarked = r.unmarked || markable(row) && !k.marked(row)
		if i < maxRefused {
			r.infos = append(r.infos, foreignInfo(row))
		}
	}
}

// metaRows is where the store keeps that rows have been authenticated since.
const metaRows = "keyring.rows"

// adopt authenticates, once, what a store of before rows were authenticated holds.
func (k *Keyring) adopt(ctx context.Context) error {
	var adopted bool
	err := k.st.View(ctx, func(tx *store.Tx) (err error) {
		adopted, err = hasMeta(tx, metaRows)
		return err
	})
	if err != nil || adopted {
		return err
	}
	return k.change(ctx, actorSelf, func(c *change) error {
		if there, err := hasMeta(c.tx, metaRows); err != nil || there {
			return err // another node was faster
		}
		for i := range c.foreign {
			if err := c.adopt(ctx, &c.foreign[i]); err != nil {
				return err
			}
		}
		return c.tx.SetMeta(metaRows, rowLabel)
	})
}

func hasMeta(tx *store.Tx, name string) (bool, error) {
	_, err := tx.Meta(name)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// adopt takes over a key that can be no other's: its private half opens, and is that of
// the public one. Nobody accepts tombstones and canaries, which have none. What is
// sealed to the notary is given up: it is not to be opened before it signs, and a new
// standby is as good.
func (c *change) adopt(ctx context.Context, row *store.KeyRow) error {
	if len(row.MAC) > 0 {
		return nil
	}
	switch {
	case row.State == Retired || row.State == Killed || row.Use == UseCanary && row.State == Standby:
	case held(row.Sealed) && row.State == Standby:
		return c.move(row, Retired)
	default:
		if mine, err := c.opens(ctx, row); err != nil || !mine {
			return err
		}
	}
	if err := c.write(row); err != nil {
		return err
	}
	return c.note(audit.KeyAdopt, row.KID, fmt.Sprintf("use=%s alg=%s state=%s", row.Use, row.Alg, row.State))
}

// opens reports whether a row holds both halves of one key. The error is that this
// cannot be told now.
func (c *change) opens(ctx context.Context, row *store.KeyRow) (bool, error) {
	public, err := c.k.publicHalf(row)
	if err != nil {
		return false, nil
	}
	key, err := c.k.openRow(ctx, row)
	switch {
	case errors.Is(err, jwk.ErrUnavailable), errors.Is(err, errNoToken):
		return false, err
	case err != nil:
		return false, nil
	}
	return sameKey(key, public) == nil, nil
}

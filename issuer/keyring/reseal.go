package keyring

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/issuer/audit"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// Resealed tells what a change of the key-encryption key did.
type Resealed struct {
	From    string `json:"from"` // id of the key-encryption key before, see [KEKID]
	To      string `json:"to"`
	Keys    int    `json:"keys"`    // private keys that are sealed anew
	Secrets int    `json:"secrets"` // and other secrets
}

// ErrResealed reports that the store is sealed under the wanted key already.
var ErrResealed = errors.New("the store is sealed under that key-encryption key already")

// Reseal changes the key-encryption key of everything that is sealed in st from one
// key to another, in one transaction: whatever happens, the store is sealed wholly
// under the one or wholly under the other. It neither reads nor changes what is in a
// token or under the notary's layer. A KEKError says that from does not open the store;
// ErrResealed that it has been done.
//
// Nodes that have the store open go on with the keys in their memory. Those that
// were given to as [Config.NextKEK] notice nothing; the others make no new key until
// they are started with it.
func Reseal(ctx context.Context, st *store.Store, from, to *jwk.Key, actor string) (Resealed, error) {
	for _, kek := range []*jwk.Key{from, to} {
		if err := checkKEK(kek); err != nil {
			return Resealed{}, err
		}
	}
	r := &resealing{from: from, to: to, actor: actor}
	for range maxTries {
		done, err := r.try(ctx, st)
		if !errors.Is(err, store.ErrConflict) {
			return done, err
		}
	}
	return Resealed{}, ErrConflict
}

type resealing struct {
	from, to *jwk.Key
	actor    string
}

// A sealedRow is a row that holds something under the key-encryption key, a key or a
// secret.
type sealedRow struct {
	key    *store.KeyRow
	secret *store.SecretRow
	sealed string
}

// sealedRows reads all of them.
func sealedRows(tx *store.Tx) (list []sealedRow, err error) {
	keys, err := tx.Keys()
	if err != nil {
		return nil, err
	}
	secrets, err := tx.AllSecrets()
	for i := range keys {
		list = append(list, sealedRow{key: &keys[i], sealed: keys[i].Sealed})
	}
	for i := range secrets {
		list = append(list, sealedRow{secret: &secrets[i], sealed: secrets[i].Sealed})
	}
	return slices.DeleteFunc(list, func(row sealedRow) bool { return !underKEK(row.sealed) }), err
}

func (s *sealedRow) name() string {
	if s.key != nil {
		return "key " + s.key.KID
	}
	return "secret " + s.secret.Name
}

// write puts what is sealed anew into the row.
func (s *sealedRow) write(tx *store.Tx, sealed string) error {
	if s.secret != nil {
		return tx.ResealSecret(*s.secret, sealed)
	}
	row := *s.key
	row.Sealed = sealed // which its MAC does not cover
	return tx.UpdateKey(row)
}

// try seals outside the transaction what it then writes inside: a token may take
// long to open it. A row that has changed since is a conflict.
func (r *resealing) try(ctx context.Context, st *store.Store) (Resealed, error) {
	var before []sealedRow
	err := st.View(ctx, func(tx *store.Tx) (err error) {
		before, err = sealedRows(tx)
		return err
	})
	if err != nil {
		return Resealed{}, err
	}
	if err := r.check(ctx, st); err != nil {
		return Resealed{}, err
	}
	anew := map[string]string{}
	if err := r.sealAll(before, anew); err != nil {
		return Resealed{}, err
	}
	var done Resealed
	err = st.Update(ctx, func(tx *store.Tx) (err error) {
		done, err = r.write(tx, anew)
		return err
	})
	return done, err
}

// check says whether from is the key-encryption key in force. A store of before the
// id was kept says it by what opens it.
func (r *resealing) check(ctx context.Context, st *store.Store) error {
	return st.View(ctx, func(tx *store.Tx) error {
		id, err := tx.Meta(metaKEK)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return r.inForce(id, err)
	})
}

func (r *resealing) inForce(id string, err error) error {
	switch {
	case err != nil:
		return err
	case id == KEKID(r.to):
		return ErrResealed
	case id != KEKID(r.from):
		return &KEKError{Want: id, Have: []string{KEKID(r.from)}}
	}
	return nil
}

// sealAll maps what is sealed under from to the same under to. A key that does not
// open is passed over if the issuer did not write its row.
func (r *resealing) sealAll(rows []sealedRow, anew map[string]string) error {
	for _, row := range rows {
		err := r.seal(row.sealed, anew)
		if row.key != nil && errors.Is(err, ErrKEK) && !r.wrote(row.key, rows) {
			anew[row.sealed], err = row.sealed, nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", row.name(), err)
		}
	}
	return nil
}

// wrote reports whether the issuer wrote the row of a key. Without a root that opens
// nobody can tell, and nothing is passed over.
func (r *resealing) wrote(key *store.KeyRow, rows []sealedRow) bool {
	for _, row := range rows {
		if row.secret == nil || row.secret.Name != purposeRoot || row.secret.ID != firstSlot {
			continue
		}
		l := &locker{keys: []*jwk.Key{r.from}}
		root, err := l.openFor(purposeRoot, row.sealed)
		if err != nil {
			return true
		}
		secret, err := rowSecret(root)
		defer clear(secret)
		return err != nil || hmac.Equal(key.MAC, rowMAC(secret, key))
	}
	return true
}

// underKEK tells what is sealed under the key-encryption key from tombstones, marks,
// and what is in a token or with the notary.
func underKEK(sealed string) bool {
	return sealed != "" && sealed != founded && !inToken(sealed) && !held(sealed)
}

func (r *resealing) seal(sealed string, anew map[string]string) error {
	plain, err := openUnder(r.from, sealed)
	if err != nil {
		return err
	}
	defer clear(plain)
	anew[sealed], err = sealUnder(r.to, plain)
	return err
}

// write puts what was sealed anew in the place of what it was made of.
func (r *resealing) write(tx *store.Tx, anew map[string]string) (Resealed, error) {
	done := Resealed{From: KEKID(r.from), To: KEKID(r.to)}
	if _, err := tx.KeepMeta(metaKEK, done.From); err != nil {
		return done, err
	}
	if err := r.inForce(tx.LockMeta(metaKEK)); err != nil {
		return done, err
	}
	rows, err := sealedRows(tx)
	if err != nil {
		return done, err
	}
	if err := done.write(tx, rows, anew); err != nil {
		return done, err
	}
	if err := tx.SetMeta(metaKEK, done.To); err != nil {
		return done, err
	}
	return done, audit.Record(tx, time.Time{}, audit.Event{
		Actor: r.actor, Action: audit.KeyReseal, Subject: done.To,
		Detail: fmt.Sprintf("from=%s keys=%d secrets=%d", done.From, done.Keys, done.Secrets),
	})
}

func (done *Resealed) write(tx *store.Tx, rows []sealedRow, anew map[string]string) error {
	for _, row := range rows {
		sealed, ok := anew[row.sealed]
		if !ok {
			return store.ErrConflict
		}
		if sealed == row.sealed {
			continue
		}
		if err := row.write(tx, sealed); err != nil {
			return err
		}
		if row.key != nil {
			done.Keys++
		} else {
			done.Secrets++
		}
	}
	return nil
}

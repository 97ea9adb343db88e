package keyring

import (
	"context"
	"errors"
	"fmt"
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

// sealedRows are all rows that hold something sealed.
type sealedRows struct {
	keys    []store.KeyRow
	secrets []store.SecretRow
}

func (r *sealedRows) read(tx *store.Tx) (err error) {
	if r.keys, err = tx.Keys(); err != nil {
		return err
	}
	r.secrets, err = tx.AllSecrets()
	return err
}

// try seals outside the transaction what it then writes inside: a token may take
// long to open it. A row that has changed since is a conflict.
func (r *resealing) try(ctx context.Context, st *store.Store) (Resealed, error) {
	var before sealedRows
	if err := st.View(ctx, before.read); err != nil {
		return Resealed{}, err
	}
	if err := r.check(ctx, st); err != nil {
		return Resealed{}, err
	}
	anew := map[string]string{}
	if err := r.sealAll(&before, anew); err != nil {
		return Resealed{}, err
	}
	var done Resealed
	err := st.Update(ctx, func(tx *store.Tx) (err error) {
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

// sealAll maps what is sealed under from to the same under to.
func (r *resealing) sealAll(rows *sealedRows, anew map[string]string) error {
	for _, row := range rows.keys {
		if underKEK(row.Sealed) {
			if err := r.seal(row.Sealed, anew); err != nil {
				return fmt.Errorf("key %s: %w", row.KID, err)
			}
		}
	}
	for _, row := range rows.secrets {
		if underKEK(row.Sealed) {
			if err := r.seal(row.Sealed, anew); err != nil {
				return fmt.Errorf("secret %s: %w", row.Name, err)
			}
		}
	}
	return nil
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
	var rows sealedRows
	if err := rows.read(tx); err != nil {
		return done, err
	}
	if err := done.write(tx, &rows, anew); err != nil {
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

func (done *Resealed) write(tx *store.Tx, rows *sealedRows, anew map[string]string) error {
	for _, row := range rows.keys {
		if !underKEK(row.Sealed) {
			continue
		}
		sealed, ok := anew[row.Sealed]
		if !ok {
			return store.ErrConflict
		}
		row.Sealed = sealed
		if err := tx.UpdateKey(row); err != nil {
			return err
		}
		done.Keys++
	}
	for _, row := range rows.secrets {
		if !underKEK(row.Sealed) {
			continue
		}
		sealed, ok := anew[row.Sealed]
		if !ok {
			return store.ErrConflict
		}
		if err := tx.ResealSecret(row, sealed); err != nil {
			return err
		}
		done.Secrets++
	}
	return nil
}

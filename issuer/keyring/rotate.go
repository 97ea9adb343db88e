package keyring

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/issuer/audit"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/oauth"
	"github.com/counterfoil/counterfoil/revocation"
)

// A TooSoonError reports that no standby key has been published long enough for
// every cached key set to hold it.
type TooSoonError struct{ At time.Time }

func (e *TooSoonError) Error() string {
	return "no standby key has been published long enough; the next is ready at " + e.At.Format(time.RFC3339)
}

// A Rotation tells what a rotation did.
type Rotation struct {
	Algorithm jwk.Algorithm `json:"alg"`
	From      string        `json:"from,omitempty"` // the kid that signed until now
	To        string        `json:"to"`             // the kid that signs from now on
	Added     string        `json:"added"`          // the new standby
}

// RotateOptions say how to rotate.
type RotateOptions struct {
	Algorithm jwk.Algorithm // default: the default algorithm of the ring
	Force     bool          // do not wait until the standby is in every cached key set
	Actor     string        // who asked, for the audit trail
}

// Rotate lets the oldest standby key sign and adds a fresh standby. The key that
// signed before stays published until the last token under it has died. Without
// Force it refuses, with a [*TooSoonError], a standby that has been published for
// less than the key set's max-age. [ErrConflict]: another node rotated just now.
func (k *Keyring) Rotate(ctx context.Context, opt RotateOptions) (Rotation, error) {
	if opt.Algorithm == "" {
		opt.Algorithm = k.cfg.Algorithms[0]
	}
	fresh, err := k.newRow(opt.Algorithm, k.cfg.Now())
	if err != nil {
		return Rotation{}, err
	}
	var done Rotation
	err = k.st.Update(ctx, func(tx *store.Tx) error {
		rows, err := tx.Keys()
		if err != nil {
			return err
		}
		done, err = k.advance(tx, rows, opt, fresh)
		if err != nil {
			return err
		}
		return audit.Record(tx, k.cfg.Now(), audit.Event{
			Actor: opt.Actor, Action: audit.KeyRotate, Subject: done.To,
			Detail: fmt.Sprintf("alg=%s from=%s added=%s forced=%t", done.Algorithm, done.From, done.Added, opt.Force),
		})
	})
	if err != nil {
		return Rotation{}, k.afterConflict(ctx, err)
	}
	return done, k.Reload(ctx)
}

// advance moves the keys of one algorithm a step on inside a transaction. The old
// key stops before the new one starts: the store allows one active key.
func (k *Keyring) advance(tx *store.Tx, rows []store.KeyRow, opt RotateOptions, fresh store.KeyRow) (Rotation, error) {
	now := k.cfg.Now()
	active, next := pick(rows, opt.Algorithm)
	if next == nil {
		return Rotation{}, ErrNoActive
	}
	if ready := next.Published.Add(k.cfg.JWKSMaxAge); !opt.Force && now.Before(ready) {
		return Rotation{}, &TooSoonError{At: ready}
	}
	done := Rotation{Algorithm: opt.Algorithm, To: next.KID, Added: fresh.KID}
	if active != nil {
		done.From = active.KID
		active.State, active.Retired = Retiring, now
		if err := tx.UpdateKey(*active); err != nil {
			return Rotation{}, err
		}
	}
	next.State, next.Activated = Active, now
	if err := tx.UpdateKey(*next); err != nil {
		return Rotation{}, err
	}
	return done, tx.InsertKey(fresh)
}

// pick returns the active row of an algorithm and the standby that was published
// first, nil where there is none.
func pick(rows []store.KeyRow, alg jwk.Algorithm) (active, standby *store.KeyRow) {
	for i := range rows {
		row := &rows[i]
		switch {
		case row.Use != oauth.AccessTokenType || row.Alg != string(alg):
		case row.State == Active:
			active = row
		case row.State == Standby && (standby == nil || row.Published.Before(standby.Published)):
			standby = row
		}
	}
	return active, standby
}

// afterConflict reads the keys again when another node changed them, so that the
// caller sees what the other node did.
func (k *Keyring) afterConflict(ctx context.Context, err error) error {
	if !errors.Is(err, store.ErrConflict) {
		return err
	}
	if err := k.Reload(ctx); err != nil {
		return err
	}
	return ErrConflict
}

// Kill ends a key at once: it is withdrawn, an absolute entry for it goes into the
// revocation log, and if it was the one that signs, a standby takes over without
// waiting. All of that is one transaction. It returns the entry.
func (k *Keyring) Kill(ctx context.Context, kid, actor string) (record store.LogRecord, err error) {
	var alg jwk.Algorithm
	for _, info := range k.Keys() {
		if info.KeyID == kid {
			alg = info.Algorithm
		}
	}
	if alg == "" {
		return record, ErrUnknownKey
	}
	fresh, err := k.newRow(alg, k.cfg.Now())
	if err != nil {
		return record, err
	}
	err = k.st.Update(ctx, func(tx *store.Tx) error {
		record, err = k.kill(tx, kid, actor, fresh)
		return err
	})
	if err != nil {
		return record, k.afterConflict(ctx, err)
	}
	return record, k.Reload(ctx)
}

// kill appends to the log first: the store then runs it last in its batch.
func (k *Keyring) kill(tx *store.Tx, kid, actor string, fresh store.KeyRow) (store.LogRecord, error) {
	record, err := tx.Revoke(store.Revocation{Value: kid, Entry: revocation.Entry{
		Kind: revocation.Key, Flags: revocation.Absolute,
		Handle: k.fixed.handles.Handle(revocation.Key, k.cfg.Issuer, kid),
	}})
	if err != nil {
		return record, err
	}
	return record, k.withdraw(tx, kid, actor, record.Seq, fresh)
}

// Withdraw does what [Keyring.Kill] does to the keys, for an entry that is in the
// log already: the database had lost the kill, and learnt of it again. Reload when
// the transaction has committed.
func (k *Keyring) Withdraw(tx *store.Tx, kid, actor string, seq uint64) error {
	rows, err := tx.Keys()
	if err != nil {
		return err
	}
	i := indexOf(rows, kid)
	if i < 0 {
		return ErrUnknownKey
	}
	fresh, err := k.newRow(jwk.Algorithm(rows[i].Alg), k.cfg.Now())
	if err != nil {
		return err
	}
	return k.withdraw(tx, kid, actor, seq, fresh)
}

func (k *Keyring) withdraw(tx *store.Tx, kid, actor string, seq uint64, fresh store.KeyRow) error {
	rows, err := tx.Keys()
	if err != nil {
		return err
	}
	if err := k.replace(tx, rows, kid, fresh); err != nil {
		return err
	}
	return audit.Record(tx, k.cfg.Now(), audit.Event{
		Actor: actor, Action: audit.KeyKill, Subject: kid, Detail: fmt.Sprintf("seq=%d", seq),
	})
}

// replace moves the row of kid to killed and puts another key in its place.
func (k *Keyring) replace(tx *store.Tx, rows []store.KeyRow, kid string, fresh store.KeyRow) error {
	i := indexOf(rows, kid)
	if i < 0 {
		return ErrUnknownKey
	}
	was := rows[i].State
	if was == Killed {
		return nil
	}
	retire(&rows[i], Killed, k.cfg.Now())
	if err := tx.UpdateKey(rows[i]); err != nil {
		return err
	}
	switch was {
	case Active:
		_, err := k.advance(tx, rows, RotateOptions{Algorithm: jwk.Algorithm(rows[i].Alg), Force: true}, fresh)
		return err
	case Standby:
		return tx.InsertKey(fresh)
	}
	return nil
}

// retire makes a row a tombstone: its private half is forgotten, its id stays.
func retire(row *store.KeyRow, state State, now time.Time) {
	row.State, row.Sealed = state, ""
	if row.Retired.IsZero() {
		row.Retired = now
	}
}

func indexOf(rows []store.KeyRow, kid string) int {
	for i := range rows {
		if rows[i].KID == kid {
			return i
		}
	}
	return -1
}

// graceAfterLife is added to the longest token life before a key is withdrawn: the
// largest leeway that a verifier may be told to give (10 min), and the skew of the
// clocks at both ends.
const graceAfterLife = 10*time.Minute + 2*skew

// expired reports whether the last token under a key that ceased to sign is dead.
func (k *Keyring) expired(state State, stopped time.Time) bool {
	return state == Retiring && k.cfg.Now().After(stopped.Add(k.cfg.MaxTokenLife+graceAfterLife))
}

// Expire withdraws the keys whose last token has died and forgets their private
// halves. Their ids stay. The issuer calls it now and then.
func (k *Keyring) Expire(ctx context.Context) error {
	due := slices.ContainsFunc(k.Keys(), func(i Info) bool { return k.expired(i.State, i.Stopped) })
	if !due {
		return nil
	}
	err := k.st.Update(ctx, k.expire)
	if err != nil && !errors.Is(err, store.ErrConflict) {
		return err
	}
	return k.Reload(ctx)
}

func (k *Keyring) expire(tx *store.Tx) error {
	rows, err := tx.Keys()
	if err != nil {
		return err
	}
	for _, row := range rows {
		if row.Use != oauth.AccessTokenType || !k.expired(row.State, row.Retired) {
			continue
		}
		retire(&row, Retired, k.cfg.Now())
		if err := tx.UpdateKey(row); err != nil {
			return err
		}
	}
	return nil
}

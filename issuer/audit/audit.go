// Package audit names what an issuer writes down about itself, and writes it.
//
//	err := audit.Record(tx, now, audit.Event{Actor: "socket", Action: audit.KeyRotate, Subject: kid})
//
// A row is part of the transaction that does the deed: when it cannot be written
// the deed is not done. The store chains the rows by hash, so that [Verify] finds
// a row that was changed or taken out. A trail that was cut off at its end it finds
// only by a hash that was kept somewhere else.
package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/counterfoil/counterfoil/issuer/store"
)

// An Action is what was done.
type Action string

// The actions. Their names stand in trails, and do not change.
const (
	SignIn       Action = "sign-in"
	SignInFailed Action = "sign-in.failed"
	RefreshReuse Action = "refresh.reuse"      // a refresh token older than one rotation: theft
	RefreshAlarm Action = "refresh.impossible" // a refresh token with a right MAC that was never made
	SignOut      Action = "sign-out"
	Revoke       Action = "revoke"
	UserAdd      Action = "user.add"
	UserDisable  Action = "user.disable"
	UserEnable   Action = "user.enable"
	UserPassword Action = "user.password"
	ClientAdd    Action = "client.add"
	ClientRemove Action = "client.remove"
	ClientSecret Action = "client.secret"
	KeyRotate    Action = "key.rotate"
	KeyKill      Action = "key.kill"
	KeyState     Action = "key.state"  // each step in the life of a key, beside what made it take it
	KeyReseal    Action = "key.reseal" // under another key-encryption key
	KeyHold      Action = "key.hold"   // a standby was sealed to the notary
	KeyAdopt     Action = "key.adopt"  // a row of before rows were authenticated
	KeyRefuse    Action = "key.refuse" // a row that the issuer did not write
	KeyFeed      Action = "key.feed"   // another key signs the feed
	KeyCanary    Action = "key.canary"
	KeyDrill     Action = "key.drill"
	Restored     Action = "restored"

	ForgeryFound         Action = "forgery.forged"        // a token that only a thief of the signing key can have made
	ForgeryCanary        Action = "forgery.canary"        // a token under a canary key
	ForgeryQuarantined   Action = "forgery.quarantined"   // first-seen tokens of the key are proved before they pass
	ForgeryRotated       Action = "forgery.rotated"       // another key signs
	ForgeryKilled        Action = "forgery.killed"        // the key is given up
	ForgeryHeld          Action = "forgery.held"          // it is not: a person has to
	ForgeryClosed        Action = "forgery.closed"        // the incident is over
	ForgeryMisconfigured Action = "forgery.misconfigured" // notaries have different secrets
	ForgeryRecovered     Action = "forgery.recovered"     // they agree again
	ForgeryBlind         Action = "forgery.blind"         // tags are not checked
	ForgerySeeing        Action = "forgery.seeing"        // they are checked again
	ForgeryUnshown       Action = "forgery.unshown"       // a token that was asked for does not come
	ForgeryUntold        Action = "forgery.untold"        // the webhook has not taken an alarm for three days: it is not tried again
	ForgeryLate          Action = "forgery.late"          // a token came after its end
)

// MaxField is the longest field of a row in bytes; a longer one is cut.
const MaxField = 512

// An Event is one row, without its time and its place in the chain.
type Event struct {
	Actor   string // who did it: "user:ID", "client:ID", "socket", "command", "anyone", or "issuer" for what nobody asked for
	Action  Action
	Subject string // to whom or what
	Detail  string // the rest, "name=value" separated by spaces; never a secret
}

// Record appends e to the trail inside tx.
func Record(tx *store.Tx, now time.Time, e Event) error {
	if e.Action == "" {
		return errors.New("audit: an event without an action")
	}
	return tx.AppendAudit(store.AuditRow{
		At: now, Actor: clean(e.Actor), Action: string(e.Action), Subject: clean(e.Subject), Detail: clean(e.Detail),
	})
}

// clean makes a field fit for every store: valid UTF-8 without control characters,
// at most MaxField bytes.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
	if len(s) <= MaxField {
		return s
	}
	end := MaxField
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

// A Report is what [Verify] found.
type Report struct {
	OK       bool   `json:"ok"`
	Rows     uint64 `json:"rows"`               // whole rows, from the first
	Hash     string `json:"hash"`               // of the last whole row, hex: keep it elsewhere, and give it to Verify the next time
	BrokenAt uint64 `json:"broken_at,omitzero"` // number of the first row that does not fit
	Kept     uint64 `json:"kept,omitzero"`      // number of the row that has the hash that was kept; 0: none has, or none was given
}

// Verify recomputes the chain of the whole trail. kept is the Hash of an earlier
// Report, or empty: the trail is not all right if no row has it, since then its end
// was cut off or all of it was written anew. What is not a hash is an error.
func Verify(tx *store.Tx, kept string) (Report, error) {
	whole, broken, err := tx.VerifyAudit()
	if err != nil {
		return Report{}, err
	}
	report := Report{OK: broken == 0, Rows: whole, BrokenAt: broken}
	if whole > 0 {
		rows, err := tx.Audit(whole-1, 1)
		if err != nil || len(rows) == 0 {
			return Report{}, err
		}
		report.Hash = hex.EncodeToString(rows[0].Hash[:])
	}
	if kept != "" {
		err = report.find(tx, kept)
	}
	return report, err
}

// ErrHash reports a text that is not the hash of a row.
var ErrHash = errors.New("audit: a hash is 64 hexadecimal digits")

func (r *Report) find(tx *store.Tx, kept string) error {
	hash, err := hex.DecodeString(kept)
	if err != nil || len(hash) != sha256.Size {
		return ErrHash
	}
	row, err := tx.AuditOf([sha256.Size]byte(hash))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err == nil && row.N <= r.Rows {
		r.Kept = row.N
	}
	r.OK = r.OK && r.Kept != 0
	return nil
}

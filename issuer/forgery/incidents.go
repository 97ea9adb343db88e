package forgery

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
)

// An Incident tells what was done about one key that somebody else signs with, or
// about notaries that disagree. Times are zero for what has not happened.
type Incident struct {
	KeyID string              `json:"kid"` // or [ProbeKeyID]
	State store.IncidentState `json:"state"`
	Drill bool                `json:"drill,omitzero"`

	Canary bool `json:"canary,omitzero"` // what the key was planted in was stolen

	TokenID  string `json:"jti,omitzero"`      // of the first forged token
	Level0   string `json:"level0,omitzero"`   // "passes", or why a verifier refuses that token without an auditor
	Reporter string `json:"reporter,omitzero"` // who was the first to show one

	Tokens  uint64 `json:"tokens"`  // distinct forged tokens
	Entries uint64 `json:"entries"` // of them with an entry in the revocation log, at most [store.MaxForgeries]

	Found       time.Time `json:"found"`
	Seen        time.Time `json:"seen"` // the newest forged token
	Alarmed     time.Time `json:"alarmed,omitzero"`
	Quarantined time.Time `json:"quarantined,omitzero"`
	Switched    time.Time `json:"switched,omitzero"`
	Drained     time.Time `json:"drained,omitzero"` // no session had its newest token under the key
	Killed      time.Time `json:"killed,omitzero"`
	Closed      time.Time `json:"closed,omitzero"`

	QuarantineSeq uint64 `json:"quarantine_seq,omitzero"`
	KillSeq       uint64 `json:"kill_seq,omitzero"`
	Successor     string `json:"successor,omitzero"` // kid of the key that took over
	Held          bool   `json:"held,omitzero"`      // another key was given up within a day: a person has to kill this one
	Automatic     bool   `json:"automatic,omitzero"` // the issuer killed the key, and nobody else

	Undelivered *Undelivered `json:"undelivered,omitempty"` // alarms that the webhook has refused so far

	// Only of a single incident.
	Forgeries []ForgedToken `json:"forgeries,omitempty"` // the first ones
	Traces    []Trace       `json:"traces,omitempty"`    // what the first ones said of themselves, at most [store.MaxTraces]
	Untraced  uint64        `json:"untraced,omitzero"`   // tokens of which that is not known, or not any more
}

// Undelivered tells of alarms that wait for the webhook, which has refused each at least
// once. They are tried again for three days, by any node.
type Undelivered struct {
	Alarms uint64    `json:"alarms"`
	Since  time.Time `json:"since"` // of the oldest
	Tries  int64     `json:"tries"` // of the one that was tried most often
	Error  string    `json:"error"` // of the newest try
}

// A ForgedToken is one that was among the first of its key.
type ForgedToken struct {
	TokenID string    `json:"jti,omitzero"`
	Hash    string    `json:"hash"`         // SHA-256 of header and payload as they are signed, hex
	Seq     uint64    `json:"seq,omitzero"` // of its entry in the revocation log
	At      time.Time `json:"at"`
}

func (d *Desk) incidentOf(in *store.Incident) Incident {
	_, info, _ := d.cfg.Keyring.Verification(in.KeyID)
	return Incident{
		Canary: info.Use == keyring.UseCanary,
		KeyID:  in.KeyID, State: in.State, Drill: in.Drill, TokenID: escaped(in.TokenID), Level0: in.Level0, Reporter: in.Reporter,
		Tokens: in.Tokens, Entries: in.Entries, Found: in.Found, Seen: in.Seen, Alarmed: in.Alarmed,
		Quarantined: in.Quarantined, Switched: in.Switched, Drained: in.Drained, Killed: in.Killed, Closed: in.Closed,
		QuarantineSeq: in.QuarantineSeq, KillSeq: in.KillSeq, Successor: in.Successor, Held: in.Held, Automatic: in.Automatic,
	}
}

func undelivered(tx *store.Tx, kid string) (*Undelivered, error) {
	u, err := tx.Undelivered(kid)
	if err != nil || u.Alarms == 0 {
		return nil, err
	}
	told := Undelivered(u)
	return &told, nil
}

// Incident returns the incident of a key with what is known of its forged tokens, or
// [store.ErrNotFound].
func (d *Desk) Incident(ctx context.Context, kid string) (out Incident, err error) {
	err = d.cfg.Store.View(ctx, func(tx *store.Tx) error {
		in, err := tx.Incident(kid)
		if err != nil {
			return err
		}
		out = d.incidentOf(&in)
		if out.Undelivered, err = undelivered(tx, kid); err != nil {
			return err
		}
		list, err := tx.Forgeries(kid)
		if err != nil {
			return err
		}
		for _, f := range list {
			out.Forgeries = append(out.Forgeries, ForgedToken{TokenID: escaped(f.TokenID), Hash: hex.EncodeToString(f.Hash[:]), Seq: f.Seq, At: f.At})
		}
		out.Traces, err = tracesOf(tx, kid)
		out.Untraced = in.Tokens - min(in.Tokens, uint64(len(out.Traces)))
		return err
	})
	return out, err
}

// Incidents returns all incidents, the newest first.
func (d *Desk) Incidents(ctx context.Context) (list []Incident, err error) {
	err = d.cfg.Store.View(ctx, func(tx *store.Tx) error {
		rows, err := tx.Incidents()
		list = make([]Incident, len(rows))
		for i := range rows {
			list[i] = d.incidentOf(&rows[i])
			if list[i].Undelivered, err = undelivered(tx, rows[i].KeyID); err != nil {
				return err
			}
		}
		return err
	})
	return list, err
}

// Close says that an incident is over, on behalf of actor: its answer goes no
// further, and what was done stays. Another forged token begins it anew.
func (d *Desk) Close(ctx context.Context, kid, actor string) error {
	return d.transact(ctx, func(tx *store.Tx) (*step, error) {
		in, s, err := d.read(tx, kid)
		if err != nil || over(in.State) {
			return s, err
		}
		s.actor, in.State, in.Closed, in.Held = actor, store.IncidentClosed, s.at, false
		s.alarm(KindClosed, "")
		s.incident = *in
		return s, tx.UpdateIncident(*in)
	})
}

// Settle ends the incident of a key, if it has one, after actor has killed the key.
func (d *Desk) Settle(ctx context.Context, kid, actor string) error {
	return ignore(store.ErrNotFound, d.settle(ctx, kid, actor))
}

// HasWebhook reports whether anybody takes the alarms.
func (d *Desk) HasWebhook() bool { return d.cfg.Webhook != nil }

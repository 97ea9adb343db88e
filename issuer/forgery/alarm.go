package forgery

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/issuer/audit"
	"github.com/counterfoil/counterfoil/issuer/store"
)

// A Kind says what an alarm is about.
type Kind string

// The kinds of alarms. Their names are on the wire of the webhook.
const (
	KindForged        Kind = "forged"        // a token that only a thief of the signing key can have made
	KindCanary        Kind = "canary"        // a token under a canary key: what it was planted in was stolen
	KindQuarantined   Kind = "quarantined"   // first-seen tokens of the key are proved before they pass
	KindRotated       Kind = "rotated"       // another key signs
	KindKilled        Kind = "killed"        // the key is given up
	KindHeld          Kind = "held"          // it is not, since another was lately: a person has to
	KindClosed        Kind = "closed"        // a person said that it is over, or the key retired
	KindMisconfigured Kind = "misconfigured" // notaries have different secrets: nothing is done by itself
	KindRecovered     Kind = "recovered"     // they agree again
	KindBlind         Kind = "blind"         // tags are not checked
	KindSeeing        Kind = "seeing"        // they are checked again
	KindUnshown       Kind = "unshown"       // a token whose tag is wrong does not come, if there is one
	KindLate          Kind = "late"          // a token whose tag is wrong came after its end, and proves nothing
)

// actions are the kinds in the audit trail.
var actions = map[Kind]audit.Action{
	KindForged: audit.ForgeryFound, KindCanary: audit.ForgeryCanary, KindQuarantined: audit.ForgeryQuarantined,
	KindRotated: audit.ForgeryRotated, KindKilled: audit.ForgeryKilled, KindHeld: audit.ForgeryHeld,
	KindClosed: audit.ForgeryClosed, KindMisconfigured: audit.ForgeryMisconfigured, KindRecovered: audit.ForgeryRecovered,
	KindBlind: audit.ForgeryBlind, KindSeeing: audit.ForgerySeeing, KindUnshown: audit.ForgeryUnshown, KindLate: audit.ForgeryLate,
}

// level is how loud a kind is.
func (k Kind) level() slog.Level {
	switch k {
	case KindForged, KindCanary, KindHeld, KindMisconfigured, KindBlind:
		return slog.LevelError
	}
	return slog.LevelWarn
}

// issuerActor stands in the audit trail for what nobody asked for.
const issuerActor = "issuer"

// A step is what one transaction has done: alarms about one incident.
type step struct {
	incident store.Incident
	finding  *finding // nil: no token is behind it
	at       time.Time
	reporter string // whom the alarm is about, where no token is behind it
	instance string // and which process of it, as that calls itself
	actor    string // default issuerActor
	barred   bool   // no entry could be made
	alarms   []raised
}

type raised struct {
	kind   Kind
	detail string // "name=value", for the audit trail
}

// drill reports whether it is all a rehearsal. A token that the issuer did not make is
// none, whichever key it is by.
func (s *step) drill() bool { return s.incident.Drill && (s.finding == nil || s.finding.rehearsed) }

func (s *step) alarm(kind Kind, detail string) { s.alarms = append(s.alarms, raised{kind, detail}) }

// An Alarm is the body of a webhook. It holds no token, and of what a forged one says
// only the jti and the key.
type Alarm struct {
	ID        string    `json:"id"` // the same at each attempt
	Kind      Kind      `json:"kind"`
	At        time.Time `json:"at"`
	Issuer    string    `json:"iss"`
	What      string    `json:"what"` // happened and was done, in words for a person
	Next      string    `json:"next"` // what there is to do
	KeyID     string    `json:"kid,omitzero"`
	TokenID   string    `json:"jti,omitzero"`
	Level0    string    `json:"level0,omitzero"` // "passes", or why a verifier refuses the token without an auditor
	Reporter  string    `json:"reporter,omitzero"`
	Instance  string    `json:"instance,omitzero"`  // process of the reporter whose reports are not answered
	Successor string    `json:"successor,omitzero"` // kid of the key that took over
	Answer    Answer    `json:"answer"`
	Drill     bool      `json:"drill,omitzero"` // a drill: none when somebody else used its key
}

func (d *Desk) alarmOf(s *step, id string, kind Kind) *Alarm {
	say := d.adviceOn(kind, s)
	a := &Alarm{
		What: say.what, Next: say.next, Reporter: s.reporter, Instance: s.instance,
		ID: id, Kind: kind, At: s.at.UTC(), Issuer: d.cfg.Issuer, KeyID: s.incident.KeyID,
		Successor: s.incident.Successor, Answer: d.cfg.Answer, Drill: s.drill(),
	}
	if s.finding != nil {
		a.TokenID, a.Level0, a.Reporter = escaped(s.finding.tokenID), s.finding.level0, s.finding.reporter
	}
	return a
}

// writeAlarms puts the alarms of a step into the audit trail, and into the store for
// the webhook. With store.MaxAlarms waiting there, further ones are in trail and log
// alone.
func (d *Desk) writeAlarms(tx *store.Tx, s *step) error {
	base := "alarm_" + strings.ToLower(rand.Text())
	for i, r := range s.alarms {
		// Those of one step have one time, and are sent in the order of their ids.
		a := d.alarmOf(s, base+"_"+strconv.Itoa(i), r.kind)
		if err := d.writeTrail(tx, s, a, r.detail); err != nil {
			return err
		}
		if d.cfg.Webhook == nil {
			continue
		}
		body, err := wire.Marshal(a)
		if err != nil {
			return err
		}
		err = tx.InsertAlarm(store.Alarm{ID: a.ID, KeyID: a.KeyID, Body: string(body), At: s.at, Due: s.at})
		if err != nil && !errors.Is(err, store.ErrExists) {
			return err
		}
	}
	return nil
}

func (d *Desk) writeTrail(tx *store.Tx, s *step, a *Alarm, detail string) error {
	if a.TokenID != "" {
		detail += ` jti="` + a.TokenID + `"`
	}
	if s.finding != nil {
		detail += " reporter=" + s.finding.reporter + " level0=" + strconv.Quote(a.Level0)
	}
	if a.Drill {
		detail += " drill=true"
	}
	return audit.Record(tx, s.at, audit.Event{
		Actor: cmp.Or(s.actor, issuerActor), Action: actions[a.Kind], Subject: a.KeyID,
		Detail: strings.TrimSpace(detail + " answer=" + string(d.cfg.Answer)),
	})
}

// say logs and counts what a step did, and wakes what comes after it.
func (d *Desk) say(s *step) {
	for _, r := range s.alarms {
		attrs := []slog.Attr{slog.String("alarm", string(r.kind)), slog.String("kid", s.incident.KeyID)}
		say := d.adviceOn(r.kind, s)
		if s.finding != nil {
			attrs = append(attrs, slog.String("jti", escaped(s.finding.tokenID)))
		}
		if s.drill() {
			attrs = append(attrs, slog.Bool("drill", true))
		}
		if s.reporter != "" {
			attrs = append(attrs, slog.String("reporter", s.reporter))
		}
		if s.instance != "" {
			attrs = append(attrs, slog.String("instance", s.instance))
		}
		if s.incident.Successor != "" {
			attrs = append(attrs, slog.String("successor", s.incident.Successor))
		}
		attrs = append(attrs, slog.String("what", say.what), slog.String("next", say.next))
		d.cfg.Log.LogAttrs(context.Background(), r.kind.level(), "forgery", attrs...)
		d.counts.step(r.kind)
	}
	if len(s.alarms) > 0 {
		d.rouse()
	}
}

// rouse makes Run look for what is to be done.
func (d *Desk) rouse() {
	for _, wake := range []chan struct{}{d.stepDue, d.alarmDue} {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
}

func formatSeq(seq uint64) string { return strconv.FormatUint(seq, 10) }

package forgery

import (
	"context"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/issuer/store"
)

const (
	maxSaid   = 256 // bytes of each text that a forged token says of itself
	maxListed = 8   // elements of a list in it

	// traceLife is how long it is known what a forged token said: honest people are
	// named in it.
	traceLife   = 90 * 24 * time.Hour
	forgetEvery = time.Hour
)

// A Trace is what a forged token said of itself. The thief chose all of it, so that it
// proves nothing, and nothing follows from it; what is not printable is escaped as in
// a Go string.
type Trace struct {
	Hash string    `json:"hash"` // as of a [ForgedToken]
	At   time.Time `json:"at"`   // first shown
	store.Said
	SeenBy []store.Sighting `json:"seen_by,omitempty"` // at most [store.MaxSightings]
}

// trace is what is kept of a finding.
func (f *finding) trace() store.Trace {
	said := read(f.payload)
	said.Level0 = f.level0
	return store.Trace{KeyID: f.keyID, Hash: f.hash, Says: said, SeenBy: []store.Sighting{{Reporter: f.reporter}}}
}

// keepTrace keeps what a token says and who has shown it.
func keepTrace(tx *store.Tx, t store.Trace, now time.Time) error {
	t.At = now
	if err := tx.KeepTrace(t); err != nil {
		return err
	}
	return tx.KeepSighting(t.KeyID, t.Hash, store.Sighting{Reporter: t.SeenBy[0].Reporter, At: now})
}

// read reads a payload as the most lenient library would: of several members of one
// name the last counts, or a thief could leave no trace where such a library is used.
func read(payload []byte) (said store.Said) {
	var claims struct {
		ID       jsontext.Value `json:"jti"`
		Subject  jsontext.Value `json:"sub"`
		Audience jsontext.Value `json:"aud"`
		Scope    jsontext.Value `json:"scope"`
		Roles    jsontext.Value `json:"roles"`
		ClientID jsontext.Value `json:"client_id"`
		IssuedAt jsontext.Value `json:"iat"`
		Expiry   jsontext.Value `json:"exp"`
	}
	if json.Unmarshal(payload, &claims, lenient) != nil {
		return said
	}
	r := reading{said: &said}
	said.TokenID = r.text("jti", claims.ID)
	said.Subject = r.text("sub", claims.Subject)
	said.Audience = r.list("aud", claims.Audience)
	said.Scope = strings.Join(r.list("scope", claims.Scope), " ")
	said.Roles = r.list("roles", claims.Roles)
	said.ClientID = r.text("client_id", claims.ClientID)
	said.IssuedAt = r.time("iat", claims.IssuedAt)
	said.Expiry = r.time("exp", claims.Expiry)
	return said
}

var lenient = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// A reading takes claims apart, and notes the names of those that it cannot keep whole.
type reading struct{ said *store.Said }

func (r reading) notKept(name string) { r.said.NotKept = append(r.said.NotKept, name) }

func (r reading) text(name string, v jsontext.Value) string {
	var s string
	if v != nil && json.Unmarshal(v, &s, lenient) != nil {
		r.notKept(name)
		return ""
	}
	s, whole := shown(s)
	if !whole {
		r.notKept(name)
	}
	return s
}

// list reads a text, or a list of them.
func (r reading) list(name string, v jsontext.Value) []string {
	if v == nil || v.Kind() == '"' {
		if one := r.text(name, v); one != "" {
			return []string{one}
		}
		return nil
	}
	var all []string
	if json.Unmarshal(v, &all, lenient) != nil {
		r.notKept(name)
		return nil
	}
	whole := len(all) <= maxListed
	all = all[:min(len(all), maxListed)]
	for i := range all {
		var fits bool
		all[i], fits = shown(all[i])
		whole = whole && fits
	}
	if !whole {
		r.notKept(name)
	}
	return all
}

// lastSecond is the end of the year 9999, beyond which a time has no usual form.
const lastSecond = 253402300799

func (r reading) time(name string, v jsontext.Value) time.Time {
	if v == nil {
		return time.Time{}
	}
	var seconds float64
	if json.Unmarshal(v, &seconds) != nil || seconds < 0 || seconds > lastSecond {
		r.notKept(name)
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0).UTC()
}

// shown makes text of a thief harmless where a person reads it, and reports whether it
// is all there.
func shown(s string) (text string, whole bool) {
	text = escaped(s)
	if len(text) <= maxSaid {
		return text, true
	}
	end := maxSaid
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end], false
}

// escaped writes what is not printable as in a Go string.
func escaped(s string) string {
	s = strconv.Quote(s)
	return s[1 : len(s)-1]
}

// tracesOf reads what the forged tokens of a key said of themselves.
func tracesOf(tx *store.Tx, kid string) ([]Trace, error) {
	rows, err := tx.Traces(kid)
	list := make([]Trace, len(rows))
	for i := range rows {
		list[i] = Trace{Hash: hex.EncodeToString(rows[i].Hash[:]), At: rows[i].At, Said: rows[i].Says, SeenBy: rows[i].SeenBy}
	}
	return list, err
}

// forget removes traces that are older than traceLife.
func (d *Desk) forget(ctx context.Context) error {
	if within(d.cfg.Now(), d.forgotten, forgetEvery) {
		return nil
	}
	err := d.cfg.Store.Update(ctx, func(tx *store.Tx) error {
		now, err := tx.Now()
		if err != nil {
			return err
		}
		return tx.RemoveTraces(now.Add(-traceLife))
	})
	if err == nil {
		d.forgotten = d.cfg.Now()
	}
	return err
}

package forgery

import (
	"context"

	"github.com/counterfoil/counterfoil/notary"
)

// MaxWrong is how many records one answer calls wrong: each of them is a token that
// the verifier will send.
const MaxWrong = 64

// Seen is the answer to a report. What is in neither list was proved.
type Seen struct {
	Wrong []int `json:"wrong"` // indices of records whose tags nobody made: show the tokens
	Again []int `json:"again"` // of those about which nothing is known now
}

// Records answers for tokens that a verifier has seen. A wrong one proves nothing
// yet, since anybody can make up a record.
//
// The error is a [*LimitedError], [ErrOff], or an ErrUnavailable of package notary;
// nothing is then known of any record.
func (d *Desk) Records(ctx context.Context, reporter string, records []notary.Record) (Seen, error) {
	if d.cfg.Answer == Off {
		return Seen{}, ErrOff
	}
	if err := d.reporters.takeRecords(reporter, len(records)); err != nil {
		d.counts.limited.Add(1)
		return Seen{}, err
	}
	seen := Seen{Wrong: []int{}, Again: []int{}}
	ours, places := d.tagged(records, &seen)
	if len(ours) == 0 {
		return seen, nil
	}
	right, err := d.cfg.Notary.Check(ctx, ours)
	if err != nil {
		return Seen{}, err
	}
	for i, ok := range right {
		switch {
		case ok:
			d.counts.right.Add(1)
			d.proved.add(&ours[i])
		case len(seen.Wrong) < MaxWrong:
			seen.Wrong = append(seen.Wrong, places[i])
			d.sight.owe(reporter, ours[i], d.cfg.Now())
		default:
			seen.Again = append(seen.Again, places[i])
		}
	}
	d.counts.wrong.Add(uint64(len(seen.Wrong)))
	return seen, nil
}

// tagged returns the records under tagged keys of ours with their places, and notes
// the others to be asked about again.
func (d *Desk) tagged(records []notary.Record, seen *Seen) (ours []notary.Record, places []int) {
	known := make(map[string]bool) // by kid, of which a report has few
	for i, r := range records {
		tagged, asked := known[r.KeyID]
		if !asked {
			key, _, ok := d.cfg.Keyring.Verification(r.KeyID)
			tagged = ok && key.Limits().Tagged
			known[r.KeyID] = tagged
		}
		if tagged {
			ours, places = append(ours, r), append(places, i)
		} else {
			seen.Again = append(seen.Again, i)
		}
	}
	return ours, places
}

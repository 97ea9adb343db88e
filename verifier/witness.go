package verifier

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/counterfoil/counterfoil/notary"
)

// A WitnessMode says what a Verifier makes of the witness that the notary may sign
// into the header of a token.
type WitnessMode uint8

const (
	// WitnessOff passes over it.
	WitnessOff WitnessMode = iota
	// WitnessReport counts tokens without a right one. While their key is under
	// quarantine it refuses them, if the issuer makes witnesses at all.
	WitnessReport
	// WitnessEnforce refuses every token of a tagged key without a right one.
	WitnessEnforce
)

var witnessModes = [...]string{"off", "report", "enforce"}

// String returns the name of a mode in lower case.
func (m WitnessMode) String() string {
	if int(m) >= len(witnessModes) {
		return fmt.Sprintf("witness mode %d", uint8(m))
	}
	return witnessModes[m]
}

// ParseWitnessMode reads the name of a mode: "off", "report" or "enforce".
func ParseWitnessMode(name string) (WitnessMode, error) {
	for m, known := range witnessModes {
		if name == known {
			return WitnessMode(m), nil
		}
	}
	return 0, errors.New("a witness is off, report or enforce")
}

// A testimony is what a token's witness is worth under the keys of a lookup.
type testimony struct {
	held bool  // the token's key is tagged, and witnesses are looked at
	err  error // nil if the notary made the witness
}

// witness looks at the witness of a token, once for each set of witness keys.
func (f *feed) witness(tok *checked, l *lookup) testimony {
	if f.cfg.Witness == WitnessOff || !isTagged(tok.Key()) {
		return testimony{}
	}
	header, _, _ := strings.Cut(tok.SigningInput(), ".")
	err := notary.VerifyWitness(l.witnesses, tok.Key().KeyID(), header, tok.Payload())
	switch {
	case errors.Is(err, notary.ErrNoWitness):
		f.reports.counts.witnessMissing.Add(1)
	case err != nil:
		f.reports.counts.witnessWrong.Add(1)
	}
	return testimony{held: true, err: err}
}

// genuine returns nil for a token under quarantine that has been proved, by its
// witness if the issuer makes them and the verifier looks, or else by the auditor.
func (f *feed) genuine(ctx context.Context, tok *checked, witness testimony) error {
	if p := tok.proof.Load(); p != nil && p.is() == proved {
		return nil
	}
	if witness.held && f.lookup.Load().witnesses != nil {
		return witness.err
	}
	return f.reports.prove(ctx, tok)
}

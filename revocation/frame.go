package revocation

import (
	"time"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// MaxFrameEntries is how many entries a frame holds at most, so that a frame
// stays below jws.MaxToken with the longest issuer.
const MaxFrameEntries = 768

// A Frame is a run of log entries, signed. Frames may be cut anywhere, since
// the chain runs over entries. A frame without entries is a heartbeat: First is
// then the number of the next entry, and C0 equals C1.
type Frame struct {
	Issuer      string
	Epoch       uint64
	First       uint64    // number of the first entry
	C0, C1      Link      // the chain before the first and after the last entry
	AsOf        time.Time // when the signer began to read the head; to the millisecond
	HandleKeyID string    // kfid: the handle key of the entries
	Entries     []Entry
}

type frameJSON struct {
	Issuer  string `json:"iss"`
	Epoch   uint64 `json:"epoch"`
	First   uint64 `json:"first"`
	N       uint64 `json:"n"`
	C0      string `json:"c0"`
	C1      string `json:"c1"`
	AsOf    uint64 `json:"as_of"`
	KFID    string `json:"kfid"`
	Entries string `json:"entries"`
}

// Last returns the number of the last entry; of a heartbeat, the head's.
func (f *Frame) Last() uint64 { return f.First + uint64(len(f.Entries)) - 1 }

// End returns the position that a verifier holds after the frame.
func (f *Frame) End() Position { return Position{f.Epoch, f.Last(), f.C1} }

// Sign returns the frame as a compact JWS. It refuses a frame that does not
// chain, so that a damaged log is never published: ErrChain.
func (f *Frame) Sign(feedKey *jwk.Key) (string, error) {
	if err := f.check(); err != nil {
		return "", err
	}
	packed := make([]byte, 0, EntrySize*len(f.Entries))
	for _, e := range f.Entries {
		packed = e.AppendPacked(packed)
	}
	return sign(feedKey, FrameType, frameJSON{
		Issuer: f.Issuer, Epoch: f.Epoch, First: f.First, N: uint64(len(f.Entries)),
		C0: f.C0.String(), C1: f.C1.String(),
		AsOf: millis(f.AsOf), KFID: f.HandleKeyID, Entries: wire.Encode(packed),
	})
}

// OpenFrame verifies a frame of issuer iss. keys are the issuer's feed keys and
// nothing else. What it returns chains within itself; whether it continues what
// is held is for [Table.Apply] to say.
//
// Errors: ErrFormat, ErrFeedKey, ErrIssuer, ErrChain.
func OpenFrame(keys jwk.Source, iss, token string) (*Frame, error) {
	var w frameJSON
	if err := open(keys, FrameType, token, &w); err != nil {
		return nil, err
	}
	if err := checkIssuer(w.Issuer, iss); err != nil {
		return nil, err
	}
	f, err := w.frame()
	if err != nil {
		return nil, err
	}
	return f, f.check()
}

func (w *frameJSON) frame() (f *Frame, err error) {
	f = &Frame{
		Issuer: w.Issuer, Epoch: w.Epoch, First: w.First,
		AsOf: fromMillis(w.AsOf), HandleKeyID: w.KFID,
	}
	if f.C0, err = ParseLink(w.C0); err != nil {
		return nil, err
	}
	if f.C1, err = ParseLink(w.C1); err != nil {
		return nil, err
	}
	packed, err := wire.Decode(w.Entries)
	if err != nil || w.N > MaxFrameEntries || len(packed) != int(w.N)*EntrySize {
		return nil, errFormat("entries")
	}
	f.Entries = make([]Entry, w.N)
	for i := range f.Entries {
		if f.Entries[i], err = UnpackEntry(packed[i*EntrySize:]); err != nil {
			return nil, errFormat("entry")
		}
	}
	return f, nil
}

// check says whether the frame could be true.
func (f *Frame) check() error {
	if f.Issuer == "" || len(f.Issuer) > maxIssuer {
		return errFormat("issuer")
	}
	if f.Epoch == 0 || f.Epoch > MaxSeq || millis(f.AsOf) == 0 || millis(f.AsOf) > MaxSeq {
		return errFormat("epoch or as_of")
	}
	if !validID(f.HandleKeyID) {
		return errFormat("kfid")
	}
	if len(f.Entries) > MaxFrameEntries || f.First == 0 || f.First > MaxSeq || f.Last() > MaxSeq {
		return errFormat("range")
	}
	for _, e := range f.Entries {
		if err := e.check(); err != nil {
			return errFormat("entry")
		}
	}
	if f.C0.Chain(f.First, f.Entries) != f.C1 {
		return ErrChain
	}
	return nil
}

// maxID bounds the length of a handle key's id in bytes.
const maxID = 64

func validID(id string) bool { return id != "" && len(id) <= maxID }

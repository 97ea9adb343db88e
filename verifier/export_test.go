package verifier

import (
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"strings"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
	"github.com/counterfoil/counterfoil/notary"
)

// ReadEvents is the parser of the stream, for its fuzz test.
var ReadEvents = readEvents

// Lookup is what a check does beyond the token itself, for its benchmark.
func Lookup(ctx context.Context, v *Verifier, tok *jwt.Token[Access]) error {
	return v.feed().check(ctx, &checked{Token: tok}, Route{})
}

// MaxNameless is how many tokens without a kid are tried a second, with one canary.
const MaxNameless = maxNameless

// PlantCanaries makes a verifier believe that these are canaries.
func PlantCanaries(v *Verifier, set *jwk.Set) { v.feed().canaries.Store(set) }

// Sampler says which tokens a process with this secret reports.
func Sampler(secret []byte, share float64) func(input string) bool {
	var r reporter
	r.key(secret, share)
	return func(input string) bool {
		_, sampled := r.name(input)
		return sampled
	}
}

// Flood leaves n tokens to be reported, each of some size bytes, as if they had been
// verified.
func Flood(v *Verifier, n, size int) {
	r := v.feed().reports
	var nonce [20]byte
	rest := []byte(`,"pad":"` + strings.Repeat("x", size*3/4-50) + `"}`)
	for i := range n {
		binary.BigEndian.PutUint64(nonce[:], uint64(i))
		text := "e30." + wire.Encode(notary.Join(wire.Encode(nonce[:]), rest)) + ".c2ln"
		id, _ := r.name(text)
		r.enter(report{id: id, kid: "k", text: text, expiry: 1 << 31})
	}
}

// Show leaves n tokens to be shown as evidence.
func Show(v *Verifier, kid string, n, size int) {
	r := v.feed().reports
	for i := range n {
		text := make([]byte, size)
		binary.BigEndian.PutUint64(text, uint64(i))
		id, _ := r.name(kid + string(text))
		r.show(exhibit{id: id, kid: kid, text: string(text), expiry: 1 << 31, proof: &proof{}})
	}
}

// A SeenSet is what remembers tokens that were reported.
type SeenSet struct{ *seenSet }

// NewSeenSet returns one with a cap in bytes.
func NewSeenSet(limit int) SeenSet { return SeenSet{newSeenSet(limit)} }

// Add remembers a token as proved.
func (s SeenSet) Add(id [16]byte, expiry, now uint32) { s.add(sight{id, expiry, proved}, now) }

// Has reports whether a token is remembered.
func (s SeenSet) Has(id [16]byte) bool { return s.find(id) == proved }

// Memory returns bytes, the highest so far, tokens and how many were forgotten early.
func (s SeenSet) Memory() (bytes, peak, tokens, forgotten int) {
	return int(s.bytes.Load()), int(s.peak.Load()), int(s.held.Load()), int(s.forgotten.Load())
}

// ParseVerdicts and ParseFinding are the parsers of the auditor's answers, for their
// fuzz tests. The first returns the indices that are proved.
func ParseVerdicts(body []byte, n int) (provedOnes []int, err error) {
	verdicts, err := parseVerdicts(body, n)
	for i, v := range verdicts {
		if v == right {
			provedOnes = append(provedOnes, i)
		}
	}
	return provedOnes, err
}

// ParseFinding reports whether an answer to evidence says that the token is genuine.
func ParseFinding(body []byte) (genuine bool, err error) {
	state, err := parseFinding(body)
	return state == proved, err
}

// KeysDigest names the key set that is held.
func (v *Verifier) KeysDigest() string { return v.keys.digest() }

// ForgetReports empties the queue.
func ForgetReports(v *Verifier) {
	r := v.feed().reports
	r.eachChunk(slices.Collect(maps.Values(r.open)), func(_ int, rep *report) { r.close(rep, unreported) })
}

// ForgetReport takes one token out of the queue.
func ForgetReport(v *Verifier, tok *jwt.Token[Access]) {
	r := v.feed().reports
	id, _ := r.name(tok.SigningInput())
	r.mu.Lock()
	defer r.mu.Unlock()
	if rep := r.open[id]; rep != nil {
		r.close(rep, unreported)
	}
}

// StopReports ends or begins the collecting of reports.
func StopReports(v *Verifier, off bool) { v.feed().reports.off.Store(off) }

// Note is what a check does about a token that it has not seen.
func Note(v *Verifier, tok *jwt.Token[Access], text string) {
	v.feed().reports.note(&checked{Token: tok, text: text, expiry: tok.Expiry()})
}

// MarkProved remembers a token as one that the auditor has proved.
func MarkProved(v *Verifier, tok *jwt.Token[Access]) {
	r := v.feed().reports
	id, _ := r.name(tok.SigningInput())
	r.remember(id, 1<<31, proved)
}

package verifier

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/jose/jwt"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/revocation"
)

const (
	// maxExhibits bounds the tokens that wait for the issuer to look at them, and
	// maxExhibitsOfKey those of one key: a thief who floods us with forgeries by
	// one does not hide those by another.
	maxExhibits      = 64
	maxExhibitsOfKey = 32
	// exhibitSpacing lies between two of them, after trouble with the pauses of
	// reports.
	exhibitSpacing = 50 * time.Millisecond

	maxExhibitAnswer = 4 << 10
)

// An exhibit is a token that our key signed and the notary did not tag: evidence
// that somebody else has the key.
type exhibit struct {
	id     seenID
	kid    string
	text   string
	expiry uint32
	proof  *proof

	tries uint8     // answers that the issuer cannot tell
	due   time.Time // when it may be shown again
	since time.Time // without an answer that the issuer signed; after one, due
}

// exhibits are those that wait, guarded by reporter.mu.
type exhibits struct{ list []*exhibit }

func (x *exhibits) find(id seenID) *exhibit {
	for _, e := range x.list {
		if e.id == id {
			return e
		}
	}
	return nil
}

func (x *exhibits) count(kid string) (n int) {
	for _, e := range x.list {
		if e.kid == kid {
			n++
		}
	}
	return n
}

// show has a token sent to the issuer.
func (r *reporter) show(e exhibit) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keep(e)
}

// keep is show for callers that hold r.mu. One of which the issuer could not tell
// makes room. Where there is none, the token is tried again at its next use.
func (r *reporter) keep(e exhibit) {
	x := &r.exhibits
	switch {
	case r.pace.closed || x.find(e.id) != nil || r.seen.find(e.id) != unreported:
		return
	case len(x.list) >= maxExhibits || x.count(e.kid) >= maxExhibitsOfKey:
		r.counts.evidenceDropped.Add(1)
		if !x.makeRoom(e.kid) {
			return
		}
	}
	e.since = time.Now()
	x.list = append(x.list, &e)
	r.peaks.exhibits = max(r.peaks.exhibits, len(x.list))
	signal(r.wakeShow)
}

// makeRoom takes out the oldest one that the issuer has looked at in vain, of kid if
// that has its share, and reports whether there was one.
func (x *exhibits) makeRoom(kid string) bool {
	full := x.count(kid) >= maxExhibitsOfKey
	i := slices.IndexFunc(x.list, func(e *exhibit) bool { return e.tries > 0 && (!full || e.kid == kid) })
	if i >= 0 {
		x.list = slices.Delete(x.list, i, i+1)
	}
	return i >= 0
}

// exhibit returns the one that is to be sent next, or nil and when to ask again.
func (r *reporter) exhibit(now time.Time) (e *exhibit, wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	wait = offFor
	for _, e := range r.exhibits.list {
		left := e.due.Sub(now)
		if left <= 0 {
			return e, 0
		}
		wait = min(wait, left)
	}
	return nil, wait
}

// showAll sends exhibits one after the other until ctx ends. The first of several
// failures in a row is logged.
func (r *reporter) showAll(ctx context.Context) {
	pause := minReportPause
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		e, wait := r.exhibit(time.Now())
		if e == nil {
			timer.Reset(wait)
			select {
			case <-ctx.Done():
			case <-timer.C:
			case <-r.wakeShow:
			}
			continue
		}
		err := r.send(ctx, e)
		if err == nil {
			pause = minReportPause
			sleep(ctx, exhibitSpacing)
			continue
		}
		if pause == minReportPause && ctx.Err() == nil {
			r.log.Warn("a token that may be forged is not shown to the issuer", "iss", r.issuer, "kid", e.kid, "err", err)
		}
		sleep(ctx, pause/2+rand.N(pause/2))
		pause = min(2*pause, maxReportPause)
	}
}

// send shows the issuer one token and keeps what it says. Without a verdict the token
// waits behind the others.
func (r *reporter) send(ctx context.Context, e *exhibit) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	answer, err := r.post(ctx, revocation.EvidencePath, "application/jwt", []byte(e.text), maxExhibitAnswer)
	state := exhibited
	if err == nil {
		state, err = parseFinding(answer)
	}
	switch {
	case err == nil && state == unreported:
		state = r.puzzle(e)
	case err == nil:
		r.counts.evidence.Add(1)
	case errors.Is(err, errNotAudited):
		r.suspend(offFor)
	default: // a refusal too: anybody on the way may have written it
		state = unreported
	}
	if err != nil {
		r.counts.errors.Add(1)
	}
	r.examined(e, state)
	return err
}

// puzzle puts off a token of which the issuer cannot tell what it is: perhaps its
// notaries do not agree. One that has expired is given up after some attempts.
func (r *reporter) puzzle(e *exhibit) proofState {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.tries++; e.tries > againTries && e.expiry < unixSeconds(r.now()) {
		r.counts.evidenceDropped.Add(1)
		return exhibited
	}
	e.tries = min(e.tries, againTries+1)
	e.due = time.Now().Add(againPause(e.tries))
	e.since = e.due
	return unreported
}

// examined keeps what has become of an exhibit: unreported if nothing has.
func (r *reporter) examined(e *exhibit, state proofState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	x := &r.exhibits
	i := slices.Index(x.list, e)
	if i < 0 {
		return // forgotten meanwhile
	}
	x.list = slices.Delete(x.list, i, i+1)
	if state == unreported {
		x.list = append(x.list, e)
		return
	}
	e.proof.set(state)
	r.remember(e.id, e.expiry, state)
}

// parseFinding reads what the issuer says of a token: proved or exhibited, and
// unreported when it cannot tell. All that is not genuine is one to us: it has been
// seen by who can judge it.
func parseFinding(body []byte) (proofState, error) {
	var answer struct {
		Verdict string `json:"verdict"`
	}
	if err := wire.Unmarshal(body, &answer); err != nil {
		return unreported, errAnswer
	}
	switch answer.Verdict {
	case "genuine":
		return proved, nil
	case "forged", "unsigned", "canary":
		return exhibited, nil
	case "unknown":
		return unreported, nil
	}
	return unreported, errAnswer
}

// refused reports a token that has been refused although its signature verified,
// as err says: by a tagged key, it is either a genuine one in the wrong place or
// evidence. It costs an honest one no second signature check, since errors about
// claims come after the first.
func (r *reporter) refused(keys jwk.Source, token string, err error) {
	if r.off.Load() || !isSigned(err) {
		return
	}
	u, parseErr := jws.Parse(token)
	if parseErr != nil {
		return
	}
	h := u.UnverifiedHeader()
	key, keyErr := keys.Find(h.KeyID, string(h.Algorithm))
	if keyErr != nil || !isTagged(key) {
		return
	}
	id, sampled := r.name(u.SigningInput())
	if r.seen.find(id) != unreported {
		return
	}
	expiry := expiryOf(u.UnverifiedPayload(), r.now())
	if breaksLimits(err, h, token) {
		if r.isOver(key, token) {
			return
		}
		r.show(exhibit{id: id, kid: key.KeyID(), text: strings.Clone(token), expiry: r.until(expiry), proof: &proof{}})
		return
	}
	if sampled && r.now().Before(expiry.Add(jwt.DefaultLeeway)) {
		r.enter(report{id: id, kid: key.KeyID(), text: strings.Clone(token), expiry: r.until(expiry)})
	}
}

// isOver reports whether nobody accepts a token any more: of such a one the issuer
// does not tell what it is, and those that it can tell of would wait behind it.
func (r *reporter) isOver(key *jwk.Key, token string) bool {
	_, err := jwt.Verify[struct{}](jwt.Policy{
		InsecureSkipIssuer: true, InsecureSkipAudience: true, InsecureSkipType: true, Leeway: jwt.MaxLeeway, Now: r.now,
	}, key.WithLimits(jwk.Limits{}), token)
	_, over := errors.AsType[*jwt.ExpiredError](err)
	return over
}

// isSigned reports whether a token was refused after its signature had verified,
// and not because it has expired.
func isSigned(err error) bool {
	switch e := jwt.Explain(err); e.Stage {
	case jwt.StageClaims, jwt.StageLimits, jwt.StageTime:
		return e.Reason != jwt.ReasonExpired
	case jwt.StageHeader:
		return e.Claim == "typ"
	}
	return false
}

// breaksLimits reports whether no honest issuer makes such a token.
func breaksLimits(err error, h jws.Header, token string) bool {
	stage := jwt.Explain(err).Stage
	if stage == jwt.StageLimits || !h.HasType(DefaultType) {
		return true
	}
	_, recordErr := notary.RecordOf(h.KeyID, token)
	return recordErr != nil
}

// expiryOf reads "exp" of a token that was refused; without a usable one it is
// remembered as long as any.
func expiryOf(payload []byte, now time.Time) time.Time {
	var claims struct {
		Expiry float64 `json:"exp"`
	}
	if err := wire.Unmarshal(payload, &claims); err != nil || claims.Expiry <= 0 || claims.Expiry > 1<<33 {
		return now.Add(seenLife)
	}
	return time.Unix(int64(claims.Expiry), 0)
}

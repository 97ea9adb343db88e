package verifier

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/counterfoil/counterfoil/notary"
)

const (
	// reportEvery is how long reports are gathered, unless there are enough for a
	// whole one before.
	reportEvery = 250 * time.Millisecond
	// gather is how long reports are gathered for which somebody waits.
	gather = 5 * time.Millisecond
	// maxFlights is how many requests to the auditor may be under way. Reports for
	// which nobody waits go one after the other.
	maxFlights = 4
	// While one answer does not hold all that is wrong in a report, somebody floods us
	// with forged tokens, and those who wait behind them need smaller reports, and more
	// of them at once.
	crowdedFor     = 10 * time.Second
	crowdedFlights = 16

	// leastReport is how many records a report still has after others did not come
	// through: something on the way may take no longer ones.
	leastReport = 64

	// After trouble reports pause, doubling, and those for which somebody waits
	// for proveAgain.
	minReportPause = 250 * time.Millisecond
	maxReportPause = 5 * time.Second
	proveAgain     = 100 * time.Millisecond
	// proveTimeout bounds a request for which somebody waits: nobody does so longer
	// than ProveWait.
	proveTimeout = time.Second
	// offFor is how long nothing is collected after the issuer has said that it has
	// no auditor, and offProving how long nobody is kept waiting.
	offFor     = 10 * time.Minute
	offProving = time.Second

	// A report without a verdict goes out again after these pauses, doubling.
	// After againTries it is given up once its token has expired.
	minAgainPause = time.Second
	maxAgainPause = 30 * time.Second
	againTries    = 8
)

// A pace says when reports go out. Its times are of the process.
type pace struct {
	ordinaryAt, urgentAt time.Time // as they were gathered
	resumeAt, pressAt    time.Time // after trouble: ordinary ones, urgent ones
	failures             int       // in a row
	halved               int       // how often reports were made shorter, less how often longer again
	crowdedUntil         time.Time // there are more forged tokens than one answer names
	offUntil             time.Time // zero while the issuer has an auditor
	logged               bool      // that it does not work
	loggedOff            bool      // that the issuer has no auditor
	closed               bool
}

// flights is how many requests may be under way.
func (p *pace) flights(now time.Time) int {
	if now.Before(p.crowdedUntil) {
		return crowdedFlights
	}
	return maxFlights
}

// most is how many records a report has.
func (p *pace) most() int { return max(notary.MaxRecords>>p.halved, leastReport) }

// urgent is how many records of one report somebody may wait for: no more than the
// answer can call wrong, where that is many.
func (p *pace) urgent(now time.Time) int {
	if now.Before(p.crowdedUntil) {
		return maxWrong
	}
	return notary.MaxRecords
}

// pressAgain is how long to wait after an answer without a verdict for which somebody
// waits. In a flood it had no room for one, and the next has.
func (p *pace) pressAgain(now time.Time) time.Duration {
	if now.Before(p.crowdedUntil) {
		return gather
	}
	return proveAgain
}

// heed sets the pace by how much was wrong.
func (r *reporter) heed(verdicts []verdict, now time.Time) {
	count := func(v verdict) (n int) {
		for _, one := range verdicts {
			if one == v {
				n++
			}
		}
		return n
	}
	if count(wrong) >= maxWrong && count(again) > 0 {
		r.mu.Lock()
		r.pace.crowdedUntil = now.Add(crowdedFor)
		r.mu.Unlock()
	}
}

// againPause is how long to wait after so many answers without a verdict.
func againPause(tries uint8) time.Duration {
	pause := min(minAgainPause<<(tries-1), maxAgainPause)
	return pause/2 + rand.N(pause/2)
}

// touchDown ends a flight.
func (r *reporter) touchDown() {
	r.mu.Lock()
	r.flights--
	r.mu.Unlock()
	signal(r.wake)
}

// landed ends a flight, and sets the pace by how it went.
func (r *reporter) landed(err error) {
	defer r.touchDown() // after the pace is known
	r.mu.Lock()
	news := r.pace.note(err, time.Now())
	if err == nil && !r.pace.closed {
		r.pace.offUntil = time.Time{}
		r.off.Store(false)
	}
	r.mu.Unlock()
	if err != nil {
		r.counts.errors.Add(1)
	}
	switch {
	case !news:
	case err == nil:
		r.log.Info("tokens seen are reported again", "iss", r.issuer)
	case errors.Is(err, errNotAudited):
		r.log.Warn("the issuer takes no reports of tokens: forged ones are not detected", "iss", r.issuer)
	case !errors.Is(err, context.Canceled): // by Close, which sends them
		r.log.Warn("tokens seen are not reported", "iss", r.issuer, "err", err)
	}
}

// note sets the pace by how a flight went, and tells whether that is news.
func (p *pace) note(err error, now time.Time) (news bool) {
	switch {
	case err == nil:
		news = p.logged || p.loggedOff
		p.failures, p.resumeAt, p.logged, p.loggedOff = 0, time.Time{}, false, false
		p.halved = max(p.halved-1, 0)
		return news
	case errors.Is(err, errNotAudited): // which has set its own pace
		news, p.loggedOff = !p.loggedOff, true
		return news
	}
	p.pressAt = now.Add(proveAgain/2 + rand.N(proveAgain/2))
	pause := min(minReportPause<<min(p.failures, 10), maxReportPause)
	if at := now.Add(pause/2 + rand.N(pause/2)); at.After(p.resumeAt) {
		p.resumeAt = at
	}
	p.failures++
	if p.most() > leastReport {
		p.halved++
	}
	news, p.logged = !p.logged, true
	return news
}

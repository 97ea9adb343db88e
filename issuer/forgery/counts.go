package forgery

import "sync/atomic"

// Counts are numbers since the process began, for metrics.
type Counts struct {
	Right   uint64 // records that the auditor found right
	Wrong   uint64 // records that it did not, so that the token was asked for
	Limited uint64 // reports and pieces of evidence refused for their number

	Genuine  uint64 // pieces of evidence with a right tag
	Unsigned uint64 // without a valid signature of ours
	Unknown  uint64 // of a key that is not ours, or that proved nothing
	Forged   uint64 // forged tokens, each counted once as far as this node remembers
	Canaries uint64 // tokens under a canary key

	Quarantined   uint64 // steps of answers that this node took
	Rotated       uint64
	Killed        uint64
	Held          uint64 // kills left to a person
	Misconfigured uint64 // times that the secrets of the notaries began to disagree
	Blind         uint64 // times that tags were no longer checked here, or that a verifier was cut off
	Unshown       uint64 // tokens that were asked for and did not come
	Late          uint64 // tokens with a wrong tag that had ended when they came

	ProbesPassed uint64
	ProbesFailed uint64 // the notary did not answer, or found its own tag wrong
	Alarms       uint64 // taken by the webhook
	AlarmsFailed uint64 // attempts that came to nothing
}

type counts struct {
	right, wrong, limited                                    atomic.Uint64
	genuine, unsigned, unknown, forged, canaries             atomic.Uint64
	quarantined, rotated, killed, held, misconfigured, blind atomic.Uint64
	unshown, late                                            atomic.Uint64
	probesPassed, probesFailed, alarms, alarmsFailed         atomic.Uint64
}

// Counts returns the numbers so far.
func (d *Desk) Counts() Counts {
	c := &d.counts
	return Counts{
		Right: c.right.Load(), Wrong: c.wrong.Load(), Limited: c.limited.Load(),
		Genuine: c.genuine.Load(), Unsigned: c.unsigned.Load(), Unknown: c.unknown.Load(),
		Forged: c.forged.Load(), Canaries: c.canaries.Load(),
		Quarantined: c.quarantined.Load(), Rotated: c.rotated.Load(), Killed: c.killed.Load(), Held: c.held.Load(),
		Misconfigured: c.misconfigured.Load(), Blind: c.blind.Load(), Unshown: c.unshown.Load(), Late: c.late.Load(),
		ProbesPassed: c.probesPassed.Load(), ProbesFailed: c.probesFailed.Load(),
		Alarms: c.alarms.Load(), AlarmsFailed: c.alarmsFailed.Load(),
	}
}

// Bounds are what a desk keeps in memory: how much there is, the most there was, and
// the most there can be.
type Bounds struct {
	Reporters, PeakReporters, MaxReporters int
	Judged, PeakJudged, MaxJudged          int // forged tokens remembered, so that each counts once
}

// Bounds returns what the desk keeps.
func (d *Desk) Bounds() Bounds {
	b := Bounds{MaxReporters: maxReporters, MaxJudged: maxJudged}
	d.reporters.mu.Lock()
	b.Reporters, b.PeakReporters = len(d.reporters.of), d.reporters.peak
	d.reporters.mu.Unlock()
	b.Judged, b.PeakJudged = d.judged.size()
	return b
}

// step counts a step of an answer.
func (c *counts) step(k Kind) {
	switch k {
	case KindQuarantined:
		c.quarantined.Add(1)
	case KindRotated:
		c.rotated.Add(1)
	case KindKilled:
		c.killed.Add(1)
	case KindHeld:
		c.held.Add(1)
	case KindMisconfigured:
		c.misconfigured.Add(1)
	case KindBlind:
		c.blind.Add(1)
	}
}

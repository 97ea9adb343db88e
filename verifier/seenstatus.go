package verifier

import "time"

// SeenStatus is a moment in the life of the reports to the issuer's auditor.
// Counters only grow. Of everything that is bounded there are the present amount,
// the highest so far (Peak) and the bound (Cap).
type SeenStatus struct {
	Off   bool    // the issuer has no auditor, or did not when it was last asked
	Share float64 // of tokens that are reported: Config.SeenShare

	// Unanswered is how long a report or a token for evidence has waited for an answer
	// that the issuer signed, the longest of them. Where it grows, forged tokens go
	// unnoticed here. The issuer is told by acknowledgements, and alarms.
	Unanswered time.Duration

	Tokens     int // remembered as reported
	Bytes      int // memory of them
	BytesPeak  int
	BytesCap   int
	Forgotten  uint64 // tokens that were forgotten before they expired
	Waiting    int    // tokens about which the auditor has not spoken
	WaitingCap int

	WaitingPeak      int
	WaitingBytes     int // memory of them
	WaitingBytesPeak int
	WaitingBytesCap  int

	Reports  uint64 // requests with records
	Reported uint64 // records that got a verdict: Proved and Wrong
	Proved   uint64
	Wrong    uint64
	Again    uint64 // answers without a verdict
	Dropped  uint64 // records that found no room, or that nobody would take
	Errors   uint64 // requests that failed

	Evidence        int // tokens that wait for the issuer to look at them
	EvidencePeak    int
	EvidenceCap     int
	EvidenceSent    uint64
	EvidenceDropped uint64 // that found no room; tried again when the token comes again

	Proving     int // requests that wait for a verdict, under quarantine, for fewer tokens
	ProvingPeak int
	ProvingCap  int
	Unproved    uint64 // requests refused for want of a verdict
	Forged      uint64 // requests refused by a verdict
	Canaries    uint64 // requests refused because a canary signed the token

	WitnessMissing uint64 // tokens without a witness, where they are looked at
	WitnessWrong   uint64
}

func (r *reporter) status() SeenStatus {
	c := &r.counts
	s := SeenStatus{
		Off:    r.off.Load(),
		Share:  r.shareOf,
		Tokens: int(r.seen.held.Load()), Bytes: int(r.seen.bytes.Load()), BytesPeak: int(r.seen.peak.Load()), BytesCap: int(r.seen.limit),
		Forgotten: r.seen.forgotten.Load(), WaitingCap: maxWaiting, WaitingBytesCap: maxWaitingBytes,
		Reports: c.reports.Load(), Reported: c.reported.Load(), Proved: c.proved.Load(), Wrong: c.wrong.Load(),
		Again: c.again.Load(), Dropped: c.dropped.Load(), Errors: c.errors.Load(),
		EvidenceCap: maxExhibits, EvidenceSent: c.evidence.Load(), EvidenceDropped: c.evidenceDropped.Load(),
		ProvingCap: maxProving, Unproved: c.unproved.Load(), Forged: c.forged.Load(), Canaries: c.canaries.Load(),
		WitnessMissing: c.witnessMissing.Load(), WitnessWrong: c.witnessWrong.Load(),
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Waiting, s.WaitingPeak, s.WaitingBytes, s.WaitingBytesPeak = len(r.open), r.peaks.waiting, r.bytes, r.peaks.bytes
	s.Evidence, s.EvidencePeak = len(r.exhibits.list), r.peaks.exhibits
	s.Proving, s.ProvingPeak = r.proving, r.peaks.proving
	s.Unanswered = r.unanswered(time.Now())
	return s
}

// unanswered is SeenStatus.Unanswered. Callers hold r.mu.
func (r *reporter) unanswered(now time.Time) time.Duration {
	oldest := now
	if rep := r.unheard.oldest; rep != nil {
		oldest = rep.since
	}
	for _, e := range r.exhibits.list {
		if e.since.Before(oldest) {
			oldest = e.since
		}
	}
	return now.Sub(oldest)
}

// A seenState tells the issuer how reports fare, in acknowledgements.
type seenState struct {
	Records    int     `json:"records"`  // that wait for an answer
	Evidence   int     `json:"evidence"` // tokens that do
	Unanswered int64   `json:"unanswered_ms"`
	Lost       uint64  `json:"lost"` // records and tokens that found no room
	Share      float64 `json:"share"`
	Off        bool    `json:"off,omitzero"`
}

func (r *reporter) state() *seenState {
	s := r.status()
	return &seenState{
		Records: s.Waiting, Evidence: s.Evidence, Unanswered: s.Unanswered.Milliseconds(),
		Lost: s.Dropped + s.EvidenceDropped, Share: s.Share, Off: s.Off,
	}
}

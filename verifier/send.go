package verifier

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/internal/fetch"
	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/revocation"
)

const (
	// reportHead is room for the front of a report with a few keys.
	reportHead = 1 << 10
	// settleChunk is how many reports are dealt with before others get at the lock.
	settleChunk = 256

	// maxReportAnswer bounds an answer to a report: each index in it once, of five
	// characters at most.
	maxReportAnswer = notary.MaxRecords*5 + 1<<10
	// maxWrong is how many wrong records the auditor names in one answer.
	maxWrong = 64
)

// run sends reports until ctx ends.
func (r *reporter) run(ctx context.Context) {
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() { r.showAll(ctx) })
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		due, wait := r.next(time.Now())
		if due {
			batch, urgent := r.take()
			work.Go(func() { r.fly(ctx, batch, urgent) })
			continue
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-r.wake:
		}
	}
}

// next reports whether reports are due, and counts their flight, or else when to
// ask again.
func (r *reporter) next(now time.Time) (due bool, wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bringBack(now)
	wait = offFor
	reached := func(times ...time.Time) bool {
		var left time.Duration
		for _, at := range times {
			left = max(left, at.Sub(now))
		}
		if left > 0 {
			wait = min(wait, left)
		}
		return left <= 0
	}
	p := &r.pace
	switch {
	case r.flights < p.flights(now) && r.urgent.n > 0 && r.proving > 0 && reached(p.urgentAt, p.pressAt):
	case r.flights == 0 && r.ordinary.n >= p.most() && reached(p.resumeAt):
	case r.flights == 0 && (r.ordinary.n > 0 || r.urgent.n > 0 && reached(p.pressAt)) && reached(p.ordinaryAt, p.resumeAt):
	default:
		if r.later.n > 0 {
			reached(r.later.first.due)
		}
		if !p.offUntil.IsZero() {
			reached(p.offUntil)
		}
		return false, wait
	}
	r.flights++
	return true, 0
}

// bringBack makes ready again what has waited long enough. Callers hold r.mu.
func (r *reporter) bringBack(now time.Time) {
	for range settleChunk {
		rep := r.later.first
		if rep == nil || now.Before(rep.due) {
			break
		}
		r.later.remove(rep)
		r.schedule(rep, &r.ordinary)
	}
	if p := &r.pace; !p.offUntil.IsZero() && !now.Before(p.offUntil) && !p.closed {
		p.offUntil = time.Time{}
		r.off.Store(false)
	}
}

// fly sends reports and draws the conclusions.
func (r *reporter) fly(ctx context.Context, batch []*report, urgent bool) error {
	ctx, cancel := context.WithTimeout(ctx, timeoutOf(urgent))
	defer cancel()
	sent, records := r.records(batch)
	if len(records) == 0 {
		r.touchDown()
		return nil // which says nothing of the issuer
	}
	verdicts, err := r.ask(ctx, records)
	switch {
	case err == nil:
		r.conclude(sent, verdicts)
	case errors.Is(err, errNotAudited):
		r.suspend(offFor)
	case errors.Is(err, notary.ErrReport):
		r.giveUp(sent)
	default: // a refusal too: anybody on the way may have written it
		r.putBack(sent)
	}
	r.landed(err)
	return err
}

func timeoutOf(urgent bool) time.Duration {
	if urgent {
		return proveTimeout
	}
	return requestTimeout
}

// take takes reports for one flight off their lists, urgent ones first.
func (r *reporter) take() (batch []*report, urgent bool) {
	now := time.Now()
	r.mu.Lock()
	most := r.pace.most()
	r.mu.Unlock()
	for len(batch) < most {
		before := len(batch)
		r.mu.Lock()
		for range min(settleChunk, most-before) {
			from := &r.urgent
			if from.n == 0 || len(batch) >= r.pace.urgent(now) {
				from = &r.ordinary
			}
			if from.n == 0 {
				break
			}
			urgent = urgent || from == &r.urgent
			batch = append(batch, from.first)
			from.remove(from.first)
		}
		r.mu.Unlock()
		if len(batch) == before {
			break
		}
	}
	return batch, urgent
}

// records makes the records of reports. A token of which none can be made has no
// tag, and goes as evidence.
func (r *reporter) records(batch []*report) (sent []*report, records []notary.Record) {
	sent, records = batch[:0], make([]notary.Record, 0, len(batch))
	for _, rep := range batch {
		record, err := notary.RecordOf(rep.kid, rep.text)
		if err != nil {
			r.eachChunk([]*report{rep}, func(_ int, rep *report) { r.condemn(rep) })
			continue
		}
		sent, records = append(sent, rep), append(records, record)
	}
	return sent, records
}

// ask sends records to the auditor by way of the issuer.
func (r *reporter) ask(ctx context.Context, records []notary.Record) ([]verdict, error) {
	body, err := notary.AppendReport(make([]byte, 0, reportHead+len(records)*notary.RecordSize), records)
	if err != nil {
		return nil, err
	}
	r.counts.reports.Add(1)
	answer, err := r.post(ctx, revocation.SeenPath, notary.ReportType, body, maxReportAnswer)
	if err != nil {
		return nil, err
	}
	return parseVerdicts(answer, len(records))
}

var (
	errAnswer = errors.New("the answer to a report is not one")
	// errNotAudited is the issuer's word that it does not look for forged tokens.
	errNotAudited = errors.New("the issuer takes no reports of tokens")
)

// post sends to the issuer what only it may see, and returns its answer, which it has
// signed: the proxy where TLS ends can prove nothing in its place.
func (r *reporter) post(ctx context.Context, path, contentType string, body []byte, limit int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.at.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	nonce := rand.Text()
	req.Header.Set("Content-Type", contentType)
	req.Header.Set(revocation.NonceHeader, nonce)
	if err := r.at.authorize(req); err != nil {
		return nil, err
	}
	resp, err := r.at.client.Do(req)
	if err != nil {
		return nil, &transportError{err}
	}
	defer resp.Body.Close()
	exchange := revocation.Exchange{Issuer: r.issuer, Path: path, Nonce: nonce, Request: body}
	switch resp.StatusCode {
	case http.StatusOK:
		if exchange.Answer, err = readAnswer(resp, limit); err != nil {
			return nil, err
		}
	case http.StatusNotFound: // from anybody on the way, unless the issuer has signed it
		drop(resp)
	default:
		drop(resp)
		return nil, &fetch.StatusError{Status: resp.StatusCode}
	}
	keys := r.keys()
	if keys == nil {
		return nil, errNotKeyed
	}
	err = exchange.Verify(keys, resp.Header.Get(revocation.AnswerHeader))
	switch {
	case resp.StatusCode == http.StatusNotFound && err == nil:
		return nil, errNotAudited
	case resp.StatusCode == http.StatusNotFound:
		return nil, &fetch.StatusError{Status: resp.StatusCode}
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errAnswer, err)
	}
	return exchange.Answer, nil
}

func readAnswer(resp *http.Response, limit int64) ([]byte, error) {
	if media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return nil, errAnswer
	}
	return fetch.Body(resp.Body, limit)
}

// A verdict is what the auditor says of one record.
type verdict uint8

const (
	right verdict = iota
	wrong
	again // nothing, for now
)

// parseVerdicts reads the answer to a report of n records. What is left out of it
// proves nothing: both lists have to be there, and each of their numbers has to name
// one record.
func parseVerdicts(body []byte, n int) ([]verdict, error) {
	var answer struct {
		Wrong []int `json:"wrong"`
		Again []int `json:"again"`
	}
	if err := wire.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("%w: %w", errAnswer, err)
	}
	if answer.Wrong == nil || answer.Again == nil || len(answer.Wrong) > maxWrong {
		return nil, errAnswer
	}
	verdicts := make([]verdict, n)
	mark := func(list []int, as verdict) bool {
		for _, i := range list {
			if i < 0 || i >= n || verdicts[i] != right {
				return false
			}
			verdicts[i] = as
		}
		return true
	}
	if !mark(answer.Wrong, wrong) || !mark(answer.Again, again) {
		return nil, errAnswer
	}
	return verdicts, nil
}

// eachChunk calls each under the lock, which it gives up now and then, for every
// report that has not been closed meanwhile.
func (r *reporter) eachChunk(batch []*report, each func(i int, rep *report)) {
	for start := 0; start < len(batch); start += settleChunk {
		r.mu.Lock()
		for i := start; i < min(start+settleChunk, len(batch)); i++ {
			if rep := batch[i]; r.open[rep.id] == rep {
				each(i, rep)
			}
		}
		r.mu.Unlock()
	}
}

// conclude does what the auditor's verdicts mean.
func (r *reporter) conclude(batch []*report, verdicts []verdict) {
	now := time.Now()
	r.heed(verdicts, now)
	r.eachChunk(batch, func(i int, rep *report) {
		switch verdicts[i] {
		case right:
			r.counts.reported.Add(1)
			r.counts.proved.Add(1)
			r.remember(rep.id, rep.expiry, proved)
			r.close(rep, proved)
		case wrong:
			r.counts.reported.Add(1)
			r.counts.wrong.Add(1)
			r.condemn(rep)
		case again:
			r.counts.again.Add(1)
			r.postpone(rep, now)
		}
	})
}

func (r *reporter) remember(id seenID, expiry uint32, state proofState) {
	r.seen.add(sight{id, expiry, state}, unixSeconds(r.now()))
}

func unixSeconds(t time.Time) uint32 { return uint32(max(t.Unix(), 1)) }

// condemn ends the report of a token without a right tag and keeps the token as
// evidence. Callers hold r.mu.
func (r *reporter) condemn(rep *report) {
	r.close(rep, disproved)
	r.keep(exhibit{id: rep.id, kid: rep.kid, text: rep.text, expiry: rep.expiry, proof: rep.proof})
}

// postpone sends a report again later: soon if somebody waits for it. Callers hold
// r.mu.
func (r *reporter) postpone(rep *report, now time.Time) {
	r.unheard.remove(rep)
	if rep.waiters > 0 {
		r.pace.pressAt = now.Add(r.pace.pressAgain(now))
		r.schedule(rep, &r.urgent)
		return
	}
	if rep.tries++; rep.tries > againTries && rep.expiry < unixSeconds(r.now()) {
		r.counts.dropped.Add(1)
		r.close(rep, unreported)
		return
	}
	rep.tries = min(rep.tries, againTries+1)
	rep.due = now.Add(againPause(rep.tries))
	r.later.push(rep)
}

// putBack keeps reports that did not arrive.
func (r *reporter) putBack(batch []*report) {
	r.eachChunk(batch, func(_ int, rep *report) {
		to := &r.ordinary
		if rep.waiters > 0 {
			to = &r.urgent
		}
		r.schedule(rep, to)
	})
}

// giveUp drops what no report can be made of.
func (r *reporter) giveUp(batch []*report) {
	r.counts.dropped.Add(uint64(len(batch)))
	r.eachChunk(batch, func(_ int, rep *report) { r.close(rep, unreported) })
}

// suspend stops collecting for a while, and forgets what waits.
func (r *reporter) suspend(d time.Duration) {
	now := time.Now()
	r.mu.Lock()
	r.off.Store(true)
	r.pace.offUntil, r.pace.resumeAt, r.pace.pressAt = now.Add(d), now.Add(d), now.Add(offProving)
	r.exhibits.list = nil
	all := slices.Collect(maps.Values(r.open))
	r.mu.Unlock()
	r.eachChunk(all, func(_ int, rep *report) { r.close(rep, unreported) })
}

// farewell sends what waits before the process ends, again and again as long as ctx
// allows, and collects nothing from then on. run has ended.
func (r *reporter) farewell(ctx context.Context) {
	r.mu.Lock()
	for r.later.n > 0 {
		rep := r.later.first
		r.later.remove(rep)
		r.ordinary.push(rep)
	}
	r.mu.Unlock()
	for ctx.Err() == nil && r.takeOff() {
		if batch, urgent := r.take(); r.fly(ctx, batch, urgent) != nil {
			sleep(ctx, proveAgain)
		}
	}
	for now := time.Now(); ctx.Err() == nil; {
		e, _ := r.exhibit(now)
		if e == nil {
			break
		}
		if r.send(ctx, e) != nil {
			sleep(ctx, proveAgain)
		}
	}
	r.mu.Lock()
	r.pace.closed = true
	r.mu.Unlock()
	r.suspend(offFor)
}

// takeOff counts a flight if there is anything to send.
func (r *reporter) takeOff() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ordinary.n+r.urgent.n == 0 {
		return false
	}
	r.flights++
	return true
}

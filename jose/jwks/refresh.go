package jwks

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/fetch"
)

// schedule holds the moments at which the next fetch is due.
type schedule struct {
	next    time.Time     // by age or after a failure
	miss    time.Time     // for what is not there; zero if nothing waits
	asked   time.Time     // for Refresh; zero if none waits
	missed  time.Time     // when that last caused a fetch
	last    time.Time     // when anything last did
	backoff time.Duration // after the next failure
}

// due returns the earliest of them.
func (s *schedule) due() time.Time {
	t := s.next
	for _, o := range []time.Time{s.miss, s.asked} {
		if !o.IsZero() && o.Before(t) {
			t = o
		}
	}
	return t
}

// wantMiss notes an unknown kid or a set that is too old. One within the cool-down is
// kept for its end.
func (s *schedule) wantMiss(now time.Time) {
	if s.miss.IsZero() {
		s.miss = later(now, s.missed.Add(Cooldown))
	}
}

// wantRefresh notes a call of Refresh.
func (s *schedule) wantRefresh(now time.Time) {
	if s.asked.IsZero() {
		s.asked = later(now, s.last.Add(refreshSpacing))
	}
}

// begin notes that a fetch starts, which answers everybody who waits.
func (s *schedule) begin(now time.Time) {
	if !s.miss.IsZero() && !s.miss.After(now) {
		s.missed = now
	}
	s.last, s.miss, s.asked = now, time.Time{}, time.Time{}
}

// end plans the fetch after this one: ahead of expiry, and not at the same
// moment as every other verifier; or after a pause when this one failed.
func (s *schedule) end(now time.Time, maxAge time.Duration, err error) {
	if err == nil {
		s.backoff = minBackoff
		s.next = now.Add(maxAge*3/4 + rand.N(maxAge/8))
		return
	}
	s.backoff = min(max(s.backoff, minBackoff), maxBackoff)
	s.next = now.Add(s.backoff/2 + rand.N(s.backoff/2))
	s.backoff *= 2
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (r *Remote) run(ctx context.Context) {
	defer close(r.done)
	s := schedule{next: time.Now()}
	for {
		timer := time.NewTimer(time.Until(s.due()))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-r.missed:
			timer.Stop()
			s.wantMiss(time.Now())
		case <-r.asked:
			timer.Stop()
			s.wantRefresh(time.Now())
		case <-timer.C:
			s.begin(time.Now())
			maxAge, err := r.fetch(ctx)
			if ctx.Err() != nil {
				return
			}
			r.note(err)
			s.end(time.Now(), maxAge, err)
		}
	}
}

// note keeps the outcome of a fetch for Status and logs a change between
// success and failure.
func (r *Remote) note(err error) {
	r.mu.Lock()
	before := r.lastErr
	r.lastErr = err
	if err != nil {
		r.failures++
	}
	r.mu.Unlock()
	switch {
	case err != nil && before == nil:
		r.log.Warn("key set not refreshed", "url", r.cfg.URL, "err", err)
	case err == nil && before != nil:
		r.log.Info("key set refreshed again", "url", r.cfg.URL)
	}
}

// fetch asks the source once and replaces the set if it answered with one.
func (r *Remote) fetch(ctx context.Context) (maxAge time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	sent := time.Now()
	r.mu.Lock()
	r.fetches++
	r.lastTry = sent
	r.mu.Unlock()

	now := r.held.Load()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.cfg.URL, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Accept", r.cfg.accept())
	if now != nil && now.etag != "" {
		req.Header.Set("If-None-Match", now.etag)
	}
	if r.Version() < r.cfg.floor() {
		req.Header.Set("Cache-Control", "no-cache") // what caches have is known to be old
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	next, err := r.read(resp, now, sent)
	if err != nil {
		return 0, err
	}
	r.replace(next)
	return next.maxAge, nil
}

// read makes a new set of an answer, or confirms the old one.
func (r *Remote) read(resp *http.Response, now *held, sent time.Time) (*held, error) {
	age := freshness(resp.Header, r.cfg.MaxAge)
	// Without an entity tag we asked no question to which 304 is an answer.
	if resp.StatusCode == http.StatusNotModified && now != nil && now.etag != "" {
		age = freshness(resp.Header, now.maxAge) // RFC 9111, Section 4.3.4: what it does not say stays
		return &held{resource: now.resource, body: now.body, etag: now.etag, at: sent, maxAge: age}, nil
	}
	if resp.StatusCode != http.StatusOK {
		return nil, &fetch.StatusError{Status: resp.StatusCode}
	}
	body, err := fetch.Body(resp.Body, MaxBody)
	if err != nil {
		return nil, err
	}
	res, err := r.cfg.parse(body)
	if err == nil && res.version < r.cfg.floor() {
		err = ErrRollback
	}
	if err == nil && now != nil {
		res, err = r.cfg.after(now.resource, res)
	}
	if err != nil {
		return nil, err
	}
	return &held{resource: res, body: body, etag: resp.Header.Get("ETag"), at: sent, maxAge: age}, nil
}

func (r *Remote) replace(next *held) {
	first := r.held.Swap(next) == nil
	if first {
		close(r.loaded)
	}
	if err := r.save(next); err != nil {
		r.log.Warn("key set not saved", "err", err)
	}
}

// freshness reads how long an answer may be used: max-age less the Age that it
// already had in a cache (RFC 9111, Section 4.2), within our bounds. Directives
// may come in several lines; where they contradict each other the shortest time
// holds (Section 4.2.1).
func freshness(h http.Header, byDefault time.Duration) time.Duration {
	shortest := time.Duration(-1)
	for _, line := range h.Values("Cache-Control") {
		for directive := range strings.SplitSeq(line, ",") {
			age, ok := maxAge(directive)
			if ok && (shortest < 0 || age < shortest) {
				shortest = age
			}
		}
	}
	if shortest < 0 {
		return byDefault
	}
	spent, _ := seconds(h.Get("Age"))
	return min(max(shortest-spent, MinMaxAge), MaxMaxAge)
}

// maxAge reads a directive of Cache-Control that says how long, if this one does.
func maxAge(directive string) (age time.Duration, ok bool) {
	name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
	switch {
	case strings.EqualFold(name, "no-store"), strings.EqualFold(name, "no-cache"):
		return 0, true
	case strings.EqualFold(name, "max-age"):
		age, _ = seconds(strings.Trim(value, `"`)) // Section 4.2.1: what cannot be read is stale
		return age, true
	}
	return 0, false
}

// seconds reads delta-seconds (RFC 9111, Section 1.2.2), capped at a day.
func seconds(s string) (time.Duration, bool) {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return 0, false
	}
	return min(time.Duration(n)*time.Second, 24*time.Hour), true
}

package verifier_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/verifier"
)

// chiSquare sums (observed-expected)²/expected over two outcomes of each bucket.
func chiSquare(sampled, total []int, share float64) (sum float64) {
	for i := range total {
		want := float64(total[i]) * share
		d := float64(sampled[i]) - want
		sum += d*d/want + d*d/(float64(total[i])-want)
	}
	return sum
}

// Whatever a thief groups his tokens by, the share that is reported is the same in
// each group, it is another one under another secret, and one token says nothing
// about the next. The bounds are those of p = 0.001.
func TestThreat84Sampling(t *testing.T) {
	const (
		tokens, buckets = 100_000, 100
		bound99         = 148.23 // chi-square, 99 degrees of freedom
		bound1          = 10.83  // 1 degree
	)
	for _, share := range []float64{0.01, 0.1, 0.5} {
		for seed := range max(5/slowness, 1) {
			sampler := verifier.Sampler(fmt.Appendf(nil, "secret %d", seed), share)
			other := verifier.Sampler(fmt.Appendf(nil, "secret %d of another process", seed), share)
			groups := map[string]func(i int) int{
				"order of minting": func(i int) int { return i / (tokens / buckets) },
				"last digits":      func(i int) int { return i % buckets },
				"length":           func(i int) int { return (i * 7) % buckets },
			}
			sampled, total := map[string][]int{}, map[string][]int{}
			for name := range groups {
				sampled[name], total[name] = make([]int, buckets), make([]int, buckets)
			}
			var pairs, both [4]int // by whether this one and the one before, and the other process, took it
			before := 0
			for i := range tokens {
				input := fmt.Sprintf("eyJhbGciOiJFUzI1NiJ9.%0*d", 20+(i*7)%buckets, i)
				in := 0
				if sampler(input) {
					in = 1
				}
				for name, group := range groups {
					total[name][group(i)]++
					sampled[name][group(i)] += in
				}
				pairs[2*before+in]++
				outside := 0
				if other(input) {
					outside = 1
				}
				both[2*outside+in]++
				before = in
			}
			for name := range groups {
				if x := chiSquare(sampled[name], total[name], share); x > bound99 {
					t.Errorf("share %v, seed %d, by %s: chi-square %.1f", share, seed, name, x)
				}
			}
			for name, c := range map[string][4]int{"one after the other": pairs, "two processes": both} {
				if x := independence(c); x > bound1 {
					t.Errorf("share %v, seed %d, %s: chi-square %.1f for independence", share, seed, name, x)
				}
			}
		}
	}
}

// independence is the chi-square of a table of two by two.
func independence(c [4]int) float64 {
	a, b, d, e := float64(c[0]), float64(c[1]), float64(c[2]), float64(c[3])
	det := a*e - b*d
	return (a + b + d + e) * det * det / ((a + b) * (d + e) * (a + d) * (b + e))
}

// The default reports every token.
func TestThreat84FullCoverage(t *testing.T) {
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, nil)
		for i := range 500 {
			verify(t, v, a.genuine(claims{"n": i}))
		}
		pass(time.Second)
		a.wantRecords(t, 500)
	})
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, func(c *verifier.Config) { c.SeenShare = 0.25 })
		for i := range 500 {
			token := a.genuine(claims{"n": i})
			for range 3 {
				verify(t, v, token) // sampled once and for all
			}
		}
		pass(time.Second)
		if n, _ := a.count(); n < 75 || n > 175 { // 5 standard deviations
			t.Errorf("%d of 500 tokens reported, share 0.25", n)
		}
	})
}

func TestSeenShareIsChecked(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		for name, change := range map[string]func(*verifier.Config){
			"negative share": func(c *verifier.Config) { c.SeenShare = -0.1 },
			"share above 1":  func(c *verifier.Config) { c.SeenShare = 1.1 },
			"few bytes":      func(c *verifier.Config) { c.SeenBytes = verifier.MinSeenBytes - 1 },
			"no such mode":   func(c *verifier.Config) { c.Witness = verifier.WitnessEnforce + 1 },
		} {
			cfg := o.config()
			change(&cfg)
			if v, err := verifier.Open(t.Context(), cfg); err == nil {
				v.Close()
				t.Errorf("%s: opened", name)
			}
		}
	})
}

func seenID(n uint64) [16]byte {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	sum := sha256.Sum256(b[:])
	return [16]byte(sum[:])
}

func TestSeenSetKeepsWithinItsCap(t *testing.T) {
	const tokens = 1_000_000 / slowness
	for _, limit := range []int{verifier.MinSeenBytes, 1 << 20, verifier.DefaultSeenBytes} {
		s := verifier.NewSeenSet(limit)
		for i := range uint64(tokens) {
			s.Add(seenID(i), uint32(1000+i), 999)
		}
		bytes, peak, held, forgotten := s.Memory()
		if peak > limit || bytes > peak || held+forgotten != tokens {
			t.Errorf("cap %d: %d bytes, peak %d, %d held and %d forgotten", limit, bytes, peak, held, forgotten)
		}
		if held*24 < limit/3 && held < tokens*95/100 {
			t.Errorf("cap %d: only %d held", limit, held)
		}
		t.Logf("cap %d: %d bytes, peak %d, %d held", limit, bytes, peak, held)
		// At the cap the ones that expire first go first: of the latest tenth of what
		// fits hardly any is gone.
		missing := 0
		for i := tokens - held/10; i < tokens; i++ {
			if !s.Has(seenID(uint64(i))) {
				missing++
			}
		}
		if missing > held/100 {
			t.Errorf("cap %d: %d of the latest %d are gone", limit, missing, held/10)
		}
	}
}

// At the cap those stay that live longest, however many others come.
func TestSeenSetForgetsWhatExpiresFirst(t *testing.T) {
	s := verifier.NewSeenSet(verifier.MinSeenBytes)
	for i := range uint64(100) {
		s.Add(seenID(i), 1<<30, 1000)
	}
	for i := range uint64(100_000) {
		s.Add(seenID(1000+i), 2000, 1000)
	}
	for i := range uint64(100) {
		if !s.Has(seenID(i)) {
			t.Errorf("token %d is forgotten", i)
		}
	}
}

// The set against a map: nothing is remembered that was not added, and below the cap
// nothing is forgotten before it expires.
func TestSeenSetAgainstAMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	s, model := verifier.NewSeenSet(verifier.DefaultSeenBytes), map[[16]byte]uint32{}
	lost := 0
	for now := uint32(1000); now < 40_000; now++ {
		id := seenID(rng.Uint64N(20_000))
		expiry := now + 1 + uint32(rng.IntN(10_000))
		s.Add(id, expiry, now)
		model[id] = expiry
		probe := seenID(rng.Uint64N(20_000))
		expiry, known := model[probe]
		switch has := s.Has(probe); {
		case has && !known:
			t.Fatal("remembers what was never added")
		case !has && known && expiry > now:
			lost++
		}
	}
	if _, _, _, forgotten := s.Memory(); lost > 0 && forgotten == 0 || lost > 20 {
		t.Errorf("%d lost, %d counted as forgotten", lost, forgotten)
	}
}

func TestThreat138ReportsStayUnderTheirCaps(t *testing.T) {
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, nil)
		a.o.door("/revocation/seen", hang)
		for size, n := range map[int]int{600: 300_000, 16000: 15_000} {
			dropped, before := v.Status().Seen.Dropped, liveHeap()
			verifier.Flood(v, n, size)
			grown := int(liveHeap() - before)
			s := v.Status().Seen
			if s.WaitingPeak > s.WaitingCap || s.WaitingBytesPeak > s.WaitingBytesCap || int(s.Dropped-dropped) < n*4/5 || s.WaitingBytes < s.WaitingBytesCap*9/10 {
				t.Errorf("%+v", s)
			}
			if grown > s.WaitingBytesCap*11/10 {
				t.Errorf("the heap has grown by %d, the cap is %d", grown, s.WaitingBytesCap)
			}
			t.Logf("tokens of %d bytes: %d waiting (cap %d), %d bytes (cap %d), heap %d", size, s.Waiting, s.WaitingCap, s.WaitingBytes, s.WaitingBytesCap, grown)
			a.o.door("/revocation/seen", a.signed(http.NotFound))
			pass(time.Minute) // which empties the queue
			a.o.door("/revocation/seen", hang)
			pass(10 * time.Minute)
		}
	})
}

func TestThreat138EvidenceStaysUnderItsCap(t *testing.T) {
	audited(t, func(t *testing.T, a *auditor) {
		v := a.o.ready(t, nil)
		a.set(func() { a.examine = unavailable })
		verifier.Show(v, "stolen", 20_000, 16<<10)
		forged := a.forge(nil) // by another key
		verify(t, v, forged)
		pass(time.Second)
		s := v.Status().Seen
		if s.Evidence > s.EvidenceCap/2+1 || s.EvidencePeak > s.EvidenceCap || s.EvidenceDropped < 19_000 {
			t.Errorf("%+v", s)
		}
		a.set(func() { a.examine = nil })
		pass(time.Minute)
		if s := v.Status().Seen; s.Evidence != 0 {
			t.Errorf("%+v", s)
		}
		_, n := a.count()
		a.mu.Lock()
		defer a.mu.Unlock()
		if n == 0 || !contains(a.evidence, forged) {
			t.Error("forgeries by one key hide those by another")
		}
	})
}

// Evidence that found no room is shown when its token comes again.
func TestForgeryThatFoundNoRoomIsShownLater(t *testing.T) {
	for _, cache := range []int{verifier.DefaultCacheTokens, -1} {
		audited(t, func(t *testing.T, a *auditor) {
			v := a.o.ready(t, func(c *verifier.Config) { c.CacheTokens = cache })
			a.set(func() { a.examine = unavailable })
			verifier.Show(v, a.o.signing[0].KeyID(), 1000, 100)
			forged := a.forge(nil)
			verify(t, v, forged)
			pass(time.Second)
			a.set(func() { a.examine = nil })
			pass(time.Minute)
			if contains(a.evidence, forged) {
				t.Fatal("there was room")
			}
			verify(t, v, forged)
			pass(time.Second)
			if !contains(a.evidence, forged) {
				t.Error("not shown")
			}
		})
	}
}

func FuzzParseVerdicts(f *testing.F) {
	for _, s := range []string{`{"wrong":[],"again":[]}`, `{"wrong":[0,2],"again":[1]}`, `{}`, `[]`, `{"wrong":[0],"wrong":[],"again":[]}`} {
		f.Add([]byte(s), 3)
	}
	f.Fuzz(func(t *testing.T, body []byte, n int) {
		n = n & 0xfff
		proved, err := verifier.ParseVerdicts(body, n)
		if err != nil && proved != nil {
			t.Error("proved by an answer that is none")
		}
		if len(proved) > n {
			t.Errorf("%d of %d proved", len(proved), n)
		}
		if genuine, err := verifier.ParseFinding(body); err != nil && genuine {
			t.Error("genuine by an answer that is none")
		}
	})
}

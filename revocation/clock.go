package revocation

import "time"

// RetentionSlack is how much longer than the longest life of a token its
// revocation is held: clock skew on both sides, and the time in which a
// disconnected verifier catches up.
const RetentionSlack = 20 * time.Minute

// maxStep is how much one frame advances the feed's clock at most. A node whose
// clock jumps ahead an hour thus expires nothing early; after a real pause
// entries are held that much longer.
const maxStep = time.Minute

// A feedClock is time as the applied frames tell it: it never runs backward,
// and it counts what has passed rather than what hour it is.
type feedClock struct {
	newest  time.Time     // highest as_of applied
	elapsed time.Duration // advanced since the first one, each step clipped
}

func (c *feedClock) advance(asOf time.Time) {
	if c.newest.IsZero() {
		c.newest = asOf
		return
	}
	if asOf.After(c.newest) {
		c.elapsed += min(asOf.Sub(c.newest), maxStep)
		c.newest = asOf
	}
}

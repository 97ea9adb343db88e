package account_test

import (
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer/account"
)

// Two passes that took so long become so many: never fewer than two, never more
// than sixteen, never more than 60 ms when two fit.
func TestStretched(t *testing.T) {
	for took, passes := range map[time.Duration]uint32{
		0:                      16,
		time.Millisecond:       16,
		10 * time.Millisecond:  12,
		25 * time.Millisecond:  4,
		40 * time.Millisecond:  3,
		60 * time.Millisecond:  2,
		500 * time.Millisecond: 2,
	} {
		if p := account.Stretched(took); p.Time != passes || p.Memory != account.DefaultParams.Memory {
			t.Errorf("%v: %v, want %d passes", took, p, passes)
		}
	}
}

package issuer

import (
	"cmp"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/issuer/forgery"
)

// cutFor is how long a connected verifier may say that its reports are not answered.
// What kept acknowledgements from us as well is over by then.
const cutFor = 20 * time.Second

// isCut reports whether a verifier comes through to us, and its reports do not. It is
// the time between acknowledgements that counts: after an outage that cut off both, the
// first of them may name a report that is an hour old.
func (h *holder) isCut() bool {
	return !h.Unanswered.IsZero() && h.Heard.Sub(h.Unanswered) >= cutFor
}

// reporting says of the verifiers that are connected to this node how their reports
// fare, in order of name. Those that do not tell are left out.
func (h *holders) reporting() (list []forgery.Reporting) {
	h.mu.Lock()
	defer h.mu.Unlock()
	connected := h.now().Add(-connectedFor)
	for key, row := range h.heard {
		newest, ok := h.find(key)
		if !ok || !newest.Heard.Equal(row.Heard) || row.Heard.Before(connected) || row.Seen == nil {
			continue // another node says it
		}
		list = append(list, forgery.Reporting{
			Reporter: row.Credential, Instance: row.Instance, Answered: row.Unanswered.IsZero(), Cut: row.isCut(),
		})
	}
	slices.SortFunc(list, func(a, b forgery.Reporting) int {
		return cmp.Or(cmp.Compare(a.Reporter, b.Reporter), cmp.Compare(a.Instance, b.Instance))
	})
	return list
}

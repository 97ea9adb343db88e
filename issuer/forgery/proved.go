package forgery

import (
	"hash/maphash"
	"sync/atomic"

	"github.com/counterfoil/counterfoil/notary"
)

// provedSlots is how many proved jtis a node remembers, in 8 MiB: those of an hour
// when 300 tokens a second are seen for the first time.
const provedSlots = 1 << 20

// proved remembers, as hashes keyed by a secret of the process, the jtis of records
// that the auditor found right. A forged token with one of these was given the jti of
// a genuine token, whose holder an entry for that jti would hit.
type proved struct {
	seed  maphash.Seed
	slots []atomic.Uint64
}

func newProved() proved {
	return proved{maphash.MakeSeed(), make([]atomic.Uint64, provedSlots)}
}

func (p *proved) add(r *notary.Record) {
	h, slot := p.find(r)
	slot.Store(h)
}

// has reports whether a jti was proved, as far as this node remembers.
func (p *proved) has(jti string) bool {
	r, err := notary.NewRecord("", jti, notary.Digest{})
	if err != nil {
		return false
	}
	h, slot := p.find(&r)
	return slot.Load() == h
}

func (p *proved) find(r *notary.Record) (uint64, *atomic.Uint64) {
	var h maphash.Hash
	h.SetSeed(p.seed)
	h.Write(r.Nonce[:])
	h.Write(r.Tag[:])
	sum := h.Sum64()
	return sum, &p.slots[sum%provedSlots]
}

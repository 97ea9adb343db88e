package revocation

import "time"

// rebuildShare is the part of the retention for which expired entries may wait
// for company, so that a table is not copied for each of them.
const rebuildShare = 16

// evictLoad is the share of the largest array, in percent, above which entries
// that have not expired are evicted for lack of room.
const evictLoad = 70

// put adds a record unless the marks say that it is gone already. Of another
// history they say nothing: its entries below them are new, and are held as if
// they came next, which revokes a superset.
func (t *Table) put(r Record) {
	gone := max(t.dropped, t.horizon.expired)
	if t.forked && r.Seq <= gone {
		r.Seq = min(t.Head().Seq+1, MaxSeq)
	}
	m := newMark(r.Entry.Kind, r.Entry.Flags, r.Seq)
	v := t.view.Load()
	if v.flooded || !t.keeps(m, gone) {
		return
	}
	if full(v.slots) {
		t.rebuild()
		v = t.view.Load()
		if !t.keeps(m, t.dropped) {
			return
		}
	}
	if !v.slots.put(r.Entry.Handle, m) || !m.held() {
		return
	}
	if t.held++; t.held > t.maxHeld {
		t.rebuild() // some may have expired
	}
	if t.held > t.maxHeld {
		t.flood()
	}
}

func full(s *slots) bool { return s.used.Load()*100 >= int64(s.length)*maxLoad }

// keeps reports whether an entry is held when all ordinary ones up to floor are
// not.
func (t *Table) keeps(m mark, floor uint64) bool {
	switch {
	case m.permanent():
		return true
	case m.held():
		return m.seq() > t.horizon.expired
	}
	return m.seq() > floor
}

// flood gives up: absolute entries cannot be evicted, so the only table that is
// never less revoked is one that refuses everything. It stays so: a new table
// with a larger cap must be loaded.
func (t *Table) flood() {
	v := *t.view.Load()
	v.flooded = true
	t.show(v)
}

// advance takes the as_of of what has been applied, and drops what has expired
// when that is worth a copy.
func (t *Table) advance(asOf time.Time) {
	t.horizon.advance(asOf, t.Head().Seq)
	t.asOf.Store(t.horizon.clock.newest.UnixMilli())
	if t.horizon.expired <= t.dropped {
		return
	}
	if t.horizon.clock.elapsed-t.rebuilt >= t.horizon.retention/rebuildShare {
		t.rebuild()
	}
}

// rebuild copies what is still held into a new array, and shows it together
// with its low-water mark. It is the only way in which an entry goes.
func (t *Table) rebuild() {
	old := t.view.Load()
	floor := max(t.dropped, t.horizon.expired)
	n, held := t.count(old.slots, floor)
	if n*100 > t.maxSlots*evictLoad {
		room := max(t.maxSlots*targetLoad/100-held, 0)
		floor = old.cut(floor, room)
		n, held = t.count(old.slots, floor)
	}
	fresh := newSlots(min(max(n*100/targetLoad, minSlots), t.maxSlots), t.mul, t.add)
	old.each(func(h Handle, m mark) bool {
		if t.keeps(m, floor) {
			fresh.put(h, m)
		}
		return true
	})
	t.peak.Store(max(t.peak.Load(), int64(old.size()+fresh.size())))
	t.dropped, t.held, t.rebuilt = floor, held, t.horizon.clock.elapsed
	low := old.low
	if low != unloaded {
		low = floor
	}
	t.show(view{slots: fresh, low: low, flooded: old.flooded})
}

// count returns how many entries are kept above floor, and how many of them
// cannot be evicted.
func (t *Table) count(s *slots, floor uint64) (n, held int) {
	s.each(func(_ Handle, m mark) bool {
		if t.keeps(m, floor) {
			n++
			if m.held() {
				held++
			}
		}
		return true
	})
	return n, held
}

// cutBins is how finely one pass of cut divides the seqs that are left.
const cutBins = 1024

// cut returns the lowest seq so that at most room evictable entries lie above
// it. There must be more than room above floor. It divides the range again and
// again, since a sorted copy would not fit the cap.
func (s *slots) cut(floor uint64, room int) uint64 {
	lo, hi := floor, uint64(MaxSeq) // too many lie above lo, few enough above hi
	above := 0                      // how many lie above hi
	for hi-lo > 1 {
		width := (hi - lo + cutBins - 1) / cutBins
		var bins [cutBins]int // bin b is (lo + b·width, lo + (b+1)·width]
		s.each(func(_ Handle, m mark) bool {
			if seq := m.seq(); !m.held() && seq > lo && seq <= hi {
				bins[(seq-lo-1)/width]++
			}
			return true
		})
		b := cutBins - 1
		for ; b > 0 && above+bins[b] <= room; b-- {
			above += bins[b]
		}
		lo, hi = lo+uint64(b)*width, min(hi, lo+uint64(b+1)*width)
	}
	return hi
}

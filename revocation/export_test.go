package revocation

// Shrink leaves room for n slots, below the smallest cap, so that a test can fill
// a table with three entries. A quarter of them may be absolute.
func (t *Table) Shrink(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.maxSlots, t.maxHeld = n, max(n/4, 1)
	t.rebuild()
}

package revocation

// A Target is one thing that a token names and that may be revoked.
type Target struct {
	Kind   Kind
	Handle Handle
}

// A Query is what of a token decides whether it is revoked. All of it comes from
// claims, nothing from the token's bytes: an ECDSA signature has a second valid
// form. Targets may be computed once per token and kept.
type Query struct {
	RSQ     uint64   // the token's "rsq": the head of the log known when it was minted
	Targets []Target // under every handle key in force; always with an Everything
}

// A Verdict is the answer to a Query. Revoked alone decides; the rest says why.
type Verdict struct {
	Revoked       bool // refuse the token
	Kind          Kind // what was revoked; 0 if the token was refused for another reason
	BelowLowWater bool // refused: entries that the token may not know of are no longer held
	Flooded       bool // refused: there were more absolute entries than the table may hold
	Quarantined   bool // must be proved before it passes; not counted in Revoked
	Behind        bool // rsq is above the head: this table lags, or the number is made up
}

// Check answers a Query. It is safe to call while another goroutine applies
// frames, never waits and does not allocate. Everything applied before Check is
// called enters the answer. A table that has not been loaded refuses all.
func (t *Table) Check(q Query) Verdict {
	// The head comes first: a reader that sees an entry's frame as applied must
	// then find the entry. View holds slots and mark together: with two loads,
	// entries dropped in between would be neither found nor marked.
	v := Verdict{Behind: q.RSQ > t.head.Load().Seq}
	view := t.view.Load()
	if view.flooded {
		v.Revoked, v.Flooded = true, true
		return v
	}
	if q.RSQ < view.low {
		v.Revoked, v.BelowLowWater = true, true
	}
	for _, target := range q.Targets {
		found := view.find(target)
		if found.flags&Quarantine != 0 {
			v.Quarantined = true
		}
		if found.revokes(target.Kind, q.RSQ) {
			v.Revoked, v.Kind = true, target.Kind
			return v
		}
	}
	return v
}

// A finding is what is held about one target.
type finding struct {
	flags Flags
	plain uint64 // seq of the ordinary entry; 0 if there is none
}

func (f finding) revokes(kind Kind, rsq uint64) bool {
	if f.flags&Absolute != 0 {
		return true
	}
	return f.plain > rsq || f.plain > 0 && kind.single()
}

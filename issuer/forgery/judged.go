package forgery

import "sync"

// maxJudged is how many forged tokens a node remembers, of 16 bytes each. A thief
// who makes more has the older ones counted twice when they come again.
const maxJudged = 1 << 16

// A mark stands for a forged token: the first half of a hash of what is signed and of
// the key that did. The signature is left out, since ECDSA has a second form.
type mark [16]byte

// judged is a set of marks in two generations, of which the older is dropped whole.
type judged struct {
	mu         sync.Mutex
	young, old map[mark]struct{}
	peak       int
}

// add reports whether m is new.
func (j *judged) add(m mark) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, ok := j.young[m]; ok {
		return false
	}
	if _, ok := j.old[m]; ok {
		return false
	}
	if j.young == nil || len(j.young) == maxJudged/2 {
		j.young, j.old = make(map[mark]struct{}), j.young
	}
	j.young[m] = struct{}{}
	j.peak = max(j.peak, len(j.young)+len(j.old))
	return true
}

// clear forgets all marks.
func (j *judged) clear() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.young, j.old = nil, nil
}

func (j *judged) has(m mark) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	_, young := j.young[m]
	_, old := j.old[m]
	return young || old
}

func (j *judged) size() (n, peak int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.young) + len(j.old), j.peak
}

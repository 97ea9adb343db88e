package wire

// Names are a few names by which members are looked for together. They are
// case-sensitive.
type Names struct {
	list  []string
	keys  []nameKey
	slots []uint8 // places in list, counted from 1, by the hash of the key; most are empty
	shift uint8   // from a hash to its slot
}

const (
	maxNames = 200 // so that a place fits into a slot
	sparse   = 4   // slots for each name
)

// NewNames returns Names for a list of at most 200, all different. It panics at
// any other list.
func NewNames(list ...string) *Names {
	n, ok := newNames(list)
	if !ok {
		panic("wire: duplicate names, or too many")
	}
	return n
}

func newNames(list []string) (n *Names, ok bool) {
	if len(list) > maxNames {
		return nil, false
	}
	size := uint8(2) // bits of a slot's number
	for 1<<size < sparse*len(list) {
		size++
	}
	n = &Names{list: list, keys: make([]nameKey, len(list)), slots: make([]uint8, 1<<size), shift: 32 - size}
	for i, name := range list {
		key := keyOf(name)
		if n.place(name, key) >= 0 {
			return nil, false
		}
		n.keys[i] = key
		at := key.hash() >> n.shift
		for n.slots[at] != 0 {
			at = (at + 1) % uint32(len(n.slots))
		}
		n.slots[at] = uint8(i + 1)
	}
	return n, true
}

// place returns the place of name in the list, or -1.
func (n *Names) place(name string, key nameKey) int {
	last := uint32(len(n.slots) - 1)
	for at := key.hash() >> n.shift; ; at++ {
		i := int(n.slots[at&last]) - 1
		if i < 0 || n.keys[i] == key && (key.short() || n.list[i] == name) {
			return i
		}
	}
}

// Has reports whether name is one of them.
func (n *Names) Has(name string) bool { return n.place(name, keyOf(name)) >= 0 }

// Pick puts the value of each member that n has into values, by its place there,
// and leaves the others as they are.
func (o *Object) Pick(n *Names, values []Value) {
	next := 0
	for i, key := range n.keys {
		if k := o.seek(n.list[i], key, next); k >= 0 {
			values[i] = o.valueOf(o.at(k))
			next = k + 1
		}
	}
}

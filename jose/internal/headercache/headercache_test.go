package headercache_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/jose/internal/headercache"
)

// keep makes a header known: it comes twice.
func keep(c *headercache.Cache[int], segment string, h *int) {
	c.Keep(segment, h)
	c.Keep(segment, h)
}

func TestExactBytes(t *testing.T) {
	var c headercache.Cache[int]
	if c.Find("") != nil || c.Find("one") != nil {
		t.Fatal("found in an empty cache")
	}
	one, two := 1, 2
	c.Keep("one", &two)
	if c.Find("one") != nil {
		t.Error("kept at its first message")
	}
	c.Keep("one", &one)
	keep(&c, "two", &two)
	keep(&c, "one", &two) // the first stays
	if c.Find("one") != &one || c.Find("two") != &two {
		t.Error("not what was kept")
	}
	for _, other := range []string{"", "on", "onE", "one ", "tw", "three"} {
		if c.Find(other) != nil {
			t.Errorf("%q is found", other)
		}
	}
}

func TestBounds(t *testing.T) {
	var c headercache.Cache[int]
	h := 0
	long := strings.Repeat("x", headercache.MaxHeader+1)
	keep(&c, long, &h)
	if c.Find(long) != nil {
		t.Error("a long header is kept")
	}
	held := func() (n int) {
		for i := range 2 * headercache.MaxHeaders {
			if c.Find(strconv.Itoa(i)) != nil {
				n++
			}
		}
		return n
	}
	for i := range 2 * headercache.MaxHeaders {
		keep(&c, strconv.Itoa(i), &h)
		if c.Find(strconv.Itoa(i)) == nil {
			t.Fatalf("header %d is not kept", i)
		}
		if n := held(); n > headercache.MaxHeaders {
			t.Fatalf("%d headers are held", n)
		}
	}
}

// Headers that come once each do not drive out those that come again.
func TestHeadersOfTheirOwn(t *testing.T) {
	var c headercache.Cache[int]
	shared, h := []string{"a", "b", "c"}, 0
	for _, s := range shared {
		keep(&c, s, &h)
	}
	for i := range 100 * headercache.MaxHeaders {
		c.Keep(strconv.Itoa(i), &h)
		if c.Find(strconv.Itoa(i)) != nil {
			t.Fatalf("header %d is kept and never comes again", i)
		}
	}
	for _, s := range shared {
		if c.Find(s) == nil {
			t.Errorf("%q is driven out", s)
		}
	}
	segment := "one of its own"
	if n := testing.AllocsPerRun(100, func() { c.Keep(segment, &h); segment += "." }); n > 1 { // the string's
		t.Errorf("%v allocations for a header of its own", n)
	}
}

package headercache_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/jose/internal/headercache"
)

func TestExactBytes(t *testing.T) {
	var c headercache.Cache[int]
	if c.Find("") != nil || c.Find("one") != nil {
		t.Fatal("found in an empty cache")
	}
	one, two := 1, 2
	c.Keep("one", &one)
	c.Keep("two", &two)
	c.Keep("one", &two) // the first stays
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
	c.Keep(long, &h)
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
		c.Keep(strconv.Itoa(i), &h)
		if c.Find(strconv.Itoa(i)) == nil {
			t.Fatalf("header %d is not kept", i)
		}
		if n := held(); n > headercache.MaxHeaders {
			t.Fatalf("%d headers are held", n)
		}
	}
}

package account_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/testbubble"
	"github.com/counterfoil/counterfoil/issuer/account"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/issuer/store/sqlite"
)

// cheap keeps the tests quick; it is the least that Argon2id allows.
var cheap = account.Params{Memory: 64, Time: 1, Threads: 1}

func newHasher(t testing.TB, cfg account.HasherConfig) *account.Hasher {
	t.Helper()
	if cfg.Params == (account.Params{}) {
		cfg.Params = cheap
	}
	h, err := account.NewHasher(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func ExampleHasher_Verify() {
	hasher, err := account.NewHasher(account.HasherConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	phc, err := hasher.Hash(ctx, "correct horse battery staple")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(phc[:len("$argon2id$v=19$m=19456,t=2,p=1$")])

	ok, _, _ := hasher.Verify(ctx, phc, "correct horse battery staple")
	wrong, _, _ := hasher.Verify(ctx, phc, "Tr0ub4dor&3")
	unknown, _, _ := hasher.Verify(ctx, "", "correct horse battery staple")
	fmt.Println(ok, wrong, unknown)
	// Output:
	// $argon2id$v=19$m=19456,t=2,p=1$
	// true false false
}

// The reference implementation of Argon2 (phc-winner-argon2) prints these.
func TestForeignHashes(t *testing.T) {
	h := newHasher(t, account.HasherConfig{})
	for _, v := range []struct{ phc, password string }{
		{"$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "password"},
		{"$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", "password"},
		{"$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc", "password"},
	} {
		if ok, _, err := h.Verify(t.Context(), v.phc, v.password); !ok || err != nil {
			t.Errorf("%s: %v, %v", v.phc, ok, err)
		}
		if ok, _, _ := h.Verify(t.Context(), v.phc, v.password+"x"); ok {
			t.Errorf("%s: took another password", v.phc)
		}
	}
}

func TestHashHasOneSpelling(t *testing.T) {
	const salt, sum = "c29tZXNhbHQ", "nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	good := "$argon2id$v=19$m=256,t=2,p=1$" + salt + "$" + sum
	if h, err := account.ParseHash(good); err != nil || h.String() != good {
		t.Fatalf("%v, %v", h, err)
	}
	for name, bad := range map[string]string{
		"empty":          "",
		"argon2i":        strings.Replace(good, "argon2id", "argon2i", 1),
		"no version":     strings.Replace(good, "$v=19", "", 1),
		"old version":    strings.Replace(good, "v=19", "v=16", 1),
		"order":          strings.Replace(good, "m=256,t=2", "t=2,m=256", 1),
		"leading zero":   strings.Replace(good, "t=2", "t=02", 1),
		"plus":           strings.Replace(good, "t=2", "t=+2", 1),
		"empty number":   strings.Replace(good, "t=2", "t=", 1),
		"no passes":      strings.Replace(good, "t=2", "t=0", 1),
		"many passes":    strings.Replace(good, "t=2", "t=33", 1),
		"much memory":    strings.Replace(good, "m=256", "m=262145", 1),
		"overflow":       strings.Replace(good, "m=256", "m=4294967552", 1),
		"little memory":  strings.Replace(good, "m=256", "m=7", 1),
		"many lanes":     strings.Replace(good, "p=1", "p=257", 1),
		"extra field":    good + "$",
		"extra param":    strings.Replace(good, "p=1", "p=1,x=1", 1),
		"short salt":     strings.Replace(good, salt, "c29tZQ", 1),
		"short sum":      strings.Replace(good, sum, "c29tZXNhbHQ", 1),
		"padding":        good[:len(good)-1] + "4=",
		"newline":        strings.Replace(good, salt, "c29t\nZXNhbHQ", 1),
		"trailing bits":  good[:len(good)-1] + "5",
		"url alphabet":   strings.Replace(good, "/", "_", 1),
		"trailing space": good + " ",
		"huge":           good + strings.Repeat("A", 1<<20),
	} {
		if _, err := account.ParseHash(bad); !errors.Is(err, account.ErrHash) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseHash(f *testing.F) {
	f.Add("$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4")
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$$")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := account.ParseHash(s)
		if err == nil && h.String() != s {
			t.Fatalf("%q has a second spelling %q", s, h)
		}
	})
}

// Sign-in asks for one Verify whatever the account; so each must cost one
// computation of the same size.
func TestUnknownUserCostsTheSame(t *testing.T) {
	h := newHasher(t, account.HasherConfig{})
	phc, err := h.Hash(t.Context(), "a password")
	if err != nil {
		t.Fatal(err)
	}
	for name, stored := range map[string]string{"known": phc, "unknown": "", "broken row": "$argon2id$v=19$m=1"} {
		before := h.Computations()
		ok, _, _ := h.Verify(t.Context(), stored, "another password")
		if n := h.Computations() - before; ok || n != 1 {
			t.Errorf("%s: %v after %d computations", name, ok, n)
		}
	}
}

func TestStaleHash(t *testing.T) {
	old := newHasher(t, account.HasherConfig{})
	phc, err := old.Hash(t.Context(), "a password")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []struct {
		params account.Params
		stale  bool
	}{
		{cheap, false},
		{account.Params{Memory: 64, Time: 2, Threads: 1}, true},
		{account.Params{Memory: 128, Time: 1, Threads: 1}, true},
		{account.Params{Memory: 32, Time: 1, Threads: 1}, false},
	} {
		h := newHasher(t, account.HasherConfig{Params: p.params})
		if ok, stale, err := h.Verify(t.Context(), phc, "a password"); !ok || stale != p.stale || err != nil {
			t.Errorf("%v: %v, %v, %v", p.params, ok, stale, err)
		}
		if _, stale, _ := h.Verify(t.Context(), phc, "not the password"); stale {
			t.Errorf("%v: told that a hash is stale without the password", p.params)
		}
	}
}

// One place and one chair: a second caller waits, a third is sent away.
func TestQueueIsBounded(t *testing.T) {
	h := newHasher(t, account.HasherConfig{Concurrent: 1, Waiting: 1})
	leave := account.Occupy(t, h)
	waiting := make(chan error)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, err := h.Hash(ctx, "second")
		waiting <- err
	}()
	account.AwaitQueue(h, 2)
	gone, leaveAtOnce := context.WithCancel(t.Context())
	leaveAtOnce() // a caller who were let in would find its context over
	if _, err := h.Hash(gone, "third"); !errors.Is(err, account.ErrBusy) {
		t.Errorf("third caller: %v", err)
	}
	if _, _, err := h.Verify(gone, "", "third"); !errors.Is(err, account.ErrBusy) {
		t.Errorf("third caller: %v", err)
	}
	cancel()
	if err := <-waiting; !errors.Is(err, context.Canceled) {
		t.Errorf("second caller: %v", err)
	}
	leave()
	if _, err := h.Hash(t.Context(), "fourth"); err != nil {
		t.Errorf("after everybody left: %v", err)
	}
}

var (
	home   = netip.MustParseAddr("192.0.2.1")
	office = netip.MustParseAddr("198.51.100.7")
)

func attacker(i int) netip.Addr { return netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}) }

func take(t *testing.T, th *account.Throttle, name string, addr netip.Addr) *account.Attempt {
	t.Helper()
	a, err := th.Take(name, addr)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestThrottlePair(t *testing.T) {
	testbubble.Test(t, func(t *testing.T) {
		th := account.NewThrottle(account.ThrottleConfig{})
		for range account.DefaultPairRate.Burst {
			take(t, th, "alice", home)
		}
		_, err := th.Take("alice", home)
		limited, ok := errors.AsType[*account.LimitedError](err)
		if !ok || limited.RetryAfter <= 0 || limited.RetryAfter > account.DefaultPairRate.Interval {
			t.Fatalf("%v", err)
		}
		take(t, th, "alice", office)
		take(t, th, "bob", home)

		time.Sleep(limited.RetryAfter) // of the bubble's clock
		take(t, th, "alice", home)
		if _, err := th.Take("alice", home); err == nil {
			t.Error("two attempts for the time of one")
		}
	})
}

// An attacker with many addresses uses up the account's own bucket. The owner,
// who has signed in from home before, still gets in, and gets in again.
func TestThrottleDoesNotLockTheOwnerOut(t *testing.T) {
	testbubble.Test(t, func(t *testing.T) {
		th := account.NewThrottle(account.ThrottleConfig{})
		take(t, th, "alice", home).Succeeded()
		denied := 0
		for i := range 10_000 {
			if _, err := th.Take("alice", attacker(i)); err != nil {
				denied++
			}
		}
		if want := 10_000 - account.DefaultAccountRate.Burst; denied != want {
			t.Errorf("denied %d attempts, want %d", denied, want)
		}
		if _, err := th.Take("alice", office); err == nil {
			t.Error("an address that alice never used was let through")
		}
		for range 100 {
			take(t, th, "alice", home).Succeeded()
		}
	})
}

func TestThrottleAddress(t *testing.T) {
	testbubble.Test(t, func(t *testing.T) {
		th := account.NewThrottle(account.ThrottleConfig{})
		for i := range account.DefaultAddressRate.Burst {
			take(t, th, fmt.Sprintf("user%d", i), home)
		}
		if _, err := th.Take("yet another", home); err == nil {
			t.Error("no limit for an address that tries many accounts")
		}
		if _, err := th.Take("yet another", netip.Addr{}); err != nil {
			t.Errorf("a unix socket without a proxy's header: %v", err)
		}
	})
}

// Nothing about an account enters but its name, so that an unknown one behaves
// alike; a success costs nothing.
func TestThrottleGivesBack(t *testing.T) {
	testbubble.Test(t, func(t *testing.T) {
		th := account.NewThrottle(account.ThrottleConfig{})
		for range 10 * account.DefaultAccountRate.Burst {
			take(t, th, "alice", home).Succeeded()
			take(t, th, "nobody", office).GiveBack()
		}
	})
}

func TestNetwork(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1":              "192.0.2.1",
		"::ffff:192.0.2.1":       "192.0.2.1",
		"2001:db8:1:2:3:4:5:6":   "2001:db8:1:2::/64",
		"fe80::1%eth0":           "fe80::/64",
		"2001:db8:1:2:ffff::1":   "2001:db8:1:2::/64",
		"2001:db8:1:3:ffff::1":   "2001:db8:1:3::/64",
		"::ffff:198.51.100.7%e0": "198.51.100.7",
	} {
		if got := account.Network(netip.MustParseAddr(in)); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestNames(t *testing.T) {
	for in, want := range map[string]string{
		"alice": "alice", "Alice@Example.ORG": "alice@example.org", "Ägidius": "Ägidius", "a b": "a b",
	} {
		if got, err := account.NormalizeName(in); got != want || err != nil {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, bad := range []string{
		"", " alice", "alice ", "al\x00ice", "al\nice", "al\u200bice", "al\u2028ice", "\xff", strings.Repeat("a", 129),
	} {
		if got, err := account.NormalizeName(bad); err == nil {
			t.Errorf("%q became %q", bad, got)
		}
	}
}

func TestDrafts(t *testing.T) {
	h := newHasher(t, account.HasherConfig{})
	good := account.Draft{
		Name: "Alice", Password: "eight by", Tenant: "acme", Roles: []string{"admin"},
		Claims: map[string]jsontext.Value{"plan": jsontext.Value(`"gold"`)},
	}
	u, err := h.NewUser(t.Context(), good)
	if err != nil || u.Name != "alice" || len(u.ID) != 16 || strings.Contains(u.PasswordHash, "eight") {
		t.Fatalf("%+v, %v", u, err)
	}
	for name, spoil := range map[string]func(d *account.Draft){
		"name":              func(d *account.Draft) { d.Name = "" },
		"short password":    func(d *account.Draft) { d.Password = "seven b" },
		"long password":     func(d *account.Draft) { d.Password = strings.Repeat("x", 1025) },
		"password encoding": func(d *account.Draft) { d.Password = "\xff\xff\xff\xff\xff\xff\xff\xff" },
		"tenant":            func(d *account.Draft) { d.Tenant = "a\nb" },
		"role":              func(d *account.Draft) { d.Roles = []string{"two words"} },
		"roles":             func(d *account.Draft) { d.Roles = make([]string, 33) },
		"email is IANA's":   func(d *account.Draft) { d.Claims = map[string]jsontext.Value{"email": jsontext.Value(`"x"`)} },
		"rsq is ours":       func(d *account.Draft) { d.Claims = map[string]jsontext.Value{"rsq": jsontext.Value(`0`)} },
		"sub":               func(d *account.Draft) { d.Claims = map[string]jsontext.Value{"sub": jsontext.Value(`"root"`)} },
		"two values":        func(d *account.Draft) { d.Claims = map[string]jsontext.Value{"x": jsontext.Value(`1 2`)} },
		"duplicate member":  func(d *account.Draft) { d.Claims = map[string]jsontext.Value{"x": jsontext.Value(`{"a":1,"a":2}`)} },
		"no claim name":     func(d *account.Draft) { d.Claims = map[string]jsontext.Value{"": jsontext.Value(`1`)} },
		"large value": func(d *account.Draft) {
			d.Claims = map[string]jsontext.Value{"x": jsontext.Value(`"` + strings.Repeat("x", 1024) + `"`)}
		},
	} {
		d := good
		spoil(&d)
		_, err := h.NewUser(t.Context(), d)
		if _, ok := errors.AsType[*account.InputError](err); !ok {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), good.Password) {
			t.Errorf("%s: the error repeats the password", name)
		}
	}
}

func openStore(t *testing.T) *store.Store {
	t.Helper()
	st, err := sqlite.Open(t.Context(), t.TempDir()+"/issuer.db", sqlite.Config{
		Issuer: "https://id.example", UnsafeNoSync: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

// The first start measures and writes down; later ones, on whatever machine,
// make the same hashes.
func TestCalibrationIsRemembered(t *testing.T) {
	st := openStore(t)
	first, err := account.OpenHasher(t.Context(), st, account.HasherConfig{})
	if err != nil {
		t.Fatal(err)
	}
	p := first.Params()
	if p.Memory != account.DefaultParams.Memory || p.Time < account.DefaultParams.Time || p.Time > 16 {
		t.Errorf("calibrated to %v", p)
	}
	var written string
	err = st.View(t.Context(), func(tx *store.Tx) (err error) {
		written, err = tx.Meta("argon2id")
		return err
	})
	if err != nil || written != p.String() {
		t.Fatalf("the store remembers %q, %v", written, err)
	}
	p.Time++
	err = st.Update(t.Context(), func(tx *store.Tx) error { return tx.SetMeta("argon2id", p.String()) })
	if err != nil {
		t.Fatal(err)
	}
	second, err := account.OpenHasher(t.Context(), st, account.HasherConfig{})
	if err != nil || second.Params() != p {
		t.Errorf("second start: %v, %v; want %v", second, err, p)
	}
}

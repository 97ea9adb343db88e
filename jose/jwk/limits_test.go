package jwk_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

var someLimits = jwk.Limits{
	From:      time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	Until:     time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC),
	MaxLife:   15 * time.Minute,
	Issuer:    "https://id.example",
	Audiences: []string{"orders", "stock"},
	Types:     []string{"at+jwt"},
	Subject:   "alice",
	Tenant:    "acme",
	Claims:    []string{"iss", "sub"},
	Tagged:    true,
}

func TestLimitsTravelWithTheKey(t *testing.T) {
	k, err := jwk.Generate(jwk.Params{Algorithm: jwk.ES256, Limits: someLimits})
	if err != nil {
		t.Fatal(err)
	}
	public, _ := json.Marshal(k)
	private, _ := k.MarshalPrivate()
	for _, data := range [][]byte{public, private} {
		again, err := jwk.Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(again.Limits(), someLimits) {
			t.Errorf("%+v", again.Limits())
		}
	}
	var f fields
	json.Unmarshal(public, &f)
	want := map[string]any{
		"from": 1767323045.0, "until": 1798859045.0, "max_life": 900.0, "iss": "https://id.example",
		"aud": []any{"orders", "stock"}, "typ": []any{"at+jwt"}, "tenant": "acme", "tagged": true,
		"sub": "alice", "claims": []any{"iss", "sub"},
	}
	if !reflect.DeepEqual(f["counterfoil"], want) {
		t.Errorf("on the wire: %v", f["counterfoil"])
	}
	plain := k.WithLimits(jwk.Limits{})
	if data := fieldsOf(t, plain); data["counterfoil"] != nil || k.Limits().Tenant != "acme" {
		t.Error("WithLimits changed the key, or left something behind")
	}
}

func TestLimitsAreCopied(t *testing.T) {
	l := someLimits
	l.Audiences = []string{"orders"}
	k, err := jwk.Generate(jwk.Params{Algorithm: jwk.EdDSA, Limits: l})
	if err != nil {
		t.Fatal(err)
	}
	l.Audiences[0] = "spoiled"
	k.Limits().Types[0] = "spoiled"
	k.Limits().Claims[0] = "spoiled"
	if got := k.Limits(); got.Audiences[0] != "orders" || got.Types[0] != "at+jwt" || got.Claims[0] != "iss" {
		t.Errorf("%+v", got)
	}
}

// A window that begins within a second must admit tokens of that second, whose
// iat has no fraction.
func TestLimitsHaveThePrecisionOfTheWire(t *testing.T) {
	from := time.Date(2026, 1, 2, 3, 4, 5, 678, time.FixedZone("", 3600))
	k, err := jwk.Generate(jwk.Params{Algorithm: jwk.EdDSA, Limits: jwk.Limits{From: from, MaxLife: 1500 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	if got := k.Limits(); !got.From.Equal(from.Truncate(time.Second)) || got.MaxLife != time.Second {
		t.Errorf("%+v", got)
	}
}

// Rounding must not turn a bound into none.
func TestLimitsKeepTheirBoundsWhenRounded(t *testing.T) {
	k, err := jwk.Generate(jwk.Params{Algorithm: jwk.EdDSA})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []jwk.Limits{
		{MaxLife: time.Nanosecond}, {MaxLife: -time.Hour}, {MaxLife: 1<<63 - 1}, {Until: time.Unix(0, 0)}, {Until: time.Unix(-5, 0)},
		{Until: time.Unix(0, 1)}, {Until: time.Unix(1<<40, 0)}, {From: time.Unix(1<<40, 0)},
	} {
		bounded := k.WithLimits(l)
		again := accept(t, fieldsOf(t, bounded)).Limits()
		if reflect.DeepEqual(again, jwk.Limits{}) || !reflect.DeepEqual(again, bounded.Limits()) {
			t.Errorf("%+v became %+v and came back as %+v", l, bounded.Limits(), again)
		}
	}
}

// What cannot be read must not be read as the absence of a limit.
func TestLimitsRefuseWhatTheyDoNotUnderstand(t *testing.T) {
	f := generated(t, jwk.ES256)
	for _, bad := range []any{
		nil, true, "x", 1, []any{}, fields{"iss": nil}, fields{"iss": 1}, fields{"aud": "orders"}, fields{"aud": nil},
		fields{"from": "1"}, fields{"from": 1.5}, fields{"from": -1}, fields{"until": 1e15}, fields{"until": 1e30},
		fields{"max_life": -1}, fields{"max_life": 1e12}, fields{"max_life": "900"}, fields{"tagged": 1}, fields{"tagged": nil},
		fields{"until": 0}, fields{"from": 0}, fields{"max_life": 0}, fields{"iss": ""}, fields{"tenant": ""},
		fields{"aud": []string{}}, fields{"typ": []string{}}, fields{"also": ""}, fields{"until": 253402300800},
		fields{"sub": ""}, fields{"sub": nil}, fields{"claims": []string{}}, fields{"claims": nil}, fields{"claims": "sub"},
		fields{"new_limit": 1}, fields{"Iss": "x"}, fields{"typ": fields{}}, fields{"aud": []any{1}},
	} {
		_, err := jwk.Parse(f.with("counterfoil", bad).json(t))
		if !errors.Is(err, jwk.ErrMalformed) {
			t.Errorf("%v: %v", bad, err)
		}
	}
	accept(t, f.with("counterfoil", fields{}))
}

// What a caller bounds a set by and what a key in it brings hold together: a source
// cannot widen anything.
func TestParseSetAsLimitsAndThoseOfTheKey(t *testing.T) {
	date := func(day int) time.Time { return time.Date(2026, 1, day, 0, 0, 0, 0, time.UTC) }
	own := jwk.Limits{From: date(2), Until: date(20), MaxLife: time.Hour, Issuer: "i", Audiences: []string{"a", "b"}, Types: []string{"JWT"}, Tagged: true, Claims: []string{"iss", "sub"}}
	mine := jwk.Limits{From: date(3), Until: date(30), MaxLife: time.Minute, Audiences: []string{"b", "c"}, Tenant: "t", Subject: "s", Claims: []string{"sub", "scope"}}
	want := jwk.Limits{From: date(3), Until: date(20), MaxLife: time.Minute, Issuer: "i", Audiences: []string{"b"}, Types: []string{"JWT"}, Tenant: "t", Tagged: true, Subject: "s", Claims: []string{"sub"}}
	k := accept(t, generated(t, jwk.ES256)).WithLimits(own)
	public, err := k.Public()
	if err != nil {
		t.Fatal(err)
	}
	for _, order := range []struct{ own, mine jwk.Limits }{{own, mine}, {mine, own}, {want, jwk.Limits{}}, {jwk.Limits{}, want}, {want, want}} {
		set, err := jwk.ParseSetAs(setOfKeys(t, public.WithLimits(order.own)), jwk.Params{Limits: order.mine})
		if err != nil {
			t.Fatal(err)
		}
		if got := set.Keys()[0].Limits(); !reflect.DeepEqual(got, want) {
			t.Errorf("%+v and %+v: %+v", order.own, order.mine, got)
		}
	}
	for name, other := range map[string]jwk.Limits{"issuer": {Issuer: "j"}, "audience": {Audiences: []string{"z"}}, "type": {Types: []string{"at+jwt"}}} {
		set, err := jwk.ParseSetAs(setOfKeys(t, public), jwk.Params{Limits: other})
		if err != nil {
			t.Fatal(err)
		}
		if set.Len() != 0 || !errors.Is(set.Skipped()[0].Err, jwk.ErrUse) {
			t.Errorf("another %s: %v", name, set.Skipped())
		}
	}
}

func setOfKeys(t testing.TB, keys ...*jwk.Key) []byte {
	t.Helper()
	set, err := jwk.NewSet(keys...)
	if err != nil {
		t.Fatal(err)
	}
	data, err := set.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

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
	Tenant:    "acme",
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
	if got := k.Limits(); got.Audiences[0] != "orders" || got.Types[0] != "at+jwt" {
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
		fields{"new_limit": 1}, fields{"Iss": "x"}, fields{"typ": fields{}}, fields{"aud": []any{1}},
	} {
		_, err := jwk.Parse(f.with("counterfoil", bad).json(t))
		if !errors.Is(err, jwk.ErrMalformed) {
			t.Errorf("%v: %v", bad, err)
		}
	}
	accept(t, f.with("counterfoil", fields{}))
}

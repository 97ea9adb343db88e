package oauth_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/oauth"
)

func TestThreat130BearerIsOneHeaderOneSpaceOneToken(t *testing.T) {
	for _, c := range []struct {
		values []string
		token  string
		err    error
	}{
		{nil, "", oauth.ErrNoBearer},
		{[]string{"Bearer abc"}, "abc", nil},
		{[]string{"bEARER abc"}, "abc", nil},
		{[]string{"Basic abc"}, "", oauth.ErrScheme},
		{[]string{""}, "", oauth.ErrScheme},
		{[]string{"Bearer"}, "", oauth.ErrBearer},
		{[]string{"Bearer "}, "", oauth.ErrBearer},
		{[]string{"Bearer  abc"}, "", oauth.ErrBearer},
		{[]string{"Bearer abc def"}, "", oauth.ErrBearer},
		{[]string{"Bearer abc\tdef"}, "", oauth.ErrBearer},
		{[]string{"Bearer abc,def"}, "", oauth.ErrBearer},
		{[]string{"Bearer abc", "Bearer abc"}, "", oauth.ErrManyTimes},
		{[]string{"Basic abc", "Bearer abc"}, "", oauth.ErrManyTimes},
	} {
		token, err := oauth.ParseBearer(c.values)
		if token != c.token || !errors.Is(err, c.err) {
			t.Errorf("%q: %q, %v; want %q, %v", c.values, token, err, c.token, c.err)
		}
	}
}

func TestThreat106CookieByItsExactName(t *testing.T) {
	const name = oauth.AccessCookie
	for _, c := range []struct {
		headers []string
		value   string
		n       int
	}{
		{nil, "", 0},
		{[]string{name + "=v"}, "v", 1},
		{[]string{"a=b; " + name + "=v; c=d"}, "v", 1},
		{[]string{name + " =v"}, "", 0},
		{[]string{"a=b;  " + name + "=v"}, "", 0},
		{[]string{"\t" + name + "=v"}, "", 0},
		{[]string{"x" + name + "=v"}, "", 0},
		{[]string{name + "=v; " + name + "=\x7f"}, "\x7f", 2},
		{[]string{name + "=v", name + "=w"}, "w", 2},
	} {
		value, n := oauth.CookieValue(c.headers, name)
		if value != c.value || n != c.n {
			t.Errorf("%q: %q, %d; want %q, %d", c.headers, value, n, c.value, c.n)
		}
	}
}

func FuzzParseBearer(f *testing.F) {
	f.Add("Bearer abc")
	f.Add("bEARER  abc")
	f.Add("Bearer a,b")
	f.Fuzz(func(t *testing.T, value string) {
		token, err := oauth.ParseBearer([]string{value})
		if (token == "") == (err == nil) {
			t.Fatalf("%q: %q, %v", value, token, err)
		}
		if err != nil {
			return
		}
		scheme, rest, ok := strings.Cut(value, " ")
		if !ok || !strings.EqualFold(scheme, "bearer") || rest != token || strings.ContainsAny(token, " \t,") {
			t.Fatalf("%q: %q", value, token)
		}
		if _, err := oauth.ParseBearer([]string{value, value}); !errors.Is(err, oauth.ErrManyTimes) {
			t.Fatalf("twice: %v", err)
		}
	})
}

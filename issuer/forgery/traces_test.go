package forgery_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/counterfoil/counterfoil/issuer/forgery"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/notary"
)

// forgeAs is forge with other claims.
func (f *fixture) forgeAs(n int, change map[string]any) string {
	f.Helper()
	token, err := f.signer().Sign(notary.Join(jtiOf(n), f.claims(change)))
	f.check(err)
	return token
}

// settle writes down what waits in memory.
func (f *fixture) settle() {
	f.Helper()
	f.check(f.desk.CountRound(f.Context()))
}

// What the thief wrote is kept: whom he played, where, with what, from when to when,
// and who has seen it. Nobody is revoked for being named.
func TestThreat82WhatTheThiefWroteIsKept(t *testing.T) {
	f := newFixture(t, forgery.Config{})
	kid, began := f.active(), f.clock.Now()
	admin := f.forgeAs(1, map[string]any{"sub": "root", "aud": []string{"orders", "pay"}, "scope": "admin", "roles": []string{"ops", "boss"}})
	f.evidenceTo(f.desk, "orders", forgery.Forged, admin)
	f.moveOn(time.Minute)
	f.evidenceTo(f.desk, "pay", forgery.Forged, admin)
	f.evidenceTo(f.desk, "pay", forgery.Forged, admin)
	f.evidenceTo(f.desk, "pay", forgery.Forged, f.under("JWT", notary.Join(jtiOf(2), f.claims(map[string]any{"sub": "bob"}))))
	f.settle()

	in := f.incident(kid)
	if len(in.Traces) != 2 || in.Untraced != 0 {
		t.Fatalf("%+v", in)
	}
	issued := began.Truncate(time.Second).UTC()
	got, _ := json.Marshal(in.Traces[0])
	want, _ := json.Marshal(forgery.Trace{
		Hash: in.Forgeries[0].Hash, At: began.Truncate(time.Millisecond).UTC(),
		Said: store.Said{
			TokenID: jtiOf(1), Subject: "root", Audience: []string{"orders", "pay"}, Scope: "admin", Roles: []string{"ops", "boss"},
			ClientID: "first-party", IssuedAt: issued, Expiry: issued.Add(tokenLife), Level0: "passes",
		},
		SeenBy: []store.Sighting{{Reporter: "orders", At: began.Truncate(time.Millisecond).UTC()}, {Reporter: "pay", At: f.clock.Now().Truncate(time.Millisecond).UTC()}},
	})
	if string(got) != string(want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if bob := in.Traces[1]; bob.Subject != "bob" || bob.Level0 == "passes" || bob.Level0 == "" {
		t.Errorf("%+v", bob)
	}
	if got := f.entries("root", "bob", "s1"); slices.ContainsFunc(got, func(e string) bool {
		return strings.Contains(e, "subject") || strings.Contains(e, "session") || strings.Contains(e, "root")
	}) {
		t.Errorf("log %v", got)
	}
	signature := admin[strings.LastIndexByte(admin, '.')+1:]
	if all, _ := json.Marshal(in); strings.Contains(string(all), signature[:20]) || strings.Contains(string(all), "eyJ") {
		t.Errorf("%s", all)
	}
}

// Neither a terminal, nor the store, nor the answer to a forgery is disturbed by what
// the thief writes.
func TestThreat82WhatTheThiefWroteIsHarmless(t *testing.T) {
	r := newReceiver(t)
	f := newFixture(t, forgery.Config{Webhook: r.hook()})
	kid := f.active()
	nasty := "\x1b[2J\u009b31m\u202eroot\x00\n\"\\"
	many := make([]string, 100)
	for i := range many {
		many[i] = nasty
	}
	const evil = `{"jti":"\u001b[2J\u009b\u202e"`
	for n, payload := range []string{
		`,"sub":"\u001b]0;gone\u0007","aud":7,"scope":{"a":1},"roles":[1],"client_id":null,"iat":"x","exp":1e300}`,
		`,"sub":"alice","sub":"mallory","exp":-1,"iat":253402300800}`,
		`,"scope":["a","b"],"roles":"boss","iat":1.5}`,
	} {
		f.evidence(forgery.Forged, f.under("at+jwt", []byte(evil+payload)))
		if n == 0 {
			f.want(kid, store.IncidentQuarantined, "active")
		}
	}
	f.evidence(forgery.Forged, f.forgeAs(1, map[string]any{
		"sub": nasty, "aud": many, "scope": strings.Repeat(nasty, 100), "client_id": strings.Repeat("é", 200)}))
	f.deliver()

	in := f.incident(kid)
	if len(in.Traces) != 4 {
		t.Fatalf("%+v", in.Traces)
	}
	for _, tt := range in.Traces {
		texts := slices.Concat([]string{tt.TokenID, tt.Subject, tt.Scope, tt.ClientID}, tt.Audience, tt.Roles)
		for _, s := range texts {
			if len(s) > forgery.MaxSaid || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%d bytes: %.99q", len(s), s)
			}
		}
		if len(tt.Audience) > forgery.MaxListed || len(tt.Roles) > forgery.MaxListed {
			t.Errorf("%+v", tt)
		}
	}
	by := func(notKept string) *forgery.Trace {
		for i := range in.Traces {
			if strings.Join(in.Traces[i].NotKept, " ") == notKept {
				return &in.Traces[i]
			}
		}
		t.Fatalf("of no trace %q is not kept", notKept)
		return nil
	}
	if tt := by("aud scope roles iat exp"); tt.Subject != `\x1b]0;gone\a` || tt.TokenID != `\x1b[2J\u009b\u202e` || tt.ClientID != "" {
		t.Errorf("%+v", tt)
	}
	if tt := by("iat exp"); tt.Subject != "mallory" { // as the most lenient library reads it
		t.Errorf("%+v", tt)
	}
	if tt := by(""); tt.Scope != "a b" || !slices.Equal(tt.Roles, []string{"boss"}) || tt.IssuedAt.Unix() != 1 {
		t.Errorf("%+v", tt)
	}
	if tt := by("aud scope client_id"); tt.Subject != `\x1b[2J\u009b31m\u202eroot\x00\n\"\\` || tt.ClientID != strings.Repeat("é", forgery.MaxSaid/2) {
		t.Errorf("%+v", tt)
	}
	if !strings.Contains(f.log.String(), `jti=\x1b[2J\u009b\u202e `) {
		t.Errorf("log %s", f.log)
	}
	for _, text := range append(r.bodies, f.log.String()) {
		for _, c := range strings.TrimSpace(text) {
			if c != '\n' && !unicode.IsPrint(c) {
				t.Errorf("%q in %q", c, text)
			}
		}
		if strings.Contains(text, "gone") || strings.Contains(text, "mallory") {
			t.Errorf("a claim in %s", text)
		}
	}
}

// A thief who signs millions fills nothing: so many leave a trace, and the rest is a number.
func TestThreat138TracesAreBounded(t *testing.T) {
	f := newFixture(t, forgery.Config{})
	kid := f.active()
	const tokens = 2 * store.MaxTraces
	for i := range tokens {
		f.evidenceTo(f.desk, fmt.Sprint("guard", i%50), forgery.Forged, f.forge(i))
		if i%100 == 99 {
			f.settle()
		}
	}
	first := f.forge(0)
	for i := range 2 * store.MaxSightings {
		f.evidenceTo(f.desk, fmt.Sprint("other", i), forgery.Forged, first)
	}
	f.settle()
	in := f.incident(kid)
	if in.Tokens != tokens || len(in.Traces) != store.MaxTraces || in.Untraced != tokens-store.MaxTraces {
		t.Errorf("%d tokens, %d traces, %d without", in.Tokens, len(in.Traces), in.Untraced)
	}
	most := 0
	for _, tt := range in.Traces {
		most = max(most, len(tt.SeenBy))
	}
	if most != store.MaxSightings {
		t.Errorf("%d sightings", most)
	}
}

// What cannot be written now is written later, and once.
func TestTracesWaitForTheStore(t *testing.T) {
	f := newFixture(t, forgery.Config{})
	kid := f.active()
	for i := range store.MaxForgeries + 10 {
		f.evidence(forgery.Forged, f.forge(i))
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := f.desk.CountRound(ended); err == nil {
		t.Fatal("written without a store")
	}
	f.evidence(forgery.Forged, f.forge(100))
	f.settle()
	f.settle()
	if in := f.incident(kid); in.Tokens != store.MaxForgeries+11 || len(in.Traces) != store.MaxForgeries+11 {
		t.Errorf("%d tokens, %d traces", in.Tokens, len(in.Traces))
	}
}

// Honest people are named in what a thief writes, and are not named for ever.
func TestTracesAreForgotten(t *testing.T) {
	f := newFixture(t, forgery.Config{})
	kid := f.active()
	f.evidence(forgery.Forged, f.forge(1))
	traces := func() int {
		f.Helper()
		f.check(f.desk.ForgetRound(f.Context()))
		return len(f.incident(kid).Traces)
	}
	f.clock.advance(forgery.TraceLife)
	if n := traces(); n != 1 {
		t.Errorf("%d traces at the end of their life", n)
	}
	f.clock.advance(time.Hour)
	if n := traces(); n != 0 {
		t.Errorf("%d traces beyond it", n)
	}
	if in := f.incident(kid); in.Untraced != 1 || len(in.Forgeries) != 1 || in.Tokens != 1 {
		t.Errorf("%+v", in)
	}
}

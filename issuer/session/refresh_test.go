package session_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/issuer/session"
)

// fixedKeys are two MAC keys, the second one current.
type fixedKeys struct{ current byte }

func (fixedKeys) RefreshKey(id byte) ([]byte, bool) {
	return bytes.Repeat([]byte{0x40 + id}, 32), id < 2
}

func (k fixedKeys) CurrentRefreshKey() (byte, []byte) {
	key, _ := k.RefreshKey(k.current)
	return k.current, key
}

func newRefresh(t testing.TB) *session.Refresh {
	t.Helper()
	r, err := session.NewRefresh(fixedKeys{}, 7)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRefreshTokenSurvivesTheTrip(t *testing.T) {
	r := newRefresh(t)
	for range 5 {
		token := r.Token()
		if len(token) != session.RefreshSize {
			t.Fatalf("%d characters", len(token))
		}
		again, err := session.ParseRefresh(fixedKeys{current: 1}, token)
		if err != nil || again.Token() != token || again.SessionID() != r.SessionID() ||
			again.SecretHash() != r.SecretHash() || again.Counter != r.Counter || again.Epoch != r.Epoch {
			t.Fatalf("%v", err)
		}
		r = r.Next(r.Epoch + 1)
	}
}

func TestSuccessorIsAlwaysTheSame(t *testing.T) {
	r := newRefresh(t)
	next := r.Next(8)
	if next.Token() != r.Next(8).Token() {
		t.Error("two successors")
	}
	if next.Counter != 1 || next.Epoch != 8 || next.SessionID() != r.SessionID() {
		t.Error("the successor belongs elsewhere")
	}
	if next.SecretHash() == r.SecretHash() || next.SecretHash() == r.Next(9).SecretHash() {
		t.Error("a secret was used twice")
	}
}

// Not one bit of a refresh token can be changed, and none has a second spelling.
func TestEveryBitOfARefreshTokenMatters(t *testing.T) {
	token := newRefresh(t).Token()
	for i := range token {
		for bit := range 8 {
			bad := []byte(token)
			bad[i] ^= 1 << bit
			if _, err := session.ParseRefresh(fixedKeys{}, string(bad)); !errors.Is(err, session.ErrRefresh) {
				t.Fatalf("accepted with bit %d of character %d flipped", bit, i)
			}
		}
	}
	for name, bad := range map[string]string{
		"empty": "", "short": token[:87], "long": token + "A", "padded": token + "=", "newline": token[:44] + "\n" + token[44:],
		"megabyte": strings.Repeat("A", 1<<20), "zeros": strings.Repeat("A", 88),
	} {
		if _, err := session.ParseRefresh(fixedKeys{}, bad); !errors.Is(err, session.ErrRefresh) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A thief of the database and of the MAC key has the session's id and the hash of
// the secret, and can compute any MAC. What he cannot write down is the seed: a
// token that he makes of what he has names another session.
func TestThreat137DatabaseAndMACKeyMakeNoRefreshToken(t *testing.T) {
	victim := newRefresh(t)
	forged := newRefresh(t) // a token of his own, with any counter and epoch he likes
	raw, err := base64.RawURLEncoding.DecodeString(forged.Token())
	if err != nil {
		t.Fatal(err)
	}
	sid, err := base64.RawURLEncoding.DecodeString(victim.SessionID())
	if err != nil {
		t.Fatal(err)
	}
	copy(raw[2:], sid) // all that the database knows in place of the seed
	token := session.SignRefresh(fixedKeys{}, raw)
	made, err := session.ParseRefresh(fixedKeys{}, token)
	if err != nil {
		t.Fatalf("the thief has the MAC key: %v", err)
	}
	if made.SessionID() == victim.SessionID() {
		t.Error("a refresh token for a session was made without ever having had one")
	}
	if made.Holder(netip.Addr{}, "") == victim.Holder(netip.Addr{}, "") {
		t.Error("the hash of the holder can be searched without a token")
	}
}

func TestRefreshTokenIsNotPrinted(t *testing.T) {
	r := newRefresh(t)
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "token", r)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		fmt.Fprintf(&log, verb, r)
		fmt.Fprintf(&log, verb, *r)
	}
	raw, _ := base64.RawURLEncoding.DecodeString(r.Token())
	secret := raw[34:50]
	for name, s := range map[string]string{
		"token": r.Token(), "bytes": string(secret), "hex": fmt.Sprintf("%x", secret), "list": fmt.Sprint(secret),
	} {
		if strings.Contains(log.String(), s) {
			t.Errorf("%s was printed", name)
		}
	}
}

func FuzzParseRefresh(f *testing.F) {
	f.Add(newRefresh(f).Token())
	f.Add(strings.Repeat("A", session.RefreshSize))
	f.Fuzz(func(t *testing.T, s string) {
		// Whatever the bytes are, with the right MAC they survive the trip, and
		// without it they are refused.
		r, err := session.ParseRefresh(fixedKeys{}, s)
		if err == nil && r.Token() != s {
			t.Fatalf("%q has a second spelling", s)
		}
		raw := make([]byte, 66)
		copy(raw, s)
		raw[0], raw[1] = 1, raw[1]%2
		token := session.SignRefresh(fixedKeys{}, raw)
		r, err = session.ParseRefresh(fixedKeys{}, token)
		if err != nil || r.Token() != token {
			t.Fatalf("%q: %v", token, err)
		}
	})
}

func ExampleParseRefresh() {
	keys := fixedKeys{}
	first, err := session.NewRefresh(keys, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	presented, err := session.ParseRefresh(keys, first.Token())
	if err != nil {
		fmt.Println(err)
		return
	}
	next := presented.Next(1)
	fmt.Println(next.Counter, next.SessionID() == first.SessionID(), next)

	_, err = session.ParseRefresh(keys, strings.Repeat("A", session.RefreshSize))
	fmt.Println(err)
	// Output:
	// 1 true refresh token (not shown)
	// session: not a refresh token of this issuer
}

// A MAC key shorter than the hash is no key.
func TestThreat40ShortRefreshKeyIsRefused(t *testing.T) {
	for _, n := range []int{0, 16, 31} {
		if _, err := session.NewRefresh(shortKeys(n), 1); err == nil {
			t.Errorf("made under a key of %d bytes", n)
		}
		raw := make([]byte, 66)
		raw[0] = 1
		if _, err := session.ParseRefresh(shortKeys(n), session.SignRefresh(shortKeys(n), raw)); err == nil {
			t.Errorf("taken under a key of %d bytes", n)
		}
	}
}

// shortKeys is a key of so many bytes.
type shortKeys int

func (k shortKeys) RefreshKey(byte) ([]byte, bool)    { return make([]byte, k), true }
func (k shortKeys) CurrentRefreshKey() (byte, []byte) { return 0, make([]byte, k) }

package verifier_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
	"github.com/counterfoil/counterfoil/revocation"
	"github.com/counterfoil/counterfoil/verifier"
)

// hang reads a request and answers nothing.
var hang http.HandlerFunc = func(_ http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body) // else the server does not notice when the client leaves
	<-r.Context().Done()
}

var broken http.HandlerFunc = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }

// The states of the design, exactly, as the table grows older: what they are
// called, which routes are open, and how they end.
func TestThreat73FeedDown(t *testing.T) {
	for name, down := range map[string]func(o *origin){
		"stopped": func(o *origin) { o.shut() },
		"hanging": func(o *origin) { o.door("", hang) },
		"broken":  func(o *origin) { o.door("", broken) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, o *origin) {
				v := o.ready(t, nil)
				stubborn := o.ready(t, func(c *verifier.Config) { c.OpenWhenBlind = true })
				// The last question that is answered is asked at 10 s.
				pass(10*time.Second + time.Millisecond)
				asked := time.Now().Add(-time.Millisecond)
				down(o)
				for _, step := range []struct {
					age       time.Duration
					state     verifier.State
					ordinary  error
					sensitive error
				}{
					{500 * time.Millisecond, verifier.Fresh, nil, nil},
					{time.Second, verifier.Fresh, nil, nil},
					{time.Second + 1, verifier.Late, nil, nil},
					{5 * time.Second, verifier.Late, nil, nil},
					{5*time.Second + 1, verifier.Stale, nil, verifier.ErrStale},
					{10 * time.Minute, verifier.Stale, nil, verifier.ErrStale},
					{tokenLife, verifier.Stale, nil, verifier.ErrStale},
					{tokenLife + 1, verifier.Blind, verifier.ErrBlind, verifier.ErrBlind},
					{16 * time.Minute, verifier.Blind, verifier.ErrBlind, verifier.ErrBlind},
				} {
					pass(time.Until(asked.Add(step.age)))
					st := v.Status()
					if st.State != step.state || st.Age != step.age {
						t.Errorf("age %v: state %v of age %v, want %v", step.age, st.State, st.Age, step.state)
					}
					token := o.token(t, nil)
					if _, err := v.Check(t.Context(), token, verifier.Route{}); !errors.Is(err, step.ordinary) {
						t.Errorf("age %v: ordinary route: %v, want %v", step.age, err, step.ordinary)
					}
					if _, err := v.Check(t.Context(), token, verifier.Route{Sensitive: true}); !errors.Is(err, step.sensitive) {
						t.Errorf("age %v: sensitive route: %v, want %v", step.age, err, step.sensitive)
					}
					if _, err := stubborn.Verify(t.Context(), token); err != nil {
						t.Errorf("age %v: told to stay open: %v", step.age, err)
					}
				}
				if err := v.Ready(); !errors.Is(err, verifier.ErrBlind) {
					t.Errorf("Ready while blind: %v", err)
				}
				if st := v.Status(); st.LateChecks == 0 || st.StaleChecks == 0 || st.LastError == nil {
					t.Errorf("the outage does not show: %+v", st)
				}

				// Recovery, without a restart of the verifier, and nothing was missed.
				old := o.token(t, nil)
				o.revoke(revocation.Subject, "user-1")
				if name == "stopped" {
					o.open()
				} else {
					o.door("", nil)
				}
				pass(4 * time.Second)
				if st := v.Status(); st.Age > time.Second {
					t.Errorf("after recovery: %v, %v, %v", st.State, st.Age, st.LastError)
				}
				if err := verify(t, v, old); !refusedAs(err, revocation.Subject) {
					t.Errorf("revoked during the outage: %v", err)
				}
			})
		})
	}
}

func TestThreat74ColdStartFromDisk(t *testing.T) {
	dir := t.TempDir()
	bubble(t, func(t *testing.T, o *origin) {
		inDir := func(c *verifier.Config) { c.StateDir = dir }
		first := o.ready(t, inDir)
		good, revoked := o.token(t, nil), o.token(t, claims{"sid": "session-2", "jti": "t-2"})
		o.revoke(revocation.Session, "session-2")
		pass(time.Second)
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		o.shut()
		pass(time.Minute)

		v := o.ready(t, inDir)
		st := v.Status()
		if st.State != verifier.Stale || st.Age < time.Minute || st.Age > time.Minute+2*time.Second {
			t.Errorf("from disk: %v of age %v, want stale of a minute", st.State, st.Age)
		}
		if err := verify(t, v, good); err != nil {
			t.Errorf("good token: %v", err)
		}
		if err := verify(t, v, revoked); !refusedAs(err, revocation.Session) {
			t.Errorf("revoked token: %v", err)
		}
		if _, err := v.Check(t.Context(), good, verifier.Route{Sensitive: true}); !errors.Is(err, verifier.ErrStale) {
			t.Errorf("sensitive route: %v, want ErrStale", err)
		}
		o.open()
		o.revoke(revocation.Subject, "user-1")
		pass(11 * time.Second)
		if err := verify(t, v, good); !refusedAs(err, revocation.Subject) {
			t.Errorf("revoked after the start: %v", err)
		}
		if st := v.Status(); st.State > verifier.Late || st.Resyncs != 0 {
			t.Errorf("after recovery: %v, %d resyncs: the tail goes on from the table", st.State, st.Resyncs)
		}
	})
	files := 0
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, _ error) error {
		info, err := d.Info()
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); !d.IsDir() && mode != 0o600 || d.IsDir() && path != dir && mode != 0o700 {
			t.Errorf("%s: mode %o", path, mode)
		}
		if !d.IsDir() {
			files++
		}
		return nil
	})
	if files != 5 {
		t.Errorf("%d files of state, want metadata, keys, feed, evidence and table", files)
	}
}

// A state folder that somebody damaged is no reason to believe anything: the
// verifier starts as if it were empty.
func TestThreat74DamagedState(t *testing.T) {
	dir := t.TempDir()
	bubble(t, func(t *testing.T, o *origin) {
		inDir := func(c *verifier.Config) { c.StateDir = dir }
		v := o.ready(t, inDir)
		o.revoke(revocation.Session, "session-2")
		pass(time.Second)
		v.Close()
		files, err := filepath.Glob(filepath.Join(dir, "*", "*"))
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, name := range files {
			whole, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, content := range []string{"", "{", string(whole[:len(whole)/2]), strings.Repeat("x", 1000)} {
				if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
				again := o.ready(t, inDir)
				if err := verify(t, again, o.token(t, nil)); err != nil {
					t.Errorf("%s damaged: %v", filepath.Base(name), err)
				}
				again.Close()
			}
		}
	})
}

// Frames on disk are shown only if the feed's key signed them: one that somebody
// put there would make the issuer refuse the others with it.
func TestThreat75ForeignEvidenceOnDisk(t *testing.T) {
	dir := t.TempDir()
	bubble(t, func(t *testing.T, o *origin) {
		inDir := func(c *verifier.Config) { c.StateDir = dir }
		v := o.ready(t, inDir)
		o.revoke(revocation.Session, "session-1")
		pass(time.Second)
		v.Close()
		o.mu.Lock()
		genuine := o.entries
		o.entries = []revocation.Entry{o.entry(revocation.Everything, "")}
		o.feedKey = generate(t, jwk.EdDSA)
		forged := o.frame(o.base+1, 1)
		o.entries, o.feedKey = nil, o.feedKeys[0] // restored to before the revocation
		o.mu.Unlock()
		files, err := filepath.Glob(filepath.Join(dir, "*", "evidence.json"))
		if err != nil || len(files) != 1 {
			t.Fatal(files, err)
		}
		saved, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		planted := strings.Replace(string(saved), `"frames":[`, `"frames":["`+forged+`","no frame",`, 1)
		if err := os.WriteFile(files[0], []byte(planted), 0o600); err != nil {
			t.Fatal(err)
		}
		o.ready(t, inDir)
		pass(5 * time.Second)
		var shown []any
		for _, ack := range o.allAcks() {
			if frames, ok := ack["frames"].([]any); ok {
				shown = append(shown, frames...)
			}
		}
		held := 0
		for _, token := range shown {
			frame, err := revocation.OpenFrame(o.feedKey, o.iss, token.(string))
			if err != nil {
				t.Errorf("shown: %v", err)
			} else if slices.Equal(frame.Entries, genuine) {
				held++
			}
		}
		if held == 0 {
			t.Errorf("%d frames shown, none with what was lost", len(shown))
		}
	})
}

// A kill that many sign-outs have followed is shown with the last frames, also by a
// process that was started since.
func TestThreat75KillIsNotPushedOut(t *testing.T) {
	dir := t.TempDir()
	bubble(t, func(t *testing.T, o *origin) {
		inDir := func(c *verifier.Config) { c.StateDir = dir }
		v := o.ready(t, inDir)
		kill := o.entry(revocation.Key, "stolen")
		kill.Flags = revocation.Absolute
		o.append(kill)
		pass(time.Second)
		for n := range 6 {
			o.revoke(revocation.Session, fmt.Sprint("session-", n))
			pass(time.Second)
		}
		v.Close()
		o.mu.Lock()
		o.entries = nil // restored to before the kill
		o.mu.Unlock()
		o.ready(t, inDir)
		pass(5 * time.Second)
		shown := map[string]bool{}
		most, killed := 0, false
		for _, ack := range o.allAcks() {
			frames, _ := ack["frames"].([]any)
			most = max(most, len(frames))
			for _, token := range frames {
				frame, err := revocation.OpenFrame(o.feedKey, o.iss, token.(string))
				if err != nil {
					t.Fatal(err)
				}
				shown[token.(string)] = true
				killed = killed || slices.Contains(frame.Entries, kill)
			}
		}
		if !killed || most != 5 {
			t.Errorf("%d frames shown, at most %d at once, the kill among them: %t", len(shown), most, killed)
		}
	})
}

// The issuer begins an epoch and cannot take evidence at that moment. It is shown again
// when the new epoch is followed already, until it is taken, and then no more.
func TestThreat75EvidenceIsOwed(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		o.ready(t, nil)
		o.revoke(revocation.Session, "session-1")
		pass(time.Second)
		o.door("/revocation/ack", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
		o.newEpoch()
		pass(5 * time.Second)
		o.door("/revocation/ack", nil)
		pass(time.Minute)
		showings := 0
		for _, ack := range o.allAcks() {
			if frames, _ := ack["frames"].([]any); len(frames) > 0 {
				showings++
				if ack["trust"] == nil {
					t.Error("without the statement that names who signed them")
				}
			}
		}
		if showings != 1 {
			t.Errorf("taken %d times", showings)
		}
	})
}

func TestThreat74TwoIssuersInOneFolder(t *testing.T) {
	dir := t.TempDir()
	bubble(t, func(t *testing.T, o *origin) {
		other := newOrigin(t, "https://other.example")
		inDir := func(c *verifier.Config) { c.StateDir = dir }
		a, b := o.ready(t, inDir), other.ready(t, inDir)
		o.revoke(revocation.Everything, "")
		token, revoked := other.token(t, nil), o.token(t, claims{"rsq": o.base})
		pass(time.Second)
		a.Close()
		b.Close()
		o.shut()
		other.shut()
		if err := verify(t, other.ready(t, inDir), token); err != nil {
			t.Errorf("from disk, revoked by another issuer: %v", err)
		}
		if err := verify(t, o.ready(t, inDir), revoked); !refusedAs(err, revocation.Everything) {
			t.Errorf("from disk, revoked by its own: %v", err)
		}
	})
}

func TestThreat76ClockJumps(t *testing.T) {
	for name, c := range map[string]struct {
		jump  func(o *origin, verifierClock *time.Duration)
		state verifier.State // at worst
		over  bool           // tokens by the verifier's clock are over by the issuer's
	}{
		"verifier ahead":  {func(_ *origin, c *time.Duration) { *c = time.Hour }, verifier.Late, false},
		"verifier behind": {func(_ *origin, c *time.Duration) { *c = -time.Hour }, verifier.Late, true},
		"node ahead":      {func(o *origin, _ *time.Duration) { o.shift(time.Hour) }, verifier.Late, true},
		"node ahead and back": {func(o *origin, _ *time.Duration) {
			o.shift(time.Hour)
			pass(30 * time.Second)
			o.shift(0)
		}, verifier.Late, false},
		"node back by a second": {func(o *origin, _ *time.Duration) { o.shift(-time.Second) }, verifier.Late, false},
		// No token that it mints is good at this hour, and nobody can tell its
		// manifests from those that were recorded an hour ago.
		"node behind": {func(o *origin, _ *time.Duration) { o.shift(-time.Hour) }, verifier.Stale, false},
		"node behind and back": {func(o *origin, _ *time.Duration) {
			o.shift(-time.Hour)
			pass(30 * time.Second)
			o.shift(0)
		}, verifier.Late, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, o *origin) {
				var clock time.Duration
				v := o.ready(t, func(c *verifier.Config) { c.Now = func() time.Time { return time.Now().Add(clock) } })
				seq := o.revoke(revocation.Subject, "user-1")
				low := v.Status().LowWater
				pass(10 * time.Second)
				c.jump(o, &clock)
				o.revoke(revocation.Session, "session-2")
				pass(10 * time.Second)
				st := v.Status()
				if st.State > c.state {
					t.Errorf("state %v, age %v", st.State, st.Age)
				}
				if st.LowWater != low || st.Entries != 2 {
					t.Errorf("low-water mark %d, %d entries: something was dropped", st.LowWater, st.Entries)
				}
				// By this verifier's clock, so that only revocation decides.
				at := claims{"iat": time.Now().Add(clock), "exp": time.Now().Add(clock + tokenLife)}
				old, session := claims{"rsq": seq - 1}, claims{"sid": "session-2", "rsq": seq}
				for k, x := range at {
					old[k], session[k] = x, x
				}
				if _, expired := errors.AsType[*jwt.ExpiredError](verify(t, v, o.token(t, at))); expired != c.over {
					t.Errorf("by its clock alone: %v", verify(t, v, o.token(t, at)))
				}
				if c.over {
					return
				}
				if err := verify(t, v, o.token(t, at)); err != nil {
					t.Errorf("good token: %v", err)
				}
				if err := verify(t, v, o.token(t, old)); !refusedAs(err, revocation.Subject) {
					t.Errorf("token from before the revocation: %v", err)
				}
				if err := verify(t, v, o.token(t, session)); !refusedAs(err, revocation.Session) {
					t.Errorf("session revoked after the jump: %v", err)
				}
			})
		})
	}
}

// A node that cannot read its database repeats its last manifest and sends no
// heartbeat.
func TestThreat134NodeCutOffFromItsDatabase(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		v := o.ready(t, nil)
		pass(10 * time.Second)
		last := o.signManifest()
		asked := time.Now()
		o.door("/revocation/manifest", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, last) })
		o.door("/revocation/tail", hang)
		notFresh(t, v, asked)
	})
}

// A relay answers at once, and everything it says is ten seconds old.
func TestThreat134BufferingRelay(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		v := o.ready(t, nil)
		pass(10 * time.Second)
		asked := time.Now()
		var buffer []string
		ticker := time.NewTicker(100 * time.Millisecond)
		go func() {
			for {
				m := o.signManifest()
				o.set(func() { buffer = append(buffer, m) })
				select {
				case <-ticker.C:
				case <-t.Context().Done():
					return
				}
			}
		}()
		o.door("/revocation/manifest", func(w http.ResponseWriter, _ *http.Request) {
			o.mu.Lock()
			old := buffer[max(0, len(buffer)-100)]
			o.mu.Unlock()
			io.WriteString(w, old)
		})
		notFresh(t, v, asked)
		pass(15 * time.Second)
		if age := v.Status().Age; age < 9*time.Second || age > 12*time.Second {
			t.Errorf("age %v behind a relay that holds everything for 10 s", age)
		}
	})
}

// The stream arrives, a byte now and then; only asking for the head shows what
// is missing.
func TestThreat134SlowReader(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		v := o.ready(t, nil)
		o.door("/revocation/tail", trickle(o))
		o.shut() // and so every connection
		o.open()
		pass(5 * time.Second)
		token := o.token(t, nil)
		o.revoke(revocation.Subject, "user-1")
		revoked := time.Now()
		for err := verify(t, v, token); err == nil; err = verify(t, v, token) {
			if d := time.Since(revoked); d > 2*time.Second+100*time.Millisecond {
				t.Fatalf("still accepted after %v", d)
			}
			if d, st := time.Since(revoked), v.Status(); d > time.Second && st.State == verifier.Fresh {
				t.Fatalf("fresh %v after a revocation that has not arrived", d)
			}
			pass(50 * time.Millisecond)
		}
	})
}

// notFresh checks that a verifier whose feed stands still since asked says so
// within the stated times.
func notFresh(t *testing.T, v *verifier.Verifier, asked time.Time) {
	t.Helper()
	for _, step := range []struct {
		age   time.Duration
		state verifier.State
	}{{1200 * time.Millisecond, verifier.Late}, {6 * time.Second, verifier.Stale}} {
		pass(time.Until(asked.Add(step.age)))
		if st := v.Status(); st.State < step.state {
			t.Errorf("after %v: %v of age %v, want %v", step.age, st.State, st.Age, step.state)
		}
	}
}

// trickle sends the tail one byte in ten milliseconds.
func trickle(o *origin) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("wait") {
			o.tail(w, r)
			return
		}
		after, _ := o.position(r)
		for {
			events, _ := o.frames(after)
			for _, b := range []byte("data: " + events[0] + "\n\n") {
				w.Write([]byte{b})
				http.NewResponseController(w).Flush()
				select {
				case <-r.Context().Done():
					return
				case <-time.After(10 * time.Millisecond):
				}
			}
		}
	}
}

func TestThreat72TruncatedAndSlowTail(t *testing.T) {
	for name, tail := range map[string]func(o *origin) http.HandlerFunc{
		"truncated": func(o *origin) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				after, _ := o.position(r)
				events, _ := o.frames(after)
				io.WriteString(w, "data: "+events[0][:len(events[0])/2])
				panic(http.ErrAbortHandler)
			}
		},
		"slowloris": trickle,
		"refused":   func(*origin) http.HandlerFunc { return broken },
		"silent":    holdStreams,
		"hanging":   func(*origin) http.HandlerFunc { return hang },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, o *origin) {
				v := o.ready(t, nil)
				o.door("/revocation/tail", tail(o))
				o.shut() // and so every connection
				o.open()
				pass(3 * time.Second)
				token := o.token(t, nil)
				o.revoke(revocation.Subject, "user-1")
				revoked := time.Now()
				for time.Since(revoked) < 10*time.Second {
					pass(50 * time.Millisecond)
					d, st := time.Since(revoked), v.Status()
					held := st.Head == o.head()
					if !held && d > 1100*time.Millisecond && st.State == verifier.Fresh {
						t.Fatalf("fresh %v after a revocation that has not arrived", d)
					}
					if held {
						if err := verify(t, v, token); !refusedAs(err, revocation.Subject) {
							t.Errorf("held and not refused: %v", err)
						}
						return
					}
				}
				// Nothing can bring it: then the state says so.
				if name == "silent" || name == "slowloris" {
					t.Fatal("polls are answered and were not used")
				}
				if st := v.Status(); st.State != verifier.Stale {
					t.Errorf("10 s after: %v of age %v, want stale", st.State, st.Age)
				}
			})
		})
	}
}

// The issuer has no place left for those who listen, but for its verifiers.
func TestThreat134PlaceInACrowd(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		o.door("/revocation/tail", func(w http.ResponseWriter, r *http.Request) {
			if name, secret, ok := r.BasicAuth(); !ok || name+":"+secret != credential {
				broken(w, r)
				return
			}
			o.answer(w, r)
		})
		v := o.ready(t, nil)
		token := o.token(t, nil)
		pass(time.Second)
		o.revoke(revocation.Subject, "user-1")
		pass(100 * time.Millisecond)
		if err := verify(t, v, token); !refusedAs(err, revocation.Subject) {
			t.Errorf("revoked 100 ms ago: %v", err)
		}
	})
}

func TestThreat72HedgeToAMirror(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		// A mirror: another listener in front of the same origin.
		v := o.ready(t, func(c *verifier.Config) { c.FeedURLs = []string{"https://mirror.example/revocation"} })
		viaMirror := func(broken http.HandlerFunc) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				if r.Host == "mirror.example" {
					if r.Header.Get("Authorization") != "" {
						t.Error("the credential went to the mirror")
					}
					o.answer(w, r)
					return
				}
				broken(w, r)
			}
		}
		for _, broken := range []http.HandlerFunc{broken, hang} {
			for _, path := range []string{"/revocation/tail", "/revocation/manifest"} {
				o.door(path, viaMirror(broken))
			}
			o.shut() // and so every connection
			o.open()
			token := o.token(t, nil)
			o.revoke(revocation.Subject, "user-1")
			pass(3 * time.Second)
			if err := verify(t, v, token); !refusedAs(err, revocation.Subject) {
				t.Errorf("revoked, and only the mirror tells: %v", err)
			}
			if st := v.Status(); st.State > verifier.Late {
				t.Errorf("with a mirror: %v of age %v, %v", st.State, st.Age, st.LastError)
			}
		}
	})
}

func TestCloseSignsOff(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		v := o.ready(t, func(c *verifier.Config) { c.Instance = "orders-1" })
		seq := o.revoke(revocation.Subject, "user-1")
		pass(100 * time.Millisecond)
		ack := o.lastAck()
		if ack["instance"] != "orders-1" || ack["seq"] != float64(seq) || ack["epoch"] != 1.0 || ack["keys"] == "" || ack["kfid"] == "" || ack["done"] != nil {
			t.Errorf("acknowledgement %v", ack)
		}
		n := len(o.allAcks())
		pass(time.Minute)
		if more := len(o.allAcks()) - n; more < 25 || more > 31 {
			t.Errorf("%d acknowledgements in a quiet minute, want about 30", more)
		}
		v.Close()
		if ack := o.lastAck(); ack["done"] != true {
			t.Errorf("Close did not sign off: %v", ack)
		}
	})
}

func TestOpenReturnsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		o.door("", hang)
		start := time.Now()
		cfg := o.config()
		v, err := verifier.Open(context.Background(), cfg)
		if err != nil || time.Since(start) != 0 {
			t.Fatalf("%v after %v", err, time.Since(start))
		}
		if err := verify(t, v, o.token(t, nil)); !errors.Is(err, verifier.ErrNotReady) {
			t.Errorf("before anything is known: %v, want ErrNotReady", err)
		}
		v.Close()
		cfg.HTTPClient.CloseIdleConnections()
	})
}

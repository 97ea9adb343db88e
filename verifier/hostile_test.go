package verifier_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/revocation"
	"github.com/counterfoil/counterfoil/verifier"
)

// stream serves a tail whose first connection sends the events that a test made
// up, and whose later ones tell the truth.
func stream(o *origin, events func(after uint64) []string) http.HandlerFunc {
	lied := false
	return func(w http.ResponseWriter, r *http.Request) {
		if lied || r.URL.Query().Has("wait") {
			o.tail(w, r)
			return
		}
		after, _ := o.position(r)
		for _, e := range events(after) {
			lied = true
			fmt.Fprintf(w, "data: %s\n\n", e)
		}
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}

// revokeSessions makes n entries, by revoking sessions.
func revokeSessions(o *origin, n int) {
	for i := range n {
		o.revoke(revocation.Session, fmt.Sprintf("gone-%d", i))
	}
}

func allRefused(t *testing.T, o *origin, v *verifier.Verifier, n int) {
	t.Helper()
	for i := range n {
		sid := fmt.Sprintf("gone-%d", i)
		if err := verify(t, v, o.token(t, claims{"sid": sid, "jti": "fresh-" + sid})); !refusedAs(err, revocation.Session) {
			t.Errorf("%s: %v", sid, err)
		}
	}
}

func TestThreat68GapReorderDuplicate(t *testing.T) {
	for name, events := range map[string]func(frames []string) []string{
		"gap":       func(f []string) []string { return append(f[:2:2], f[4:]...) },
		"first gap": func(f []string) []string { return f[3:] },
		"reordered": func(f []string) []string { return append([]string{f[1], f[0]}, f[2:]...) },
		"backward":  func(f []string) []string { return []string{f[5], f[4], f[3], f[2], f[1], f[0]} },
		"duplicate": func(f []string) []string { return append(append(f[:3:3], f...), f...) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, o *origin) {
				const n = 6
				o.door("/revocation/tail", stream(o, func(after uint64) []string {
					if o.head() == o.base {
						return nil
					}
					o.set(func() { o.cut = 1 })
					frames, _ := o.frames(after)
					o.set(func() { o.cut = revocation.MaxFrameEntries })
					return events(frames)
				}))
				v := o.ready(t, nil)
				revokeSessions(o, n)
				o.shut()
				o.open()
				pass(5 * time.Second)
				allRefused(t, o, v, n)
				if st := v.Status(); st.State > verifier.Late || st.Head != o.head() {
					t.Errorf("%v at %d of %d", st.State, st.Head, o.head())
				}
				if st := v.Status(); name != "duplicate" && st.Gaps == 0 {
					t.Error("the gap does not show")
				} else if name == "duplicate" && st.Resyncs != 1 {
					t.Errorf("%d resyncs for duplicates, want only the first load", st.Resyncs)
				}
			})
		})
	}
}

func TestThreat68SnapshotAfterAGap(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		v := o.ready(t, nil)
		o.shut()
		revokeSessions(o, 20)
		o.takeSnapshot(t)
		for i := 20; i < 25; i++ {
			o.revoke(revocation.Session, fmt.Sprintf("gone-%d", i))
		}
		// The issuer no longer has the log from where this verifier stands.
		held := v.Status().Head
		o.door("/revocation/tail", func(w http.ResponseWriter, r *http.Request) {
			if after, _ := o.position(r); after == held {
				w.WriteHeader(http.StatusGone)
				return
			}
			o.tail(w, r)
		})
		o.open()
		pass(5 * time.Second)
		allRefused(t, o, v, 25)
		if n := o.count("/revocation/snapshot"); n == 0 {
			t.Error("no snapshot was read")
		}
	})
}

func TestThreat69Rollback(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		v := o.ready(t, nil)
		revokeSessions(o, 3)
		o.takeSnapshot(t)
		pass(2 * time.Second)
		old := o.signManifest()
		revokeSessions(o, 6)
		pass(2 * time.Second)
		head := v.Status().Head

		o.door("/revocation/manifest", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, old) })
		o.door("/revocation/tail", broken)
		pass(10 * time.Second)
		st := v.Status()
		if st.Head != head || st.Rollbacks == 0 {
			t.Errorf("head %d of %d, %d rollbacks noticed", st.Head, head, st.Rollbacks)
		}
		if st.State != verifier.Stale {
			t.Errorf("an old manifest made the table %v", st.State)
		}
		allRefused(t, o, v, 6)

		// The whole session anew, with the old snapshot for a start.
		o.shut()
		o.open()
		pass(10 * time.Second)
		if st := v.Status(); st.Head != head {
			t.Errorf("head %d of %d after a new start with an old snapshot", st.Head, head)
		}
		allRefused(t, o, v, 6)
	})
}

// Signed just now, by the true key, and lower: whoever serves it has lost entries.
func TestThreat69LowerHeadOfToday(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		v := o.ready(t, nil)
		revokeSessions(o, 4)
		pass(2 * time.Second)
		o.set(func() { o.entries = o.entries[:2] })
		pass(6 * time.Second)
		if st := v.Status(); st.State != verifier.Stale || st.Rollbacks == 0 {
			t.Errorf("%v of age %v, %d rollbacks noticed", st.State, st.Age, st.Rollbacks)
		}
		allRefused(t, o, v, 4)
		// The issuer is shown what it has lost, and not again and again.
		shown := 0
		for _, ack := range o.allAcks() {
			if frames, ok := ack["frames"].([]any); ok {
				shown++
				last, err := revocation.OpenFrame(must(jwk.NewSet(must(o.feedKey.Public()))), o.iss, frames[len(frames)-1].(string))
				if err != nil || last.Last() != o.base+4 {
					t.Errorf("shown a frame up to %d, %v", last.Last(), err)
				}
			}
		}
		if shown != 1 {
			t.Errorf("shown %d times in 6 s, want once in 10 s", shown)
		}
	})
}

func TestThreat70Fork(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		v := o.ready(t, nil)
		o.revoke(revocation.Session, "gone-0")
		pass(time.Second)
		// Somebody restored an old state: other entries under the same numbers.
		o.set(func() {
			o.entries = []revocation.Entry{o.entry(revocation.Session, "gone-1")}
		})
		pass(3 * time.Second)
		if st := v.Status(); st.Forks == 0 {
			t.Errorf("no alarm: %+v", st)
		}
		allRefused(t, o, v, 2) // the rules of both sides
		if st := v.Status(); st.State < verifier.Late {
			t.Errorf("%v although nobody knows what is true", st.State)
		}
		// Both sides grow; this verifier follows the issuer and forgets nothing.
		o.revoke(revocation.Session, "gone-2")
		o.revoke(revocation.Session, "gone-3")
		pass(5 * time.Second)
		allRefused(t, o, v, 4)
		if st := v.Status(); st.State > verifier.Late {
			t.Errorf("%v once the issuer is ahead: %v", st.State, st.LastError)
		}
	})
}

func TestThreat70ForkBehindOurHead(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		v := o.ready(t, nil)
		revokeSessions(o, 3) // 0, 1, 2
		pass(time.Second)
		o.set(func() { o.entries = []revocation.Entry{o.entry(revocation.Session, "gone-3")} })
		pass(3 * time.Second)
		for i := 4; i < 8; i++ {
			o.revoke(revocation.Session, fmt.Sprintf("gone-%d", i))
		}
		pass(5 * time.Second)
		if st := v.Status(); st.Forks == 0 || st.Rollbacks == 0 {
			t.Errorf("no alarm: %d forks, %d rollbacks", st.Forks, st.Rollbacks)
		}
		allRefused(t, o, v, 8)
	})
}

func TestThreat70NewEpoch(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		v := o.ready(t, nil)
		revokeSessions(o, 2)
		old := o.token(t, claims{"sub": "user-9"})
		pass(time.Second)
		o.newEpoch()
		o.revoke(revocation.Session, "gone-2")
		pass(3 * time.Second)
		allRefused(t, o, v, 3)
		if st := v.Status(); st.Epoch != 2 || st.State > verifier.Late || st.Forks != 0 {
			t.Errorf("epoch %d, %v, %d forks", st.Epoch, st.State, st.Forks)
		}
		// A later revocation bites on tokens of the epoch before.
		o.revoke(revocation.Subject, "user-9")
		pass(time.Second)
		if err := verify(t, v, old); err == nil {
			t.Error("a revoked token of the epoch before is accepted")
		}
	})
}

func TestThreat71WrongFeedKey(t *testing.T) {
	stranger := func(o *origin) *jwk.Key { k, _ := jwk.Generate(jwk.Params{Algorithm: jwk.EdDSA}); return k }
	sameName := func(o *origin) *jwk.Key {
		k, _ := jwk.Generate(jwk.Params{Algorithm: jwk.EdDSA, KeyID: o.feedKey.KeyID()})
		return k
	}
	tokenKey := func(o *origin) *jwk.Key { // signs access tokens, and lies in the JWKS
		k := stranger(o)
		o.signing = append(o.signing, k)
		return k
	}
	for name, key := range map[string]func(o *origin) *jwk.Key{"unknown": stranger, "bad signature": sameName, "token key": tokenKey} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, o *origin) {
				v := o.ready(t, nil)
				token, head := o.token(t, nil), v.Status().Head
				// All other things are as they should be: the trust statement
				// names the true feed key.
				o.set(func() { o.feedKey = key(o) })
				o.append(o.entry(revocation.Everything, ""))
				pass(10 * time.Second)
				st := v.Status()
				if st.Head != head || st.Refused == 0 {
					t.Errorf("head %d of %d, %d refused", st.Head, head, st.Refused)
				}
				if st.State != verifier.Stale {
					t.Errorf("fed by a wrong key and %v", st.State)
				}
				if err := verify(t, v, token); err != nil {
					t.Errorf("an entry by a wrong key is in force: %v", err)
				}
			})
		})
	}
}

// As before, at the very first contact: such a verifier never becomes ready.
func TestThreat71WrongFeedKeyFirst(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		o.feedKey = generate(t, jwk.EdDSA)
		v := o.verifier(t, nil)
		pass(time.Minute)
		if err := v.Ready(); !errors.Is(err, verifier.ErrNotReady) || !errors.Is(err, revocation.ErrFeedKey) {
			t.Errorf("Ready: %v", err)
		}
	})
}

func TestThreat133OtherHandleKey(t *testing.T) {
	other := bytes.Repeat([]byte{9}, 32)
	for name, lie := range map[string]func(o *origin){
		// The relay replaces K_feed on its way to the verifier.
		"at first contact": func(o *origin) {
			o.door("/revocation/key", func(w http.ResponseWriter, _ *http.Request) {
				o.mu.Lock()
				defer o.mu.Unlock()
				true1 := o.secrets
				o.secrets = [][]byte{other}
				w.Write(o.keyAnswer())
				o.secrets = true1
			})
		},
		"id of the true one": func(o *origin) {
			o.door("/revocation/key", func(w http.ResponseWriter, _ *http.Request) {
				o.mu.Lock()
				defer o.mu.Unlock()
				w.Write(bytes.ReplaceAll(o.keyAnswer(), []byte(wire.Encode(o.secrets[0])), []byte(wire.Encode(other))))
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, o *origin) {
				lie(o)
				v := o.verifier(t, nil)
				pass(10 * time.Second)
				if err := v.Ready(); !errors.Is(err, verifier.ErrNotReady) {
					t.Errorf("ready with a handle key that the root has not vouched for: %v", err)
				}
				o.door("/revocation/key", nil)
				pass(5 * time.Second)
				if err := v.Ready(); err != nil {
					t.Errorf("with the true one: %v", err)
				}
			})
		})
	}
	// The feed key writes entries under a key of its own: they match nothing, so
	// they are refused rather than applied and useless.
	bubble(t, func(t *testing.T, o *origin) {
		v := o.ready(t, nil)
		trust := o.trust()
		o.set(func() {
			o.secrets = [][]byte{other}
			o.manifest = func(m *revocation.Manifest) { m.Trust = trust }
		})
		head := v.Status().Head
		o.revoke(revocation.Subject, "user-1")
		pass(10 * time.Second)
		if st := v.Status(); st.Head != head || st.State != verifier.Stale || st.Refused == 0 {
			t.Errorf("head %d of %d, %v, %d refused", st.Head, head, st.State, st.Refused)
		}
	})
}

// A rotation of K_feed that the root vouches for: both keys are looked up, since
// entries under the old one are still in force.
func TestThreat133HandleKeyRotation(t *testing.T) {
	dir := t.TempDir()
	bubble(t, func(t *testing.T, o *origin) {
		inDir := func(c *verifier.Config) { c.StateDir = dir }
		v := o.ready(t, inDir)
		o.revoke(revocation.Session, "gone-0")
		pass(time.Second)
		// The issuer takes the old key away altogether.
		o.set(func() { o.secrets, o.version = [][]byte{bytes.Repeat([]byte{9}, 32)}, 2 })
		pass(3 * time.Second)
		o.revoke(revocation.Session, "gone-1")
		pass(time.Second)
		allRefused(t, o, v, 2)
		if st := v.Status(); st.State > verifier.Late {
			t.Errorf("%v: %v", st.State, st.LastError)
		}
		v.Close()
		allRefused(t, o, o.ready(t, inDir), 2) // also after a restart
	})
}

func TestThreat133ShorterMaxLife(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		v := o.ready(t, nil)
		o.revoke(revocation.Session, "gone-0")
		pass(time.Second)
		// By the feed key alone, which has no say in this.
		o.set(func() { o.manifest = func(m *revocation.Manifest) { m.MaxLife = time.Second } })
		pass(time.Minute)
		o.shut()
		pass(10 * time.Minute)
		if st := v.Status(); st.State != verifier.Stale {
			t.Errorf("a manifest made the verifier %v after 10 minutes", st.State)
		}
		// By the root: the old value stays in force for the old retention.
		o.set(func() { o.maxLife, o.version = time.Second, 2 })
		o.open()
		pass(5 * time.Second)
		for range 25 { // beyond the new retention of 20 minutes
			pass(time.Minute)
			o.revoke(revocation.Session, "another")
		}
		if err := verify(t, v, o.token(t, claims{"sid": "gone-0"})); !refusedAs(err, revocation.Session) {
			t.Errorf("forgotten before the old retention was over: %v", err)
		}
	})
}

func TestThreat133EmptyShards(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		v := o.ready(t, nil)
		revokeSessions(o, 5)
		pass(time.Second)
		// The feed key signs a snapshot of nothing, and the log is cut off.
		held := v.Status().Head
		o.shut()
		o.revoke(revocation.Session, "gone-5")
		o.set(func() {
			o.snapshot = &revocation.SnapshotRef{Epoch: o.epoch, Seq: o.head(), C: o.link(o.head())}
		})
		o.door("/revocation/tail", func(w http.ResponseWriter, r *http.Request) {
			if after, _ := o.position(r); after == held {
				w.WriteHeader(http.StatusGone)
				return
			}
			o.tail(w, r)
		})
		o.open()
		pass(10 * time.Second)
		if v.Status().Resyncs < 2 {
			t.Fatal("the empty snapshot was not loaded, so nothing was tried")
		}
		allRefused(t, o, v, 5)
	})
}

func TestThreat133WrongShard(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		revokeSessions(o, 5)
		o.takeSnapshot(t)
		o.set(func() {
			for name, shard := range o.shards {
				o.shards[name] = append(bytes.Clone(shard[:len(shard)-1]), shard[len(shard)-1]^1)
			}
		})
		v := o.verifier(t, nil)
		pass(time.Minute)
		if err := v.Ready(); !errors.Is(err, verifier.ErrNotReady) {
			t.Errorf("a shard that does not have its name was loaded: %v", err)
		}
	})
}

func TestThreat133NewFeedKeys(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		v := o.ready(t, nil)
		o.revoke(revocation.Session, "gone-0")
		pass(time.Second)
		thief, honest := generate(t, jwk.EdDSA), o.feedKeys
		// Without the root: the thief signs a trust statement himself.
		root := o.root
		o.set(func() {
			o.root, o.version = generate(t, jwk.EdDSA), 2
			o.feedKey, o.feedKeys = thief, []*jwk.Key{thief}
		})
		pass(10 * time.Second)
		if st := v.Status(); st.State != verifier.Stale || st.Refused == 0 {
			t.Errorf("%v, %d refused with feed keys by another root", st.State, st.Refused)
		}
		// By the root: taken, and nothing is forgotten.
		o.set(func() { o.root = root })
		o.revoke(revocation.Session, "gone-1")
		pass(5 * time.Second)
		allRefused(t, o, v, 2)
		if st := v.Status(); st.State > verifier.Late {
			t.Errorf("%v with new feed keys by the root: %v", st.State, st.LastError)
		}
		// Back to the older statement, by whoever still has the old feed key.
		o.set(func() { o.version, o.feedKey, o.feedKeys = 1, honest[0], honest })
		pass(10 * time.Second)
		if st := v.Status(); st.State != verifier.Stale {
			t.Errorf("%v with an older trust statement", st.State)
		}
	})
}

func TestThreat133PinnedRoot(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		signing(o)
		v := o.verifier(t, func(c *verifier.Config) { c.Root = generate(t, jwk.EdDSA).Thumbprint() })
		pass(10 * time.Second)
		if err := v.Ready(); !errors.Is(err, verifier.ErrNotReady) {
			t.Errorf("ready under another root: %v", err)
		}
		v = o.ready(t, func(c *verifier.Config) { c.Root = o.root.Thumbprint() })
		if got := v.Status().Root; got != o.root.Thumbprint() {
			t.Errorf("pinned %q", got)
		}
	})
	// The root seen first stays the root, across restarts.
	dir := t.TempDir()
	bubble(t, func(t *testing.T, o *origin) {
		inDir := func(c *verifier.Config) { c.StateDir = dir }
		v := o.ready(t, inDir)
		o.revoke(revocation.Session, "gone-0")
		pass(time.Second)
		v.Close()
		o.set(func() { o.root, o.version = generate(t, jwk.EdDSA), 9 })
		v = o.ready(t, inDir) // from disk
		pass(time.Minute)
		if st := v.Status(); st.State != verifier.Stale || st.Refused == 0 {
			t.Errorf("%v, %d refused under another root than before", st.State, st.Refused)
		}
		allRefused(t, o, v, 1)
	})
}

// Two nodes cut the log into frames differently, and a verifier goes from one to
// the other at every entry.
func TestThreat135FramesCutDifferently(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		random := rand.New(rand.NewPCG(1, 2))
		o.door("/revocation/tail", func(w http.ResponseWriter, r *http.Request) {
			after, ok := o.position(r)
			if !ok {
				w.WriteHeader(http.StatusGone)
				return
			}
			// This node begins its frames where it likes, at or before the position.
			o.mu.Lock()
			begin := after - min(after-o.base, uint64(random.IntN(4)))
			var events []string
			for begin < o.head() && len(events) < 3 {
				n := min(uint64(1+random.IntN(5)), o.head()-begin)
				events = append(events, o.frame(begin+1, n))
				begin += n
			}
			o.mu.Unlock()
			for _, e := range events {
				fmt.Fprintf(w, "data: %s\n\n", e)
			}
		})
		v := o.ready(t, nil)
		for i := range 200 {
			o.revoke(revocation.Session, fmt.Sprintf("gone-%d", i))
			if i%7 == 0 {
				pass(300 * time.Millisecond)
			}
		}
		pass(time.Minute)
		allRefused(t, o, v, 200)
		if st := v.Status(); st.Head != o.head() || st.Resyncs != 1 || st.Forks != 0 || st.Gaps != 0 {
			t.Errorf("head %d of %d, %d resyncs, %d forks, %d gaps", st.Head, o.head(), st.Resyncs, st.Forks, st.Gaps)
		}
	})
}

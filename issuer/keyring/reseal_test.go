package keyring_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer/audit"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/issuer/store/sqlite"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// keks are key-encryption keys of each kind.
func keks(t testing.TB) map[string]*jwk.Key {
	t.Helper()
	all := map[string]*jwk.Key{}
	for _, alg := range []jwk.Algorithm{jwk.A256GCMKW, jwk.A256KW, jwk.ECDHESA256KW, jwk.RSAOAEP256} {
		key, err := jwk.Generate(jwk.Params{Algorithm: alg})
		if err != nil {
			t.Fatal(err)
		}
		all[string(alg)] = key
	}
	return all
}

func TestKindsOfKEK(t *testing.T) {
	for name, kek := range keks(t) {
		st := newStore(t)
		first := open(t, st, keyring.Config{KEK: kek})
		if _, err := first.Rotate(t.Context(), keyring.RotateOptions{Force: true}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		again := open(t, st, keyring.Config{KEK: kek})
		if signs(t, again) != signs(t, first) || string(again.HandleSecret()) != string(first.HandleSecret()) {
			t.Errorf("%s: a second start finds other keys", name)
		}
	}
}

// The same key is the same key-encryption key whatever it is called: as bare bytes it
// has another name than as a JWK with a "kid", and opens what that sealed.
func TestKEKByAnotherName(t *testing.T) {
	secret := []byte("sixteen bytes twice over, sixtee")
	named := func(kid string) *jwk.Key {
		key, err := jwk.New(secret, jwk.Params{Algorithm: jwk.A256GCMKW, KeyID: kid})
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	st := newStore(t)
	first := open(t, st, keyring.Config{KEK: named("of the vault")})
	for _, kid := range []string{"", "of the vault", "by hand"} {
		again := open(t, st, keyring.Config{KEK: named(kid)})
		if signs(t, again) != signs(t, first) {
			t.Errorf("%q: a second start finds other keys", kid)
		}
		if _, err := again.Rotate(t.Context(), keyring.RotateOptions{Force: true}); err != nil {
			t.Errorf("%q: %v", kid, err)
		}
		first = again
	}
	if _, err := keyring.Reseal(t.Context(), st, named(""), named("new"), "test"); !errors.Is(err, keyring.ErrResealed) {
		t.Errorf("%v", err)
	}
	other := keks(t)["A256GCMKW"]
	if _, err := keyring.Reseal(t.Context(), st, named("by hand"), other, "test"); err != nil {
		t.Error(err)
	}
	open(t, st, keyring.Config{KEK: other})
}

func TestNoKEK(t *testing.T) {
	generate := func(alg jwk.Algorithm) *jwk.Key {
		key, err := jwk.Generate(jwk.Params{Algorithm: alg})
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	public, err := generate(jwk.ECDHESA256KW).Public()
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]*jwk.Key{
		"signing key": generate(jwk.ES256), "public half": public, "agreed key": generate(jwk.ECDHES), "none": nil,
	} {
		if _, err := keyring.Open(t.Context(), newStore(t), keyring.Config{Issuer: issuerURL, KEK: key}); err == nil {
			t.Errorf("%s: taken for a key-encryption key", name)
		}
	}
}

// sealedUnder tells which of two key-encryption keys opens the store; it fails
// unless that is just one of them.
func sealedUnder(t testing.TB, st *store.Store, a, b *jwk.Key, algs ...jwk.Algorithm) *jwk.Key {
	t.Helper()
	var opens []*jwk.Key
	for _, kek := range []*jwk.Key{a, b} {
		_, err := keyring.Open(context.Background(), st, keyring.Config{Issuer: issuerURL, KEK: kek, Algorithms: algs, Log: slog.New(slog.DiscardHandler)})
		switch {
		case err == nil:
			opens = append(opens, kek)
		case !errors.Is(err, keyring.ErrKEK):
			t.Fatal(err)
		}
	}
	if len(opens) != 1 {
		t.Fatalf("%d of two key-encryption keys open the store", len(opens))
	}
	return opens[0]
}

func TestReseal(t *testing.T) {
	onEach(t, func(t *testing.T, open database) {
		st := open(t)
		kinds := keks(t)
		kek := kinds["A256GCMKW"]
		delete(kinds, "A256GCMKW")
		algs := []jwk.Algorithm{jwk.ES256, jwk.EdDSA}
		before, err := keyring.Open(t.Context(), st, keyring.Config{Issuer: issuerURL, KEK: kek, Algorithms: algs})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := before.Rotate(t.Context(), keyring.RotateOptions{Force: true}); err != nil {
			t.Fatal(err)
		}
		if _, err := before.Kill(t.Context(), kids(before, jwk.EdDSA, keyring.Standby)[0], "test"); err != nil {
			t.Fatal(err)
		}
		for name, next := range kinds {
			done, err := keyring.Reseal(t.Context(), st, kek, next, "test")
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if done.Keys != 7 || done.Secrets != 4 {
				t.Errorf("%s: %+v", name, done)
			}
			if sealedUnder(t, st, kek, next, algs...) != next {
				t.Errorf("%s: the old key opens the store", name)
			}
			if _, err := keyring.Reseal(t.Context(), st, kek, next, "test"); !errors.Is(err, keyring.ErrResealed) {
				t.Errorf("%s: a second time: %v", name, err)
			}
			var wrong *keyring.KEKError
			_, err = keyring.Reseal(t.Context(), st, kek, newKEK(t), "test")
			if !errors.As(err, &wrong) || wrong.Want != keyring.KEKID(next) || wrong.Have[0] != keyring.KEKID(kek) {
				t.Errorf("%s: from the wrong key: %v", name, err)
			}
			kek = next
		}
		after, err := keyring.Open(t.Context(), st, keyring.Config{Issuer: issuerURL, KEK: kek, Algorithms: algs})
		if err != nil {
			t.Fatal(err)
		}
		if signs(t, after) != signs(t, before) || string(after.HandleSecret()) != string(before.HandleSecret()) ||
			after.Root().KeyID() != before.Root().KeyID() || after.FeedKey().KeyID() != before.FeedKey().KeyID() {
			t.Error("other keys than before")
		}
		audited(t, st, audit.KeyReseal, len(kinds))
	})
}

// audited counts the rows of an action.
func audited(t testing.TB, st *store.Store, action audit.Action, want int) (found []store.AuditRow) {
	t.Helper()
	err := st.View(t.Context(), func(tx *store.Tx) error {
		rows, err := tx.Audit(0, 0)
		for _, row := range rows {
			if row.Action == string(action) {
				found = append(found, row)
			}
		}
		return err
	})
	if err != nil || len(found) != want {
		t.Fatalf("%d rows of %s, want %d (%v)", len(found), action, want, err)
	}
	return found
}

// What one process changes while another reseals is sealed under the key that wins,
// or not made at all.
func TestResealWhileOthersRotate(t *testing.T) {
	onEach(t, func(t *testing.T, open database) {
		a, b := newKEK(t), newKEK(t)
		var nodes []*keyring.Keyring
		for _, cfg := range []keyring.Config{{KEK: a, NextKEK: b}, {KEK: a, NextKEK: b}} {
			cfg.Issuer = issuerURL
			ring, err := keyring.Open(t.Context(), open(t), cfg)
			if err != nil {
				t.Fatal(err)
			}
			nodes = append(nodes, ring)
		}
		var both sync.WaitGroup
		for _, n := range nodes {
			both.Go(func() {
				for range 15 {
					_, err := n.Rotate(context.Background(), keyring.RotateOptions{Force: true})
					if err != nil && !errors.Is(err, keyring.ErrConflict) {
						t.Error(err)
					}
				}
			})
		}
		st := open(t)
		for i, from := 0, a; i < 6; i++ {
			to := b
			if from == b {
				to = a
			}
			_, err := keyring.Reseal(t.Context(), st, from, to, "test")
			if errors.Is(err, keyring.ErrConflict) {
				continue // others were faster each time; nothing has changed
			}
			if err != nil {
				t.Fatal(err)
			}
			from = to
		}
		both.Wait()
		now := sealedUnder(t, st, a, b)
		ring, err := keyring.Open(t.Context(), st, keyring.Config{Issuer: issuerURL, KEK: now})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 { // each standby opens
			if _, err := ring.Rotate(t.Context(), keyring.RotateOptions{Force: true}); err != nil {
				t.Error(err)
			}
		}
		for _, n := range nodes {
			if err := n.Reload(t.Context()); err != nil {
				t.Error(err)
			}
			if signs(t, n) != signs(t, ring) {
				t.Error("a node that knows both keys does not follow")
			}
		}
	})
}

// A node that was not told goes on with the keys in its memory, says what to do, and
// does not write what the others could not open. It can still kill.
func TestNodeThatCannotOpen(t *testing.T) {
	st, a, b := newStore(t), newKEK(t), newKEK(t)
	var log bytes.Buffer
	left := open(t, st, keyring.Config{KEK: a, Log: slog.New(slog.NewTextHandler(&log, nil))})
	first := signs(t, left)
	if _, err := keyring.Reseal(t.Context(), st, a, b, "test"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := left.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if signs(t, left) != first {
		t.Error("the key in memory does not sign any more")
	}
	if n := strings.Count(log.String(), "start it again with the new key-encryption key"); n != 1 || !strings.Contains(log.String(), keyring.KEKID(b)) {
		t.Errorf("said %d times what to do:\n%s", n, log.String())
	}
	var wrong *keyring.KEKError
	for _, force := range []bool{false, true} {
		_, err := left.Rotate(t.Context(), keyring.RotateOptions{Force: force})
		if force && (!errors.As(err, &wrong) || signs(t, left) != first) {
			t.Errorf("rotated without being able to seal: %v", err)
		}
	}
	if _, err := left.Kill(t.Context(), first, "test"); err != nil {
		t.Fatal(err)
	}
	if _, err := left.Signer(""); !errors.Is(err, keyring.ErrNoActive) || !errors.Is(err, keyring.ErrKEK) {
		t.Errorf("signer: %v", err)
	}
	if _, err := left.Public().Find(first, "ES256"); err == nil {
		t.Error("the killed key is still published")
	}
	right := open(t, st, keyring.Config{KEK: b})
	if err := right.Scheduled(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if got := counts(right, jwk.ES256); got != "standby=2 active=1 retiring=0 retired=0 killed=1" {
		t.Error(got)
	}
}

// A store of before the id of its key was kept is not claimed by another key.
func TestStoreWithoutAnID(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	openFile := func() *store.Store {
		st, err := sqlite.Open(t.Context(), path, sqlite.Config{Issuer: issuerURL})
		return opened(t)(st, err)
	}
	st, kek := openFile(), newKEK(t)
	ring := open(t, st, keyring.Config{KEK: kek})
	forget := func() {
		db := raw(t, path)
		if _, err := db.Exec("DELETE FROM meta WHERE name = 'keyring.kek'"); err != nil {
			t.Fatal(err)
		}
	}
	forget()
	if _, err := keyring.Open(t.Context(), st, keyring.Config{Issuer: issuerURL, KEK: newKEK(t)}); !errors.Is(err, keyring.ErrKEK) {
		t.Fatalf("claimed by another key: %v", err)
	}
	if again := open(t, st, keyring.Config{KEK: kek}); signs(t, again) != signs(t, ring) {
		t.Error("other keys")
	}
	forget()
	next := newKEK(t)
	if _, err := keyring.Reseal(t.Context(), st, kek, next, "test"); err != nil {
		t.Fatal(err)
	}
	if sealedUnder(t, st, kek, next) != next {
		t.Error("not resealed")
	}
}

// resealForEver is the child process of TestResealKilled: it changes the
// key-encryption key back and forth until it is killed.
func resealForEver(dir string) error {
	ctx := context.Background()
	var keys [2]*jwk.Key
	for i := range keys {
		data, err := os.ReadFile(filepath.Join(dir, fmt.Sprint("kek", i)))
		if err != nil {
			return err
		}
		if keys[i], err = jwk.Parse(data); err != nil {
			return err
		}
	}
	st, err := sqlite.Open(ctx, filepath.Join(dir, "db"), sqlite.Config{Issuer: issuerURL})
	if err != nil {
		return err
	}
	for {
		for i := range keys {
			_, err := keyring.Reseal(ctx, st, keys[i], keys[1-i], "child")
			if err != nil && !errors.Is(err, keyring.ErrResealed) {
				return err
			}
			fmt.Println(i)
		}
	}
}

const childVariable = "COUNTERFOIL_TEST_RESEAL"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		fmt.Fprintln(os.Stderr, resealForEver(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// A process that is killed at any moment leaves a store that one key opens wholly,
// and another run finishes.
func TestResealKilled(t *testing.T) {
	dir := t.TempDir()
	st, err := sqlite.Open(t.Context(), filepath.Join(dir, "db"), sqlite.Config{Issuer: issuerURL})
	opened(t)(st, err)
	var keys [2]*jwk.Key
	for i := range keys {
		keys[i] = newKEK(t)
		data, err := keys[i].MarshalPrivate()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("kek", i)), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first := signs(t, open(t, st, keyring.Config{KEK: keys[0]}))
	changes := 0
	for try := range 25 {
		changes += killDuringReseal(t, dir, time.Duration(try)*700*time.Microsecond)
		now := sealedUnder(t, st, keys[0], keys[1])
		ring := open(t, st, keyring.Config{KEK: now})
		if signs(t, ring) != first {
			t.Fatal("another key signs")
		}
		if _, err := keyring.Reseal(t.Context(), st, now, keys[0], "test"); err != nil && !errors.Is(err, keyring.ErrResealed) {
			t.Fatal(err)
		}
	}
	t.Logf("killed 25 times, after %d changes", changes)
}

// killDuringReseal lets a child reseal and kills it some time after its first change.
func killDuringReseal(t *testing.T, dir string, after time.Duration) (changes int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if lines.Scan() {
		changes++
		time.Sleep(after) // the moment of the kill is what varies
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
		changes++
	}
	_ = cmd.Wait()
	if changes == 0 {
		t.Fatal("the child changed nothing")
	}
	return changes
}

// Whatever prints a ring, its configuration or its rows shows nothing that is secret.
func TestThreat99RingDoesNotShow(t *testing.T) {
	st, kek := newStore(t), newKEK(t)
	cfg := keyring.Config{Issuer: issuerURL, KEK: kek, NextKEK: newKEK(t), Algorithms: []jwk.Algorithm{jwk.ES256, jwk.EdDSA}}
	ring, err := keyring.Open(t.Context(), st, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Kill(t.Context(), signs(t, ring), "test"); err != nil {
		t.Fatal(err)
	}
	canary, err := ring.AddCanary(t.Context(), jwk.ES256, "test")
	if err != nil {
		t.Fatal(err)
	}
	leaks := privates(t, ring, kek, cfg.NextKEK, canary)
	var rows []store.KeyRow
	err = st.View(t.Context(), func(tx *store.Tx) (err error) {
		rows, err = tx.Keys()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	_, kekErr := keyring.Open(t.Context(), st, keyring.Config{Issuer: issuerURL, KEK: newKEK(t)})
	_, info, _ := ring.Verification(signs(t, ring))
	things := []any{ring, *ring.Public(), cfg, &cfg, rows, info, ring.Keys(), ring.Plans(), kekErr, ring.FeedKey(), signer(t, ring), ring.Canaries(),
		struct{ Ring *keyring.Keyring }{ring}, map[string]any{"ring": ring, "cfg": cfg}}
	var shown strings.Builder
	for _, thing := range things {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%T"} {
			fmt.Fprintf(&shown, verb+"\n", thing)
		}
		if b, err := json.Marshal(thing); err == nil {
			shown.Write(b)
		}
		for _, h := range []func(io.Writer) slog.Handler{
			func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) },
			func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) },
		} {
			slog.New(h(&shown)).Info("a thing", "thing", thing, "group", slog.GroupValue(slog.Any("thing", thing)))
		}
		shown.WriteString(panicked(thing))
	}
	for what, leak := range leaks {
		if strings.Contains(shown.String(), leak) {
			t.Errorf("%s shows", what)
		}
	}
}

package keyring_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/testkey"
	"github.com/counterfoil/counterfoil/issuer/audit"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/issuer/store/postgres"
	"github.com/counterfoil/counterfoil/issuer/store/postgres/postgrestest"
	"github.com/counterfoil/counterfoil/issuer/store/sqlite"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// onEachSQL runs a test on each kind of database, with a connection of somebody who may
// write to it beside the issuer.
func onEachSQL(t *testing.T, test func(t *testing.T, open database, intruder *sql.DB)) {
	t.Run("SQLite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "db")
		open := func(t testing.TB) *store.Store {
			return opened(t)(sqlite.Open(context.Background(), path, sqlite.Config{Issuer: issuerURL}))
		}
		open(t)
		test(t, open, connect(t, "sqlite", (&url.URL{Scheme: "file", Opaque: path, RawQuery: "_pragma=busy_timeout(5000)"}).String()))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		url := postgrestest.Start(t).Database(t)
		open := func(t testing.TB) *store.Store {
			return opened(t)(postgres.Open(context.Background(), url, postgres.Config{Issuer: issuerURL}))
		}
		open(t)
		test(t, open, connect(t, "pgx", url))
	})
}

func connect(t testing.TB, driver, source string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func execute(t testing.TB, db *sql.DB, statement string, args ...any) {
	t.Helper()
	if _, err := db.Exec(statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// plant inserts a row with a key of the intruder's, as good as he can make it: with the
// MAC of a row that is there.
func plant(t testing.TB, db *sql.DB, use string, alg jwk.Algorithm, state keyring.State) *jwk.Key {
	t.Helper()
	key, data := testkey.Published(t, jwk.Params{Algorithm: alg, KeyID: "planted-" + use[:2] + "-" + string(state)})
	now := time.Now().UnixMilli()
	var retired int64
	if state == keyring.Retiring {
		retired = now
	}
	execute(t, db, `INSERT INTO keys (kid, use, alg, state, sealed, public, published, activated, retired, version, mac)
		SELECT $1, $2, $3, $4, sealed, $5, $6, $7, $8, 1, mac FROM keys WHERE state = 'standby' AND use = 'at+jwt' ORDER BY kid LIMIT 1`,
		key.KeyID(), use, string(alg), string(state), data, now, retired, retired)
	return key
}

// absent fails the test if a ring does anything with a key.
func absent(t testing.TB, ring *keyring.Keyring, kid string) {
	t.Helper()
	for name, set := range map[string]*jwk.Set{"published": ring.Public(), "a canary": ring.Canaries()} {
		for _, key := range set.Keys() {
			if key.KeyID() == kid {
				t.Errorf("%s is %s", kid, name)
			}
		}
	}
	if _, _, ok := ring.Verification(kid); ok {
		t.Errorf("%s verifies evidence", kid)
	}
	for _, alg := range []jwk.Algorithm{jwk.ES256, jwk.EdDSA} {
		if s, err := ring.Signer(alg); err == nil && s.Key().KeyID() == kid {
			t.Errorf("%s signs", kid)
		}
	}
	if s, err := ring.DrillSigner(); err == nil && s.Key().KeyID() == kid {
		t.Errorf("%s signs in a drill", kid)
	}
	i := slices.IndexFunc(ring.Keys(), func(i keyring.Info) bool { return i.KeyID == kid })
	if i < 0 || ring.Keys()[i].State != keyring.Refused {
		t.Errorf("%s is not listed as refused", kid)
	}
}

// serves fails the test if a ring does not go on with its own keys.
func serves(t testing.TB, ring *keyring.Keyring) {
	t.Helper()
	if got := counts(ring, jwk.ES256); !strings.HasPrefix(got, "standby=2 active=1") {
		t.Error(got)
	}
	signer, err := ring.Signer("")
	if err != nil {
		t.Fatal(err)
	}
	token := mint(t, signer, time.Now(), time.Minute)
	if err := verify(ring.Public(), time.Now(), token); err != nil {
		t.Error(err)
	}
}

// Who can write to the database, and has none of the issuer's keys, adds no key.
func TestRowThatTheIssuerDidNotWrite(t *testing.T) {
	onEachSQL(t, func(t *testing.T, open database, intruder *sql.DB) {
		var log bytes.Buffer
		st, kek := open(t), newKEK(t)
		cfg := keyring.Config{Issuer: issuerURL, KEK: kek, Log: slog.New(slog.NewTextHandler(&log, nil))}
		ring, err := keyring.Open(t.Context(), st, cfg)
		if err != nil {
			t.Fatal(err)
		}
		version := ring.Version()
		planted := []*jwk.Key{
			plant(t, intruder, keyring.UseAccess, jwk.ES256, keyring.Standby),
			plant(t, intruder, keyring.UseAccess, jwk.ES256, keyring.Retiring),
			plant(t, intruder, keyring.UseAccess, jwk.EdDSA, keyring.Active),
			plant(t, intruder, keyring.UseDrill, jwk.ES256, keyring.Active),
			plant(t, intruder, keyring.UseCanary, jwk.ES256, keyring.Standby),
			plant(t, intruder, keyring.UseAccess, jwk.ES256, keyring.Retired),
		}
		execute(t, intruder, "UPDATE keys SET mac = NULL, version = 9223372036854775807 WHERE kid = $1", planted[0].KeyID())
		execute(t, intruder, "UPDATE keys SET version = -7, public = NULL, retired = 9223372036854775807 WHERE kid = $1", planted[1].KeyID())
		for range 3 {
			if err := errors.Join(ring.Reload(t.Context()), ring.Scheduled(t.Context(), nil)); err != nil {
				t.Fatal(err)
			}
			for _, key := range planted {
				absent(t, ring, key.KeyID())
			}
			serves(t, ring)
			if now := ring.Version(); now < version || now-version > 1<<24 {
				t.Errorf("the version of the keys went from %d to %d", version, now)
			}
			version = ring.Version()
		}
		if n := strings.Count(log.String(), "level=ERROR"); n != len(planted) {
			t.Errorf("%d lines in the log:\n%s", n, log.String())
		}
		audited(t, st, audit.KeyRefuse, len(planted))

		log.Reset()
		second, err := keyring.Open(t.Context(), open(t), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := second.Rotate(t.Context(), keyring.RotateOptions{Force: true}); err != nil {
			t.Error(err)
		}
		if _, err := second.Kill(t.Context(), planted[0].KeyID(), "test"); err != nil {
			t.Error("its kid cannot be given up: ", err)
		}
		for _, key := range planted {
			absent(t, second, key.KeyID())
		}
		serves(t, second)
		if log.Len() > 0 {
			t.Errorf("said again: %s", log.String())
		}
		audited(t, st, audit.KeyRefuse, len(planted))
	})
}

// A key of the issuer's is another one when its row says something else, and with the
// secret of nobody's row.
func TestRowThatSomebodyChanged(t *testing.T) {
	onEachSQL(t, func(t *testing.T, open database, intruder *sql.DB) {
		st, kek := open(t), newKEK(t)
		kids := map[keyring.State]string{}
		ring := openQuiet(t, st, keyring.Config{KEK: kek})
		done, err := ring.Rotate(t.Context(), keyring.RotateOptions{Force: true})
		if err != nil {
			t.Fatal(err)
		}
		kids[keyring.Retiring], kids[keyring.Active] = done.From, done.To
		if done, err = ring.Rotate(t.Context(), keyring.RotateOptions{Force: true}); err != nil {
			t.Fatal(err)
		}
		if _, err := ring.Kill(t.Context(), done.From, "test"); err != nil {
			t.Fatal(err)
		}
		kids[keyring.Killed], kids[keyring.Active] = done.From, done.To
		if kids[keyring.Standby] = done.Added; done.Added == "" {
			t.Fatal("no standby")
		}
		drill, err := ring.AddDrill(t.Context(), keyring.DrillOptions{Audience: "nobody"})
		if err != nil {
			t.Fatal(err)
		}
		kids["drill"] = drill[1]
		for _, change := range []struct {
			of  keyring.State
			set string
		}{
			{keyring.Killed, "state = 'retiring'"},
			{keyring.Killed, "state = 'standby'"},
			{keyring.Retiring, fmt.Sprintf("retired = %d", time.Now().Add(time.Hour).UnixMilli())},
			{keyring.Retiring, "retired = 0"},
			{keyring.Retiring, "state = 'standby'"},
			{keyring.Retiring, "state = 'killed'"},
			{keyring.Standby, "published = 1"},
			{keyring.Standby, "activated = 1"},
			{keyring.Standby, "alg = 'ES384'"},
			{keyring.Standby, "use = 'at+jwtES', alg = '256'"},
			{keyring.Standby, "use = 'canary'"},
			{keyring.Standby, "state = 'refused'"},
			{keyring.Standby, "kid = 'another'"},
			{keyring.Standby, "mac = NULL"},
			{keyring.Standby, "mac = (SELECT mac FROM keys o WHERE o.state = 'active' AND o.use = 'at+jwt')"},
			{keyring.Active, "public = (SELECT public FROM keys o WHERE o.state = 'retiring')"},
			{"drill", "use = 'at+jwt'"},
			{"drill", "public = (SELECT public FROM keys o WHERE o.state = 'active' AND o.use = 'at+jwt')"},
		} {
			kid := kids[change.of]
			backup(t, intruder)
			execute(t, intruder, "UPDATE keys SET version = version + 1, "+change.set+" WHERE kid = $1", kid)
			if strings.HasPrefix(change.set, "kid") {
				kid = "another"
			}
			again := openQuiet(t, st, keyring.Config{KEK: kek})
			if _, _, ok := again.Verification(kid); ok {
				t.Errorf("%s, %s: taken", change.of, change.set)
			}
			if !slices.ContainsFunc(again.Keys(), func(i keyring.Info) bool { return i.KeyID == kid && i.State == keyring.Refused }) {
				t.Errorf("%s, %s: not refused", change.of, change.set)
			}
			if err := again.Scheduled(t.Context(), nil); err != nil {
				t.Errorf("%s, %s: %v", change.of, change.set, err)
			}
			serves(t, again)
			restore(t, intruder)
		}
		serves(t, openQuiet(t, st, keyring.Config{KEK: kek}))
		audited(t, st, audit.KeyRefuse, 18)
	})
}

func openRing(t *testing.T, open database, kek *jwk.Key) *keyring.Keyring {
	t.Helper()
	return openQuiet(t, open(t), keyring.Config{KEK: kek})
}

func openQuiet(t *testing.T, st *store.Store, cfg keyring.Config) *keyring.Keyring {
	t.Helper()
	cfg.Log = slog.New(slog.DiscardHandler)
	return open(t, st, cfg)
}

func backup(t testing.TB, db *sql.DB) {
	t.Helper()
	execute(t, db, "CREATE TABLE kept AS SELECT * FROM keys")
}

func restore(t testing.TB, db *sql.DB) {
	t.Helper()
	execute(t, db, "DELETE FROM keys")
	execute(t, db, "INSERT INTO keys SELECT * FROM kept")
	execute(t, db, "DROP TABLE kept")
}

// forgetMACs makes the database one of before rows were authenticated.
func forgetMACs(t testing.TB, db *sql.DB) {
	t.Helper()
	execute(t, db, "UPDATE keys SET mac = NULL")
	execute(t, db, "DELETE FROM meta WHERE name = 'keyring.rows'")
}

// swapPublic puts the intruder's public half beside the issuer's private one.
func swapPublic(t testing.TB, db *sql.DB, kid string) {
	t.Helper()
	_, data := testkey.Published(t, jwk.Params{Algorithm: jwk.ES256, KeyID: kid})
	execute(t, db, "UPDATE keys SET public = $2 WHERE kid = $1", kid, data)
}

// A database of before is taken over at the first start: keys whose private half is
// sealed there, and no others. Then never again.
func TestRowsOfBeforeAreAdopted(t *testing.T) {
	onEachSQL(t, func(t *testing.T, open database, intruder *sql.DB) {
		kek := newKEK(t)
		ring := openRing(t, open, kek)
		for range 3 {
			if _, err := ring.Rotate(t.Context(), keyring.RotateOptions{Force: true}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := ring.Kill(t.Context(), kids(ring, jwk.ES256, keyring.Retiring)[0], "test"); err != nil {
			t.Fatal(err)
		}
		if _, err := ring.AddCanary(t.Context(), "", "test"); err != nil {
			t.Fatal(err)
		}
		half := kids(ring, jwk.ES256, keyring.Retiring)[1]
		before := fmt.Sprint(slices.DeleteFunc(ring.Keys(), func(i keyring.Info) bool { return i.KeyID == half }))
		forgetMACs(t, intruder)
		planted := []*jwk.Key{
			plant(t, intruder, keyring.UseAccess, jwk.ES256, keyring.Standby), // with another's private half
			plant(t, intruder, keyring.UseAccess, jwk.ES256, keyring.Retiring),
			plant(t, intruder, keyring.UseDrill, jwk.ES256, keyring.Active),
		}
		execute(t, intruder, "UPDATE keys SET sealed = '' WHERE kid = $1", planted[1].KeyID())
		swapPublic(t, intruder, half)

		var log bytes.Buffer
		again, err := keyring.Open(t.Context(), open(t), keyring.Config{Issuer: issuerURL, KEK: kek, Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range planted {
			absent(t, again, key.KeyID())
			if !strings.Contains(log.String(), "kid="+key.KeyID()) {
				t.Errorf("nothing is said of %s: %s", key.KeyID(), log.String())
			}
		}
		absent(t, again, half)
		if after := fmt.Sprint(again.Keys()[:len(again.Keys())-len(planted)-1]); after != before {
			t.Errorf("the keys of before\n%s\nare\n%s", before, after)
		}
		serves(t, again)
		audited(t, open(t), audit.KeyAdopt, len(ring.Keys())-1)

		late := kids(again, jwk.ES256, keyring.Retiring)[0]
		execute(t, intruder, "UPDATE keys SET mac = NULL WHERE kid = $1", late)
		absent(t, openRing(t, open, kek), late)
	})
}

// A standby that a notary keeps is not opened to see whose it is: another takes its place.
func TestHeldRowsOfBeforeAreReplaced(t *testing.T) {
	onEachSQL(t, func(t *testing.T, open database, intruder *sql.DB) {
		kek, escrow := newKEK(t), newEscrow(t)
		cfg := keyring.Config{KEK: kek, Notary: escrow}
		ring := openQuiet(t, open(t), cfg)
		forgetMACs(t, intruder)
		planted := plant(t, intruder, keyring.UseAccess, jwk.ES256, keyring.Standby)
		execute(t, intruder, "UPDATE keys SET mac = NULL WHERE kid = $1", planted.KeyID())

		again := openQuiet(t, open(t), cfg)
		if err := again.Scheduled(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		serves(t, again)
		old := append(kids(ring, jwk.ES256, keyring.Standby), planted.KeyID())
		for _, kid := range old {
			if !slices.Contains(kids(again, jwk.ES256, keyring.Retired), kid) {
				t.Errorf("%s is not given up", kid)
			}
		}
		if len(escrow.released) > 0 {
			t.Errorf("the notary released %v", escrow.released)
		}
	})
}

// What is planted does not keep the key-encryption key from being changed.
func TestResealPassesOverForeignRows(t *testing.T) {
	onEachSQL(t, func(t *testing.T, open database, intruder *sql.DB) {
		kek, next := newKEK(t), newKEK(t)
		ring := openRing(t, open, kek)
		planted := plant(t, intruder, keyring.UseAccess, jwk.ES256, keyring.Standby)
		execute(t, intruder, "UPDATE keys SET sealed = 'not.a.jwe' WHERE kid = $1", planted.KeyID())
		done, err := keyring.Reseal(t.Context(), open(t), kek, next, "test")
		if err != nil || done.Keys != 3 {
			t.Fatalf("%+v, %v", done, err)
		}
		again := openRing(t, open, next)
		absent(t, again, planted.KeyID())
		serves(t, again)

		own := kids(ring, jwk.ES256, keyring.Standby)[0]
		execute(t, intruder, "UPDATE keys SET sealed = 'not.a.jwe' WHERE kid = $1", own)
		if _, err := keyring.Reseal(t.Context(), open(t), next, newKEK(t), "test"); !errors.Is(err, keyring.ErrKEK) {
			t.Errorf("a key of the issuer's that does not open is passed over: %v", err)
		}
	})
}

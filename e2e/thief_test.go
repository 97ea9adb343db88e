package e2e_test

import (
	"bytes"
	"crypto/rand"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/oauth"

	_ "github.com/jackc/pgx/v5/stdlib" // the thief reads the database himself
	_ "modernc.org/sqlite"
)

// A thief has a copy of the issuer's database and of its key-encryption key, as
// who stole the backup of both. He has neither the notary's secret nor a way to
// ask the notary.
type thief struct {
	driver, database string
	kek              *jwk.Key
}

func newThief(t *testing.T, iss *issuerUnderTest) *thief {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(iss.data, "kek.json"))
	if err != nil {
		t.Fatal(err)
	}
	kek, err := jwk.Parse(bytes.TrimSpace(data))
	if err != nil {
		t.Fatal(err)
	}
	th := thiefOf(iss)
	th.kek = kek
	return th
}

// thiefOf is one who has only the database.
func thiefOf(iss *issuerUnderTest) *thief {
	if i := slices.Index(iss.args, "--store"); i >= 0 {
		return &thief{driver: "pgx", database: iss.args[i+1]}
	}
	file := url.URL{Scheme: "file", Opaque: filepath.Join(iss.data, "counterfoil.db"), RawQuery: "mode=ro&_pragma=busy_timeout(5000)"}
	return &thief{driver: "sqlite", database: file.String()}
}

// steal opens the key that signs now.
func (th *thief) steal(t *testing.T) *jwk.Key {
	t.Helper()
	sealed := th.sealed(t, "active")
	if len(sealed) != 1 {
		t.Fatalf("%d active keys in the database", len(sealed))
	}
	key, err := th.open(sealed[0])
	if err != nil {
		t.Fatal("the thief cannot open the signing key: ", err)
	}
	return key
}

// sealed reads the sealed signing keys in a state.
func (th *thief) sealed(t *testing.T, state string) (all []string) {
	t.Helper()
	db, err := sql.Open(th.driver, th.database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query("SELECT sealed FROM keys WHERE use = 'at+jwt' AND state = $1", state)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var sealed string
		if err := rows.Scan(&sealed); err != nil {
			t.Fatal(err)
		}
		all = append(all, sealed)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func (th *thief) open(sealed string) (*jwk.Key, error) {
	plain, err := jwe.Decrypt(th.kek, jwe.Policy{Algorithm: "A256GCMKW", Encryption: "A256GCM"}, sealed)
	if err != nil {
		return nil, err
	}
	return jwk.Parse(plain)
}

// A forgery makes a token of a genuine one, under the stolen key.
type forgery struct {
	name   string
	threat int // its row among the threats
	// refused says that the key's limits refuse the token already at its first use.
	refused bool
	make    func(t *testing.T, key *jwk.Key, genuine string) string
}

// forgeries are what can be tried by whoever has the signing key, and knows how
// tags work, without the notary's secret.
var forgeries = []forgery{
	{name: "random jti", threat: 82, make: func(t *testing.T, key *jwk.Key, genuine string) string {
		return forge(t, key, genuine, oauth.AccessTokenType, replace("jti", randomID()))
	}},
	{name: "copied jti on other claims", threat: 83, make: func(t *testing.T, key *jwk.Key, genuine string) string {
		return forge(t, key, genuine, oauth.AccessTokenType, replace("sub", "root"))
	}},
	{name: "backdated iat", threat: 82, make: func(t *testing.T, key *jwk.Key, genuine string) string {
		return forge(t, key, genuine, oauth.AccessTokenType, replace("jti", randomID()), replace("iat", time.Now().Add(-30*time.Second).Unix()))
	}},
	{name: "iat before the key's time", threat: 89, refused: true, make: func(t *testing.T, key *jwk.Key, genuine string) string {
		return forge(t, key, genuine, oauth.AccessTokenType, replace("jti", randomID()), replace("iat", time.Now().Add(-30*time.Minute).Unix()))
	}},
	{name: "another sub", threat: 82, make: func(t *testing.T, key *jwk.Key, genuine string) string {
		return forge(t, key, genuine, oauth.AccessTokenType, replace("jti", randomID()), replace("sub", "root"))
	}},
	{name: "genuine payload under the other spelling of typ", threat: 131, make: func(t *testing.T, key *jwk.Key, genuine string) string {
		return forge(t, key, genuine, "application/"+oauth.AccessTokenType)
	}},
	{name: "genuine payload under another typ", threat: 131, refused: true, make: func(t *testing.T, key *jwk.Key, genuine string) string {
		return forge(t, key, genuine, "JWT")
	}},
	{name: "claims before jti", threat: 131, refused: true, make: func(t *testing.T, key *jwk.Key, genuine string) string {
		return forge(t, key, genuine, oauth.AccessTokenType, toFront("scope", "admin"))
	}},
}

// A claim keeps its place: the order of a payload matters to a tag.
type claim struct{ name, value string }

// replace changes a claim where it stands.
func replace(name string, value any) func([]claim) []claim {
	return func(claims []claim) []claim {
		for i := range claims {
			if claims[i].name == name {
				claims[i].value = jsonOf(value)
			}
		}
		return claims
	}
}

// toFront moves a claim before the jti.
func toFront(name string, value any) func([]claim) []claim {
	return func(claims []claim) []claim {
		rest := slices.DeleteFunc(claims, func(c claim) bool { return c.name == name })
		return slices.Insert(rest, 0, claim{name, jsonOf(value)})
	}
}

func jsonOf(value any) string {
	data, err := wire.Marshal(value)
	if err != nil {
		panic(err) // only texts and numbers are passed
	}
	return string(data)
}

// randomID has the form of a jti, and a tag that nobody made.
func randomID() string {
	var b [20]byte
	rand.Read(b[:])
	return wire.Encode(b[:])
}

// forge signs the changed claims of a genuine token.
func forge(t *testing.T, key *jwk.Key, genuine, typ string, changes ...func([]claim) []claim) string {
	t.Helper()
	payload, err := wire.Decode(strings.Split(genuine, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	claims := parseClaims(t, string(payload))
	for _, change := range changes {
		before := string(joinClaims(claims))
		if claims = change(claims); string(joinClaims(claims)) == before {
			t.Fatal("a forgery that changes nothing")
		}
	}
	signer, err := jws.NewSigner(key, jws.Header{Algorithm: key.Algorithm(), KeyID: key.KeyID(), Type: typ})
	if err != nil {
		t.Fatal(err)
	}
	token, err := signer.Sign(joinClaims(claims))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func parseClaims(t *testing.T, payload string) (claims []claim) {
	t.Helper()
	object := wire.NewObject()
	defer object.Release()
	if err := object.Parse(payload); err != nil {
		t.Fatal(err)
	}
	for i := range object.Len() {
		name, value := object.At(i)
		claims = append(claims, claim{name, value.Text()})
	}
	return claims
}

func joinClaims(claims []claim) []byte {
	b := []byte{'{'}
	for i, c := range claims {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, jsonOf(c.name)...), ':'), c.value...)
	}
	return append(b, '}')
}

// claimOf reads a claim of a token that is known to have it.
func claimOf(t *testing.T, token, name string) string {
	t.Helper()
	payload, err := wire.Decode(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range parseClaims(t, string(payload)) {
		if c.name == name {
			return strings.Trim(c.value, `"`)
		}
	}
	t.Fatalf("the token has no %s", name)
	return ""
}

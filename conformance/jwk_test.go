package conformance_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/counterfoil/counterfoil/conformance"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

func TestWycheproofKey(t *testing.T) {
	if _, ran, all := verifyWycheproof(t, "json_web_key_test.json", nil); ran != all || ran == 0 {
		t.Errorf("%d of %d vectors ran", ran, all)
	}
}

// Some keys are refused for themselves, whatever they are asked to verify.
func TestWycheproofKeyIsRefusedByItself(t *testing.T) {
	var file wycheproof
	conformance.ReadVectors(t, "wycheproof/json_web_key_test.json", &file)
	want := map[int]error{
		1: jwk.ErrUse, 4: jwk.ErrDuplicate, 7: jwk.ErrWeakKey, 8: jwk.ErrWeakKey, 9: jwk.ErrWeakKey, 10: jwk.ErrWeakKey,
		11: jwk.ErrWeakKey, 12: jwk.ErrWeakKey, 16: jwk.ErrMalformed, 19: jwk.ErrUnsupported, 20: jwk.ErrUnsupported,
		21: jwk.ErrUse, 22: jwk.ErrMalformed, 23: jwk.ErrAlgorithm, 24: jwk.ErrAlgorithm, 25: jwk.ErrUnsupported, 26: jwk.ErrUse,
	}
	for _, group := range file.TestGroups {
		id := group.Tests[0].TcID
		if want[id] == nil {
			continue
		}
		if err := refusal(t, group.Public, group.Private); !errors.Is(err, want[id]) {
			t.Errorf("%d %s: %v, want %v", id, group.Comment, err, want[id])
		}
		delete(want, id)
	}
	if len(want) != 0 {
		t.Errorf("not in the file: %v", want)
	}
}

// refusal returns why a set, or the first key of it that is left out, is refused.
func refusal(t *testing.T, public, private json.RawMessage) error {
	t.Helper()
	data, parse := public, jwk.ParseSet
	if data == nil {
		data, parse = private, jwk.ParsePrivateSet
	}
	set, err := parse(data)
	if err == nil && len(set.Skipped()) > 0 {
		return set.Skipped()[0].Err
	}
	return err
}

func TestRFC7638Thumbprint(t *testing.T) {
	var vectors []struct {
		ID         string
		JWK        json.RawMessage
		Thumbprint string
		URI        string // RFC 9278
	}
	conformance.ReadVectors(t, "rfc/rfc7638.json", &vectors)
	for _, v := range vectors {
		k, err := jwk.Parse(v.JWK)
		if err != nil {
			t.Fatalf("%s: %v", v.ID, err)
		}
		if got := k.Thumbprint(); got != v.Thumbprint {
			t.Errorf("%s: %s, want %s", v.ID, got, v.Thumbprint)
		}
		if got := k.ThumbprintURI(); v.URI != "" && got != v.URI {
			t.Errorf("%s: %s, want %s", v.ID, got, v.URI)
		}
	}
	if len(vectors) == 0 {
		t.Error("no vectors")
	}
}

// The keys of RFC 8037, Appendix A, in all their parts.
func TestRFC8037Key(t *testing.T) {
	var vectors []rfcVector
	conformance.ReadVectors(t, "rfc/rfc8037.json", &vectors)
	for _, v := range vectors {
		if v.Kind != "jws" {
			continue
		}
		private, err := jwk.Parse(v.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		public, err := jwk.Parse(v.Key)
		if err != nil {
			t.Fatal(err)
		}
		if private.Thumbprint() != public.Thumbprint() || !private.IsPrivate() || !public.Accepts("EdDSA") {
			t.Errorf("%s: %v and %v", v.ID, private, public)
		}
		data, err := private.MarshalPrivate()
		if err != nil {
			t.Fatal(err)
		}
		containsMembers(t, v.ID, data, v.PrivateKey)
	}
}

func TestRFC7517Set(t *testing.T) {
	var vectors []struct{ ID, Kind, Input string }
	conformance.ReadVectors(t, "rfc/rfc7517.json", &vectors)
	for _, v := range vectors {
		data := []byte(v.Input)
		switch v.ID {
		case "rfc7517-A.1":
			set, err := jwk.ParseSet(data)
			expectSet(t, v.ID, set, err, jwk.ErrUnsupported) // the EC key is for encryption, and does not say how
		case "rfc7517-A.2":
			set, err := jwk.ParsePrivateSet(data)
			expectSet(t, v.ID, set, err, jwk.ErrUnsupported)
			if set, err = jwk.ParseSet(data); err != nil || set.Len() != 0 {
				t.Errorf("%s as a public set: %v", v.ID, err)
			}
		case "rfc7517-A.3": // one for A128KW, one that says no algorithm
			if _, err := jwk.ParsePrivateSet(data); !errors.Is(err, jwk.ErrNoAlgorithm) {
				t.Errorf("%s: %v", v.ID, err)
			}
			if set, err := jwk.ParsePrivateSetAs(data, jwk.Params{Algorithm: jwk.HS256}); err != nil || set.Len() != 2 {
				t.Errorf("%s for HS256: %v", v.ID, err)
			}
		case "rfc7517-B":
			if _, err := jwk.Parse(data); !errors.Is(err, jwk.ErrNoAlgorithm) {
				t.Errorf("%s: %v", v.ID, err)
			}
			k, err := jwk.ParseAs(data, jwk.Params{Algorithm: jwk.RS256})
			if err != nil || k.KeyID() != "1b94c" || k.IsPrivate() || len(k.Certificates()) != 1 {
				t.Errorf("%s: %v, %v", v.ID, k, err)
			}
		}
	}
}

// expectSet checks for the RSA key of RFC 7517, Appendix A, and one left out.
func expectSet(t *testing.T, id string, set *jwk.Set, err, skipped error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", id, err)
		return
	}
	if _, err := set.Find("2011-04-29", "RS256"); err != nil || set.Len() != 1 {
		t.Errorf("%s: %d keys, %v", id, set.Len(), err)
	}
	if s := set.Skipped(); len(s) != 1 || !errors.Is(s[0].Err, skipped) || s[0].KeyID != "1" {
		t.Errorf("%s: left out %+v", id, s)
	}
}

func TestCookbookKey(t *testing.T) {
	for path, p := range map[string]jwk.Params{
		"3_1.ec_public_key":                 {},
		"3_2.ec_private_key":                {},
		"3_3.rsa_public_key":                {Algorithm: jwk.PS384},
		"3_4.rsa_private_key":               {Algorithm: jwk.RS256},
		"3_5.symmetric_key_mac_computation": {},
	} {
		var data json.RawMessage
		conformance.ReadVectors(t, "cookbook/jwk/"+path+".json", &data)
		k, err := jwk.ParseAs(data, p)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		again, err := k.MarshalPrivate()
		if err != nil {
			t.Fatal(err)
		}
		containsMembers(t, path, again, data)
	}
	var direct json.RawMessage
	conformance.ReadVectors(t, "cookbook/jwk/3_6.symmetric_key_encryption.json", &direct)
	if _, err := jwk.Parse(direct); !errors.Is(err, jwk.ErrUnsupported) {
		t.Errorf("a key labelled with its enc: %v", err)
	}
	k, err := jwk.ParseAs(direct, jwk.Params{Algorithm: jwk.Dir, Encryption: "A256GCM"})
	if err != nil || k.Encryption() != "A256GCM" {
		t.Errorf("a key for dir with A256GCM: %v", err)
	}
}

// containsMembers checks that got has every member of want.
func containsMembers(t *testing.T, id string, got, want []byte) {
	t.Helper()
	var g, w map[string]any
	if err := json.Unmarshal(got, &g); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(want, &w); err != nil {
		t.Fatal(err)
	}
	for name, value := range w {
		if !reflect.DeepEqual(g[name], value) {
			t.Errorf("%s: %s is %v, want %v", id, name, g[name], value)
		}
	}
}

package pkcs11_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/issuer/keyring/pkcs11"
)

func Example() {
	uri, err := pkcs11.ParseURI("pkcs11:token=The%20issuer;object=kek?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/counterfoil/pin")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(uri.Token, uri.Object, uri.PINSource)
	_, err = pkcs11.ParseURI("pkcs11:token=issuer?module-path=/m.so&pin-value=1234")
	fmt.Println(err)
	// Output:
	// The issuer kek file:/etc/counterfoil/pin
	// not a pkcs11: URI that we take: a PIN has no place in it: pin-source=file:PATH or pin-source=env:NAME
}

const query = "?module-path=/m.so"

func TestURIs(t *testing.T) {
	for s, want := range map[string]pkcs11.URI{
		"pkcs11:" + query:        {ModulePath: "/m.so"},
		"pkcs11:token=a" + query: {Token: "a", ModulePath: "/m.so"},
		"pkcs11:object=%6bek;token=a%20b;type=private;id=%00%ff%3B;slot-id=0;serial=1;model=2;manufacturer=3" + query: {
			Token: "a b", Object: "kek", ID: "\x00\xff;", Type: "private", SlotID: "0", Serial: "1", Model: "2", Manufacturer: "3", ModulePath: "/m.so",
		},
		"pkcs11:token=a&b=c:[]@!$'()*+,-._~?pin-source=env:PIN&module-path=/a/b%20c.so": {
			Token: "a&b=c:[]@!$'()*+,-._~", ModulePath: "/a/b c.so", PINSource: "env:PIN",
		},
		"pkcs11:?module-path=/m.so&pin-source=file:/pin": {ModulePath: "/m.so", PINSource: "file:/pin"},
	} {
		got, err := pkcs11.ParseURI(s)
		if err != nil || *got != want {
			t.Errorf("%s: %+v, %v", s, got, err)
		}
	}
}

func TestURIsThatWeDoNotTake(t *testing.T) {
	for _, s := range []string{
		"", "pkcs11", "PKCS11:" + query, " pkcs11:" + query, "file:/kek", "pkcs11:token=a", "pkcs11:token=a?", // without a module
		"pkcs11:token=a?module-path=m.so", "pkcs11:token=a?module-path=", "pkcs11:token=a?module-path=/m.so&module-path=/n.so", "pkcs11:token=a?module-name=m",
		"pkcs11:token=" + query, "pkcs11:token" + query, "pkcs11:;" + query, "pkcs11:token=a;" + query, "pkcs11:;token=a" + query, "pkcs11:token=a;token=b" + query, // once, and not empty
		"pkcs11:TOKEN=a" + query, "pkcs11:token=a;x-vendor=b" + query, "pkcs11:library-version=3" + query, "pkcs11:module-path=/m.so" + query, // known, where it belongs
		"pkcs11:type=public" + query, "pkcs11:type=secret-key" + query, "pkcs11:slot-id=x" + query, "pkcs11:slot-id=-1" + query, "pkcs11:slot-id=01" + query, "pkcs11:slot-id=4294967296" + query,
		"pkcs11:token=%" + query, "pkcs11:token=%4" + query, "pkcs11:token=%zz" + query, "pkcs11:token=%+1" + query, "pkcs11:token=a b" + query, "pkcs11:token=a/b" + query, "pkcs11:token=\"a\"" + query,
		"pkcs11:token=a%0Alevel=info" + query, "pkcs11:token=%20a" + query, "pkcs11:token=%ff" + query, "pkcs11:object=%00" + query, "pkcs11:token=a#b" + query,
		"pkcs11:token=" + strings.Repeat("a", 33) + query, "pkcs11:serial=" + strings.Repeat("1", 17) + query, "pkcs11:object=" + strings.Repeat("a", 129) + query,
		"pkcs11:token=a?module-path=/" + strings.Repeat("m", 2000), "pkcs11:" + query + "&", "pkcs11:" + query + "&x=y",
		"pkcs11:" + query + "&pin-source=/pin", "pkcs11:" + query + "&pin-source=file:pin", "pkcs11:" + query + "&pin-source=|/bin/pin", "pkcs11:" + query + "&pin-source=env:", "pkcs11:" + query + "&pin-source=https://pin",
	} {
		if u, err := pkcs11.ParseURI(s); !errors.Is(err, pkcs11.ErrURI) {
			t.Errorf("%q: %+v, %v", s, u, err)
		}
	}
}

// A PIN that was put into a URI is in no error.
func TestPINsInURIs(t *testing.T) {
	const pin = "hunter2hunter2"
	for _, s := range []string{
		"pkcs11:token=a" + query + "&pin-value=" + pin, "pkcs11:token=a;pin-value=" + pin + query, "pkcs11:token=a" + query + "&pin-value=" + pin + "&pin-value=" + pin,
		"pkcs11:token=a" + query + "&pin=" + pin, "pkcs11:token=a" + query + "&" + pin, "pkcs11:" + pin + query, "pkcs11:" + pin + "=" + pin + query, "pkcs11:token=a" + query + "&pin-source=" + pin,
		"pkcs11:token=a" + query + "&PIN-VALUE=" + pin, pin, "pkcs11:" + pin,
	} {
		if _, err := pkcs11.ParseURI(s); err == nil || strings.Contains(err.Error(), pin) {
			t.Errorf("%q: %v", s, err)
		}
	}
	if _, err := pkcs11.ParseURI("pkcs11:token=a" + query + "&pin-value=1"); !errors.Is(err, pkcs11.ErrPINInURI) {
		t.Error(err)
	}
}

// What is read is written so that it is read again, and holds nothing that would
// make a line of its own in a log.
func FuzzParseURI(f *testing.F) {
	for _, s := range []string{
		"pkcs11:" + query, "pkcs11:token=a;object=%6bek;id=%00%FF;type=private" + query + "&pin-source=env:PIN",
		"pkcs11:token=a&b;slot-id=7?module-path=/a/b%20c.so&pin-source=file:/pin", "pkcs11:token=a" + query + "&pin-value=1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := pkcs11.ParseURI(s)
		if err != nil {
			if !errors.Is(err, pkcs11.ErrURI) {
				t.Errorf("%v", err)
			}
			return
		}
		again, err := pkcs11.ParseURI(u.String())
		if err != nil || *again != *u {
			t.Errorf("%q: written as %q: %+v, %v", s, u, again, err)
		}
		for _, c := range []byte(u.String()) {
			if c <= ' ' || c >= 0x7f {
				t.Errorf("%q is written with %q", s, c)
			}
		}
	})
}

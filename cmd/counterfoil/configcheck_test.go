package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// A wrongType is, for each kind of value, YAML that is none.
var wrongType = map[reflect.Kind]string{
	reflect.Bool: "perhaps", reflect.String: "{a: b}", reflect.Int64: "30d", reflect.Uint8: "300", reflect.Uint32: "-1",
	reflect.Float64: "much", reflect.Slice: "{a: b}", reflect.Map: "[a]", reflect.Struct: "5",
}

// wrongValues are of the right type and refused.
var wrongValues = map[string]string{
	"log.level": "loud", "log.format": "xml",

	"serve.data": `""`, "serve.listen": `"8080"`, "serve.issuer": "https://id.example/", "serve.store": "mysql://db",
	"serve.kek": `"env:"`, "serve.kek_next": "pkcs11:nonsense", "serve.signing_keys": "pkcs11:nonsense",
	"serve.rotate_every": "1h", "serve.standby_for": "0s", "serve.token_life": "2h", "serve.max_token_life": "-1s", "serve.session_life": "-1s",
	"serve.idle_life": "0s", "serve.notary_at": "[http://n.example]", "serve.notary_cert": "c.pem", "serve.notary_key": "k.pem", "serve.notary_ca": "ca.pem",
	"serve.tls_cert": "c.pem", "serve.trusted_proxies": "[10.0.0.1]", "serve.trusted_origins": "[app.example]", "serve.algorithms": "[none]",
	"serve.default_audience": `""`, "serve.audiences.name": `""`, "serve.scopes": `{"a b": ""}`, "serve.debug_listen": `"0.0.0.0:9"`,
	"serve.forgery.answer": "maybe", "serve.forgery.webhook": "http://hook.example",
	"serve.argon2.memory": "1", "serve.argon2.time": "9999", "serve.argon2.threads": "99",

	"guard.issuers": "[http://id.example]", "guard.listen": "[nonsense]", "guard.credentials": "{https://other.example: c}", "guard.type": `""`,
	"guard.algorithms": "[none]", "guard.witness": "maybe", "guard.seen_share": "2", "guard.allow_private": "[10.0.0.1]", "guard.routes.path": "admin",
	"guard.headers.subject": "auth-client", "guard.headers.client": "auth-scope", "guard.headers.scope": "auth-session", "guard.headers.session": "auth-subject",
	"guard.tls_cert": "c.pem", "guard.debug_listen": "example.org:9",

	"notary.data": `""`, "notary.listen": "[nonsense]", "notary.tls_cert": "c.pem", "notary.debug_listen": `":9"`,
}

// unchecked are names and paths, which only a start can find wrong, those that go
// together with another one, and yes or no.
var unchecked = regexp.MustCompile(`^serve\.(store_unsafe|store_unverified|new_issuer|notary|witness|tls_key|tls_1_2|plain_http|auth_time|audiences\.claims|forgery\.webhook_secret)$|` +
	`^guard\.(audience|state|credential|cookies|routes\.(sensitive|scope|roles)|tls_key|tls_1_2|plain_http)$|` +
	`^notary\.(group|tls_key|client_ca)$`)

// groupOf turns a key that is refused together with others into the key of the group.
var groupOf = regexp.MustCompile(`^(serve\.argon2|guard\.routes|guard\.headers)\..*`)

// goTypes are words that mean nothing to whoever writes a configuration.
var goTypes = regexp.MustCompile(`time\.|netip|\[\]|uint|float64|struct|unmarshal|Unmarshal`)

// Every key that has a wrong value is named, with its file and what is allowed.
func TestEveryWrongValueIsNamed(t *testing.T) {
	walked := map[string]bool{}
	walkKeys(reflect.TypeFor[Config](), nil, func(path []string, typ reflect.Type) {
		key := strings.Join(path, ".")
		walked[key] = true
		wantNamed(t, key, nested(path, wrongType[typ.Kind()]))
		if len(path) == 1 || structOf(typ) != nil {
			return
		}
		value, ok := wrongValues[key]
		if ok == unchecked.MatchString(key) {
			t.Errorf("%s: in the table of wrong values, or among those that are unchecked, and not in both", key)
		}
		if ok {
			wantNamed(t, key, nested(path, value))
		}
	})
	for key := range wrongValues {
		if !walked[key] {
			t.Errorf("%s is no key", key)
		}
	}
}

// walkKeys calls fn for each key, the outer ones first.
func walkKeys(typ reflect.Type, path []string, fn func(path []string, typ reflect.Type)) {
	for i := range typ.NumField() {
		field := typ.Field(i)
		at := append(path[:len(path):len(path)], yamlName(field))
		fn(at, field.Type)
		if inner := structOf(field.Type); inner != nil {
			walkKeys(inner, at, fn)
		}
	}
}

// nested is a file with one key. What lies in a list of groups is in its first one.
func nested(path []string, value string) string {
	for i := len(path) - 1; i >= 0; i-- {
		value = "{" + path[i] + ": " + value + "}"
		if i > 0 && (path[i-1] == "audiences" || path[i-1] == "routes") {
			value = "[" + value + "]"
		}
	}
	return value
}

func wantNamed(t *testing.T, key, file string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(name, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	code := run(t.Context(), []string{"config", "check", name}, nil, nil, &stderr)
	said := stderr.String()
	if code != exitMisuse || !strings.Contains(said, name+": ") || !strings.Contains(said, groupOf.ReplaceAllString(key, "$1")) ||
		goTypes.MatchString(said) || strings.Count(said, "\n") != 1 {
		t.Errorf("%s: exit code %d\n%s", file, code, said)
	}
}

package conformance_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/wire"
)

// An outcome is what two libraries make of each other's tokens: ours says that
// the peer reads what we make, theirs that we read what it makes.
type outcome struct{ ours, theirs bool }

// An exchange is one form of one algorithm, to be made and read in both
// directions. Making and reading may ask for different keys.
type exchange struct {
	make, read request
	oneWay     bool // we read it and never make it
}

// run has the exchange done in both directions. What a library does not support
// is no error; what it refuses, or takes although it was tampered with, is.
func (x exchange) run(t *testing.T, p *peer) (o outcome) {
	t.Helper()
	var err error
	if !x.oneWay {
		if o.ours, err = x.pass(ours{}, p); err != nil {
			t.Errorf("%s with ours: %v", p.name, err)
		}
	}
	if o.theirs, err = x.pass(p, ours{}); err != nil {
		t.Errorf("we with that of %s: %v", p.name, err)
	}
	return o
}

// pass has from make a token and to read it, whole and then tampered with. It is
// false without an error where one of the two lacks what that needs.
func (x exchange) pass(from, to library) (bool, error) {
	made, err := from.ask(x.make)
	if err != nil {
		return false, supported("making", err)
	}
	read := x.read
	read.Token = made.Token
	got, err := to.ask(read)
	if err != nil {
		return false, supported("reading", err)
	}
	if got.Payload != x.make.Payload {
		return false, fmt.Errorf("payload %s, want %s", got.Payload, x.make.Payload)
	}
	return true, refuses(to, read)
}

// refuses has to read the token of read after each way to tamper with it, and with
// another payload if that is detached.
func refuses(to library, read request) error {
	bad := tampered(read.Token)
	if len(bad) == 0 {
		return errors.New("nothing to tamper with")
	}
	if read.Payload != "" {
		changed := read
		changed.Payload = encode(message + " ")
		if _, err := to.ask(changed); err == nil {
			return errors.New("another payload: accepted")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(bad)) {
		changed := read
		changed.Token = bad[name]
		if _, err := to.ask(changed); err == nil {
			return fmt.Errorf("%s: accepted", name)
		}
	}
	return nil
}

// supported returns nil where err says that something is lacking.
func supported(doing string, err error) error {
	if errors.Is(err, errUnsupported) {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// tampered breaks each part of a token in a place that carries meaning. What no
// key of the reader covers, such as the signature of somebody else, is left alone.
func tampered(token string) map[string]string {
	if strings.HasPrefix(token, "{") {
		return tamperedJSON(token)
	}
	bad := map[string]string{}
	parts := strings.Split(token, ".")
	for i, part := range parts {
		if part == "" {
			continue // detached, or of an algorithm that has no such part
		}
		changed := slices.Clone(parts)
		changed[i] = tamperedText(part)
		bad[fmt.Sprintf("part %d changed", i)] = strings.Join(changed, ".")
	}
	if last := len(parts) - 1; parts[last] != "" {
		bad["last part cut off"] = strings.Join(parts[:last], ".") + "."
	}
	return bad
}

// tamperedText changes the character in the middle.
func tamperedText(s string) string {
	b := []byte(s)
	i := len(b) / 2
	if b[i] == 'A' {
		b[i] = 'B'
	} else {
		b[i] = 'A'
	}
	return string(b)
}

// tamperedJSON changes one member each, and in the general serialization those
// of the last signature or recipient, which is the reader's.
func tamperedJSON(token string) map[string]string {
	bad := map[string]string{}
	for _, name := range []string{"payload", "protected", "signature", "aad", "iv", "ciphertext", "tag", "encrypted_key"} {
		var tree map[string]any
		if json.Unmarshal([]byte(token), &tree) != nil {
			return nil
		}
		if tamperMember(tree, name) {
			bad[name+" changed"] = object(tree)
		}
	}
	return bad
}

func tamperMember(tree map[string]any, name string) bool {
	for _, list := range []string{"signatures", "recipients"} {
		if entries, ok := tree[list].([]any); ok {
			if own, ok := entries[len(entries)-1].(map[string]any); ok && own[name] != nil {
				return tamperMember(own, name)
			}
		}
	}
	text, ok := tree[name].(string)
	if !ok || text == "" {
		return false
	}
	tree[name] = tamperedText(text)
	return true
}

// object writes JSON of what cannot fail to be written.
func object(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(data)
}

func encode(s string) string { return wire.Encode([]byte(s)) }

// decoded is the text of base64url, or nothing.
func decoded(s string) []byte {
	data, err := wire.Decode(s)
	if err != nil {
		return nil
	}
	return data
}

func keyID(key json.RawMessage) string {
	var k struct{ Kid string }
	json.Unmarshal(key, &k)
	return k.Kid
}

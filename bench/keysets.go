package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/counterfoil/counterfoil/bench/rivals"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// What was promised of key sets.
const (
	keysetKeys  = 100
	keysetRival = 0.2 // of go-jose's time
	findTime    = 50  // ns
)

// keysetCost measures reading a key set, and finding a key in it.
func keysetCost(s settings) ([]section, error) {
	parse := section{
		title: "Reading a key set",
		notes: fmt.Sprintf("%d public keys with `kid`, `alg` and `use`. We check each key while reading: size and shape of RSA moduli, points on the curve and of the right order. "+
			"× is the multiple of our time; after the comma: allocations.", keysetKeys),
		head: []string{"keys", "**Counterfoil**"},
	}
	find := section{
		title: "Finding a key by its kid",
		notes: fmt.Sprintf("In the mixed set of %d, a different one each time.", keysetKeys),
		head:  []string{"", "**Counterfoil**"},
	}
	for _, lib := range rivals.JWK {
		parse.head = append(parse.head, lib.Name+" "+lib.Version)
		find.head = append(find.head, lib.Name+" "+lib.Version)
	}
	for _, kind := range []struct {
		name string
		algs []jwk.Algorithm
	}{
		{"RSA, EC and OKP", []jwk.Algorithm{jwk.RS256, jwk.ES256, jwk.Ed25519}},
		{"EC P-256", []jwk.Algorithm{jwk.ES256}},
		{"RSA 2048", []jwk.Algorithm{jwk.RS256}},
		{"Ed25519", []jwk.Algorithm{jwk.Ed25519}},
	} {
		if !s.rows.MatchString(kind.name) {
			continue
		}
		progress("key set:", kind.name)
		data, kids, err := makeSet(kind.algs)
		if err != nil {
			return nil, err
		}
		if err := parse.parseRow(s, kind.name, data); err != nil {
			return nil, err
		}
		if len(kind.algs) > 1 {
			if err := find.findRow(s, data, kids); err != nil {
				return nil, err
			}
		}
	}
	return []section{parse, find}, nil
}

// makeSet returns a JWK Set and the kids in it.
func makeSet(algs []jwk.Algorithm) (data []byte, kids []string, err error) {
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	for i := range keysetKeys {
		alg := algs[i%len(algs)]
		_, public, err := material(alg)
		if err != nil {
			return nil, nil, err
		}
		key, err := jwk.New(public, jwk.Params{Algorithm: alg, KeyID: fmt.Sprintf("2026-%03d", i)})
		if err != nil {
			return nil, nil, err
		}
		text, err := key.MarshalJSON()
		if err != nil {
			return nil, nil, err
		}
		var members map[string]any
		if err := json.Unmarshal(text, &members); err != nil {
			return nil, nil, err
		}
		members["use"] = "sig"
		if alg == jwk.Ed25519 {
			members["alg"] = "EdDSA" // some know no other
		}
		set.Keys, kids = append(set.Keys, members), append(kids, key.KeyID())
	}
	data, err = json.Marshal(set)
	return data, kids, err
}

var errSet = errors.New("not the whole set was read")

// oursFirst is the index of our own operation where there is no bare one.
const oursFirst = 0

func (sec *section) parseRow(s settings, name string, data []byte) error {
	ops := []operation{{library: "Counterfoil", run: func() error {
		set, err := jwk.ParseSet(data)
		if err == nil && set.Len() != keysetKeys {
			err = errSet
		}
		return err
	}}}
	for _, lib := range rivals.JWK {
		ops = append(ops, operation{library: lib.Name, run: func() error {
			n, _, err := lib.ParseSet(data)
			if err == nil && n != keysetKeys {
				err = errSet
			}
			return err
		}})
	}
	took, err := interleave(s, inRow("parse "+name, ops))
	if err != nil {
		return err
	}
	row := []string{name}
	for i, op := range ops {
		row = append(row, fmt.Sprintf("%s (%s), %.0f", nanos(took[i]), multiple(quotient(took[i], took[oursFirst])), allocations(op)))
	}
	sec.rows = append(sec.rows, row)
	sec.targets = append(sec.targets, target{
		fmt.Sprintf("read a set of %d keys, %s : go-jose", keysetKeys, name), quotient(took[oursFirst], took[1]), keysetRival, "×", whyKeySet[name]})
	return nil
}

func (sec *section) findRow(s settings, data []byte, kids []string) error {
	set, err := jwk.ParseSet(data)
	if err != nil {
		return err
	}
	at := 0
	next := func() string {
		at = (at + 37) % len(kids)
		return kids[at]
	}
	algs := map[string]string{}
	for _, key := range set.Keys() {
		algs[key.KeyID()] = string(key.Algorithm())
	}
	alg := make([]string, len(kids))
	for i, kid := range kids {
		alg[i] = algs[kid]
	}
	ops := []operation{{library: "Counterfoil", run: func() error {
		kid := next()
		_, err := set.Find(kid, alg[at])
		return err
	}}}
	for _, lib := range rivals.JWK {
		_, find, err := lib.ParseSet(data)
		if err != nil {
			return err
		}
		ops = append(ops, operation{library: lib.Name, run: func() error {
			if !find(next()) {
				return errSet
			}
			return nil
		}})
	}
	took, err := interleave(s, inRow("find", ops))
	if err != nil {
		return err
	}
	row := []string{"find"}
	for i := range ops {
		row = append(row, nanos(took[i]))
	}
	sec.rows = append(sec.rows, row)
	sec.targets = append(sec.targets, target{"find a key by its kid", median(took[oursFirst]), findTime, "ns", whyFind})
	return nil
}

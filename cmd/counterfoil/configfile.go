package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// decode reads a YAML file over what c holds.
func (c *Config) decode(data []byte) error {
	next := *c
	err := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict()).Decode(&next)
	if err != nil && !errors.Is(err, io.EOF) {
		return &misuseError{yamlError(data, err)}
	}
	// The decoder makes a zero value of a file without content.
	if !reflect.ValueOf(next).IsZero() {
		*c = next
	}
	return nil
}

// yamlError names the place, the key and what it takes where err, which the decoder
// found in data, is about the value of a key; what the decoder says does not always.
func yamlError(data []byte, err error) error {
	if file, wrong := parser.ParseBytes(data, 0); wrong == nil && len(file.Docs) > 0 {
		if found := findWrong(file.Docs[0].Body, reflect.TypeFor[Config](), ""); found != nil {
			return found
		}
	}
	line, _, _ := strings.Cut(yaml.FormatError(err, false, false), "\n")
	return errors.New(line)
}

// findWrong returns the first value in node that does not go into typ, which is what the
// key takes.
func findWrong(node ast.Node, typ reflect.Type, key string) error {
	switch node := node.(type) {
	case nil, *ast.NullNode, *ast.AliasNode, *ast.AnchorNode:
		return nil
	case *ast.SequenceNode:
		if typ.Kind() != reflect.Slice {
			break
		}
		for _, element := range node.Values {
			if err := findWrong(element, typ.Elem(), key); err != nil {
				return err
			}
		}
		return nil
	case ast.MapNode:
		if typ.Kind() != reflect.Struct {
			break
		}
		for entries := node.MapRange(); entries.Next(); {
			if err := findWrongEntry(entries.KeyValue(), typ, key); err != nil {
				return err
			}
		}
		return nil
	}
	if yaml.NodeToValue(node, reflect.New(typ).Interface()) == nil {
		return nil
	}
	return wrongAt(node, key, wanted(typ)+" is wanted")
}

// findWrongEntry is findWrong for one key of a struct.
func findWrongEntry(entry *ast.MappingValueNode, typ reflect.Type, outer string) error {
	name := entry.Key.GetToken().Value
	key := strings.TrimPrefix(outer+"."+name, ".")
	for i := range typ.NumField() {
		field := typ.Field(i)
		if tagged, _, _ := strings.Cut(field.Tag.Get("yaml"), ","); tagged == name {
			return findWrong(entry.Value, field.Type, key)
		}
	}
	return wrongAt(entry.Key, key, "there is no such key")
}

func wrongAt(node ast.Node, key, what string) error {
	at := node.GetToken().Position
	return fmt.Errorf("[%d:%d] %s: %s", at.Line, at.Column, key, what)
}

// wanted says what goes into a type.
func wanted(typ reflect.Type) string {
	switch typ {
	case reflect.TypeFor[time.Duration]():
		return "a duration such as 15m or 720h"
	case reflect.TypeFor[netip.Prefix]():
		return "a network such as 10.0.0.0/8"
	}
	switch typ.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list"
	case reflect.Struct:
		return "a group of keys"
	case reflect.Map:
		return "a group of names and values"
	case reflect.Uint8, reflect.Uint32:
		return fmt.Sprintf("a whole number up to %d", uint64(1)<<typ.Bits()-1)
	case reflect.Float64:
		return "a number"
	}
	return "text"
}

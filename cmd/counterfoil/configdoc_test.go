package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/spf13/pflag"
)

const configurationDoc = "../../docs/configuration.md"

// docs/configuration.md is made from the comments of Config: go test -update.
func TestConfigurationIsDocumented(t *testing.T) {
	want := configurationMarkdown(t)
	if *update {
		if err := os.WriteFile(configurationDoc, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(configurationDoc)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/configuration.md is not what config.go says: go test ./cmd/counterfoil -run Documented -update")
	}
}

// A manual holds the comments of struct types and of their fields.
type manual struct {
	types  map[string]string
	fields map[string]map[string]string
}

func readManual(t *testing.T) *manual {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	m := &manual{types: map[string]string{}, fields: map[string]map[string]string{}}
	for _, decl := range file.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok || gen.Tok != token.TYPE {
			continue
		}
		spec := gen.Specs[0].(*ast.TypeSpec)
		st, ok := spec.Type.(*ast.StructType)
		if !ok {
			continue
		}
		m.types[spec.Name.Name] = gen.Doc.Text()
		m.fields[spec.Name.Name] = fieldComments(st)
	}
	return m
}

// fieldComments gives a field without a comment that of the field above it.
func fieldComments(st *ast.StructType) map[string]string {
	comments, last := map[string]string{}, ""
	for _, f := range st.Fields.List {
		last = cmp.Or(f.Doc.Text(), last)
		comments[f.Names[0].Name] = strings.Join(strings.Fields(last), " ")
	}
	return comments
}

func configurationMarkdown(t *testing.T) string {
	t.Helper()
	m, def := readManual(t), defaultConfig()
	var b strings.Builder
	b.WriteString("# Configuration\n\nMade from `cmd/counterfoil/config.go` by its test; edit that.\n\n")
	b.WriteString(sentence(m.types["Config"]) + "\n\n")
	b.WriteString("`counterfoil config check FILE` finds mistakes, `counterfoil config print FILE` shows every setting with its value.\n" +
		"A flag `--some-name` is `COUNTERFOIL_SOME_NAME` in the environment; where it may be repeated, values there are separated by commas.\n")
	flags := documentedFlags()
	for i := range reflect.TypeFor[Config]().NumField() {
		section := reflect.TypeFor[Config]().Field(i)
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", yamlName(section), m.fields["Config"][section.Name])
		m.table(t, &b, section.Type, reflect.ValueOf(def).Field(i), flags[yamlName(section)])
	}
	return b.String()
}

// table writes the settings of a struct, and of the structs in it.
func (m *manual) table(t *testing.T, b *strings.Builder, typ reflect.Type, def reflect.Value, flags map[string]string) {
	t.Helper()
	b.WriteString("\n| key | flag | default | |\n|---|---|---|---|\n")
	var inner []reflect.StructField
	for i := range typ.NumField() {
		f := typ.Field(i)
		flag := f.Tag.Get("flag")
		if flag != "" {
			if _, ok := flags[flag]; !ok {
				t.Errorf("%s.%s names the flag --%s, which does not exist", typ.Name(), f.Name, flag)
			}
			flag = "`--" + flag + "`"
		}
		comment := m.fields[typ.Name()][f.Name]
		if comment == "" {
			t.Errorf("%s.%s has no comment", typ.Name(), f.Name)
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", yamlName(f), flag, defaultText(t, def.Field(i)), comment)
		if structOf(f.Type) != nil {
			inner = append(inner, f)
		}
	}
	for _, f := range inner {
		st := structOf(f.Type)
		fmt.Fprintf(b, "\n### %s\n\n%s\n", yamlName(f), sentence(m.types[st.Name()]))
		value := reflect.Zero(st)
		if f.Type.Kind() == reflect.Struct {
			value = def.FieldByIndex(f.Index)
		}
		m.table(t, b, st, value, nil)
	}
}

// structOf returns the struct of ours that a field or its elements are.
func structOf(typ reflect.Type) reflect.Type {
	if typ.Kind() == reflect.Slice {
		typ = typ.Elem()
	}
	if typ.Kind() == reflect.Struct && strings.HasSuffix(typ.PkgPath(), "counterfoil") || typ.Kind() == reflect.Struct && typ.PkgPath() == "main" {
		return typ
	}
	return nil
}

func yamlName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return name
}

// sentence makes "The cost of X." of the comment "Argon2Config is the cost of X.".
func sentence(comment string) string {
	words := strings.Fields(comment)
	text := strings.Join(words[2:], " ")
	return strings.ToUpper(text[:1]) + text[1:]
}

// defaultText is what config print would show, or nothing for an empty value.
func defaultText(t *testing.T, v reflect.Value) string {
	t.Helper()
	if v.IsZero() || v.Kind() == reflect.Struct {
		return ""
	}
	text, err := yaml.MarshalWithOptions(v.Interface(), yaml.Flow(true))
	if err != nil {
		t.Fatal(err)
	}
	return "`" + strings.TrimSpace(string(text)) + "`"
}

// documentedFlags are the flags of each process.
func documentedFlags() map[string]map[string]string {
	all := map[string]map[string]string{}
	cfg := defaultConfig()
	for section, register := range map[string]configFlags{"serve": serveFlags, "guard": guardFlags, "notary": notaryFlags, "log": logFlags} {
		set := pflag.NewFlagSet(section, pflag.ContinueOnError)
		register(set, &cfg)
		all[section] = map[string]string{}
		set.VisitAll(func(f *pflag.Flag) { all[section][f.Name] = f.Usage })
	}
	return all
}

// Every flag of serve, guard and notary is a setting too, so that one file can say it all.
func TestEveryFlagIsASetting(t *testing.T) {
	tagged := map[string]bool{}
	for _, typ := range []reflect.Type{reflect.TypeFor[ServeConfig](), reflect.TypeFor[GuardConfig](), reflect.TypeFor[NotaryConfig](), reflect.TypeFor[LogConfig]()} {
		for i := range typ.NumField() {
			tagged[typ.Field(i).Tag.Get("flag")] = true
		}
	}
	for section, flags := range documentedFlags() {
		for name := range flags {
			if !tagged[name] {
				t.Errorf("--%s of %s is no setting", name, section)
			}
		}
	}
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/counterfoil/counterfoil/internal/fetch"
	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

const (
	maxInput     = 1 << 20   // bytes read from a file or from stdin
	maxFrames    = 30 << 20  // bytes of a file with frames; the issuer takes little more
	maxKeySet    = 256 << 10 // bytes of a key set from a URL
	fetchTimeout = 10 * time.Second
)

// readInput reads a file, or stdin for "-".
func (a *app) readInput(name string) ([]byte, error) { return a.readAtMost(name, maxInput) }

func (a *app) readAtMost(name string, limit int64) ([]byte, error) {
	if name == "-" {
		return readBounded(a.stdin, "stdin", limit)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, unreadable(name, err)
	}
	defer f.Close()
	return readBounded(f, name, limit)
}

// oneStdin returns misuse when more than one of the inputs is stdin.
func oneStdin(inputs ...string) error {
	stdins := 0
	for _, name := range inputs {
		if name == "-" {
			stdins++
		}
	}
	if stdins > 1 {
		return misuse("stdin cannot be two things at once: name a file for one of them")
	}
	return nil
}

// unreadable shortens what the system says about a file.
func unreadable(name string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return misuse("there is no file %s", name)
	case errors.Is(err, fs.ErrPermission):
		return misuse("not permitted to read %s", name)
	}
	return err
}

// An inputError is a file that is larger than a command reads into memory.
type inputError struct {
	name  string
	limit int64
}

func (e *inputError) Error() string {
	return fmt.Sprintf("%s is larger than %d bytes", e.name, e.limit)
}

func readBounded(r io.Reader, name string, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, &misuseError{&inputError{name, limit}}
	}
	return data, nil
}

// firstOr returns the first argument, or def.
func firstOr(args []string, def string) string {
	if len(args) == 0 {
		return def
	}
	return args[0]
}

// readToken reads a token: the argument itself, a file, or stdin for "-".
func (a *app) readToken(arg string) (string, error) {
	data, err := a.readArgument(arg, jwt.MaxNested)
	return string(data), err
}

// readArgument reads what is compact or JSON: the argument itself, a file, or stdin
// for "-". One line end after it is forgiven here, where files come from editors,
// and nowhere below. No error repeats the argument, which may be a token with a
// mistake in it.
func (a *app) readArgument(arg string, limit int64) ([]byte, error) {
	if strings.Count(arg, ".") >= 2 && strings.HasPrefix(arg, "ey") || isJSON([]byte(arg)) {
		return []byte(arg), nil
	}
	if _, err := os.Stat(arg); err != nil && arg != "-" {
		return nil, hinted(misuse("the argument is neither a token nor a file"), "a token begins with ey and has two dots or four; - reads it from stdin")
	}
	data, err := a.readAtMost(arg, limit+int64(len("\r\n")))
	if err != nil {
		return nil, err
	}
	data = bytes.TrimSuffix(bytes.TrimSuffix(data, []byte("\n")), []byte("\r"))
	if int64(len(data)) > limit {
		return nil, misuse("this is larger than a token may be: %d bytes, at most %d", len(data), limit)
	}
	return data, nil
}

// keyFlags are the flags that name a key or a set of keys.
type keyFlags struct {
	source string
	alg    string
}

func (k *keyFlags) register(flags *pflag.FlagSet, name, usage string) {
	flags.Var((*onceValue)(&k.source), name, usage)
	flags.StringVar(&k.alg, "alg", "", "algorithm of a key that does not name one itself")
}

// A onceValue is a flag that is given once: of two keys none is left out in silence.
type onceValue string

func (v *onceValue) String() string { return string(*v) }
func (v *onceValue) Type() string   { return "string" }

func (v *onceValue) Set(s string) error {
	if *v != "" {
		return errors.New("it takes one, and has one already")
	}
	*v = onceValue(s)
	return nil
}

// readKey reads one private or symmetric key to sign with.
func (a *app) readKey(k keyFlags) (*jwk.Key, error) {
	data, err := a.readInput(k.source)
	if err != nil {
		return nil, err
	}
	return parseKey(data, k.alg)
}

// parseKey reads one JWK; alg is for one that does not say what it is for.
func parseKey(data []byte, alg string) (*jwk.Key, error) {
	if err := notJWK(data); err != nil {
		return nil, err
	}
	if isSet(data) {
		return nil, errIsSet
	}
	key, err := jwk.ParseAs(data, jwk.Params{Algorithm: jwk.Algorithm(alg)})
	return key, explainParse(err, alg)
}

func explainParse(err error, alg string) error {
	switch {
	case errors.Is(err, jwk.ErrNoAlgorithm):
		return hinted(&misuseError{err}, "name it: --alg RS256, --alg HS256, …")
	case err != nil && alg != "" && !algorithmExists(alg):
		return noAlgorithm(alg)
	case errors.Is(err, jwk.ErrAlgorithm) && alg != "":
		return hinted(&misuseError{err}, "a JWK that names its algorithm needs no flag for it")
	}
	return err
}

// notJWK tells a key in another form from a broken JWK.
func notJWK(data []byte) error {
	form := "PEM"
	switch {
	case isJSON(data):
		return nil
	case isDER(data):
		form = "DER"
	case !isPEM(data):
		return misuse("this is neither a JWK nor a set of them")
	}
	return hinted(misuse("this is a %s file, and a JWK is wanted", form), "counterfoil jwk convert --alg ALG FILE makes one of it")
}

// isSet tells a set of keys from a key.
func isSet(data []byte) bool {
	var shape struct {
		Keys *[]any `json:"keys"`
	}
	return wire.Unmarshal(data, &shape) == nil && shape.Keys != nil
}

var errIsSet = misuse("this is a set of keys, and one key is wanted")

// readToSign reads what sign needs: the key of its flag, and the file that it was
// given, or stdin.
func (a *app) readToSign(cmd *cobra.Command, key keyFlags, args []string) (*jwk.Key, []byte, error) {
	if err := required(cmd.Flags(), "key"); err != nil {
		return nil, nil, err
	}
	input := firstOr(args, "-")
	if err := oneStdin(key.source, input); err != nil {
		return nil, nil, err
	}
	signer, err := a.readKey(key)
	if err != nil {
		return nil, nil, err
	}
	data, err := a.readInput(input)
	return signer, data, err
}

// readKeys reads what to verify with: a path, - or an https URL, which holds one
// key or a set. Only from a file may keys be secret.
func (a *app) readKeys(ctx context.Context, k keyFlags) (jwk.Source, error) {
	if strings.HasPrefix(k.source, "https://") || strings.HasPrefix(k.source, "http://") {
		return a.fetchKeys(ctx, k)
	}
	data, err := a.readInput(k.source)
	if err != nil {
		return nil, err
	}
	if !isSet(data) {
		return parseKey(data, k.alg)
	}
	set, err := jwk.ParsePrivateSetAs(data, jwk.Params{Algorithm: jwk.Algorithm(k.alg)})
	if err != nil {
		return nil, err
	}
	a.saySkipped(set)
	return set, nil
}

func (a *app) saySkipped(set *jwk.Set) {
	for _, s := range set.Skipped() {
		a.say("left out key %d %q: %v", s.Index, s.KeyID, s.Err)
	}
}

func (a *app) fetchKeys(ctx context.Context, k keyFlags) (*jwk.Set, error) {
	u, err := fetch.ParseURL(k.source)
	if err != nil {
		return nil, misuse("keys: %v", err)
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := fetch.NewClient(u, anyAddress).Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %w", u.Redacted(), &fetch.StatusError{Status: resp.StatusCode})
	}
	body, err := fetch.Body(resp.Body, maxKeySet)
	if err != nil {
		return nil, err
	}
	set, err := jwk.ParseSetAs(body, jwk.Params{Algorithm: jwk.Algorithm(k.alg)})
	if err != nil {
		return nil, err
	}
	a.saySkipped(set)
	return set, nil
}

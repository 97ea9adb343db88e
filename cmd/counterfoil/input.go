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
	"github.com/counterfoil/counterfoil/jose/jws"
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

func readBounded(r io.Reader, name string, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, misuse("%s is larger than %d bytes", name, limit)
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

// readToken reads a token: the argument itself, a file, or stdin for "-". One
// line end after it is forgiven here, where files come from editors, and nowhere
// below. No error repeats the argument, which may be a token with a mistake in it.
func (a *app) readToken(arg string) (string, error) {
	if strings.Count(arg, ".") >= 2 && strings.HasPrefix(arg, "ey") {
		return arg, nil
	}
	if _, err := os.Stat(arg); err != nil && arg != "-" {
		return "", hinted(misuse("the argument is neither a token nor a file"), "a token begins with ey and has two dots; - reads it from stdin")
	}
	data, err := a.readInput(arg)
	if err != nil {
		return "", err
	}
	token := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if len(token) > jws.MaxToken {
		return "", misuse("this is larger than a token may be: %d bytes, at most %d", len(token), jws.MaxToken)
	}
	return token, nil
}

// keyFlags are the flags that name a key or a set of keys.
type keyFlags struct {
	source string
	alg    string
}

func (k *keyFlags) register(flags *pflag.FlagSet, name, usage string) {
	flags.StringVar(&k.source, name, "", usage)
	flags.StringVar(&k.alg, "alg", "", "algorithm of a key that does not name one itself")
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
	if err := notPEM(data); err != nil {
		return nil, err
	}
	if alg != "" {
		return jwk.ParseAs(data, jwk.Params{Algorithm: jwk.Algorithm(alg)})
	}
	key, err := jwk.Parse(data)
	if errors.Is(err, jwk.ErrNoAlgorithm) {
		return nil, hinted(&misuseError{err}, "name it: --alg RS256, --alg HS256, …")
	}
	return key, err
}

// notPEM tells a key in a PEM file from a broken JWK.
func notPEM(data []byte) error {
	if bytes.Contains(data, []byte("-----BEGIN ")) {
		return hinted(misuse("this is a PEM file, and a JWK is wanted"), "counterfoil jwk convert --alg ALG FILE makes one of it")
	}
	return nil
}

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
		return fetchKeys(ctx, k.source)
	}
	data, err := a.readInput(k.source)
	if err != nil {
		return nil, err
	}
	if err := notPEM(data); err != nil {
		return nil, err
	}
	var shape struct {
		Keys *[]any `json:"keys"`
	}
	if err := wire.Unmarshal(data, &shape); err != nil {
		return nil, misuse("%s holds neither a JWK nor a set of them", k.source)
	}
	if shape.Keys == nil {
		return parseKey(data, k.alg)
	}
	set, err := jwk.ParsePrivateSet(data)
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

func fetchKeys(ctx context.Context, raw string) (*jwk.Set, error) {
	u, err := fetch.ParseURL(raw)
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
	return jwk.ParseSet(body)
}

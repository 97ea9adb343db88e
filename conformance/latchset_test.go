package conformance_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A latchset is the command jose of latchset, run once for each request.
type latchset struct {
	path       string
	dir        string // for keys and payloads
	algorithms []string
}

func findLatchset(t *testing.T) (*peer, string) {
	t.Helper()
	path, err := exec.LookPath("jose")
	if err != nil {
		return nil, "jose"
	}
	l := &latchset{path: path, dir: t.TempDir()}
	list, err := l.run("", "alg")
	if err != nil {
		t.Fatal(err)
	}
	l.algorithms = strings.Fields(list)
	return &peer{name: "latchset jose", library: l}, ""
}

func (l *latchset) run(stdin string, args ...string) (string, error) {
	cmd := exec.Command(l.path, args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("jose %s: %w: %s", strings.Join(args[:min(2, len(args))], " "), err, bytes.TrimSpace(errs.Bytes()))
	}
	return out.String(), nil
}

func (l *latchset) ask(r request) (answer, error) {
	if !l.supports(r) {
		return answer{}, errUnsupported
	}
	do := map[string]func(request) (answer, error){
		"version": l.version, "sign": l.sign, "verify": l.verify, "encrypt": l.encrypt, "decrypt": l.decrypt,
		"nest": l.nest, "unnest": l.unnest, "thumbprint": l.thumbprint, "jwk": l.jwk, "generate": l.generate,
	}[r.Op]
	return do(r)
}

// supports looks at algorithms, types of keys and forms. The command writes public
// keys only, and so nothing of a secret. Asked for "zip", version 11 says so in the
// header, compresses nothing, and cannot read that itself.
func (l *latchset) supports(r request) bool {
	for _, alg := range []string{r.Alg, r.Enc, r.KeyAlg} {
		if alg != "" && !slices.Contains(l.algorithms, alg) {
			return false
		}
	}
	for _, key := range r.Keys {
		var k struct{ Kty string }
		if json.Unmarshal(key, &k) != nil || k.Kty == "OKP" || k.Kty == "AKP" {
			return false
		}
	}
	return !r.Zip && r.Op != "pem" && !(r.Op == "jwk" && r.Type == "oct") && r.Type != "OKP" && r.Type != "AKP" && !strings.HasPrefix(r.Form, "unencoded")
}

// The command does not tell its version: Debian does.
func (l *latchset) version(request) (answer, error) {
	out, err := exec.Command("dpkg-query", "--show", "--showformat=${Version}", "jose").Output()
	version, _, _ := strings.Cut(string(out), "-")
	return answer{Token: version}, err
}

func (l *latchset) sign(r request) (answer, error) {
	template := "{}"
	args := []string{"jws", "sig", "-I", l.file(decoded(r.Payload)), "-i", template}
	switch r.Form {
	case "compact":
		args = append(args, "-c")
	case "detached":
		args = append(args, "-c", "-O", os.DevNull)
	}
	for i, key := range r.Keys {
		if i > 0 && r.Form != "general" {
			break
		}
		header := map[string]any{"alg": r.Alg, "kid": keyID(key)}
		if r.Op == "nest" {
			header["typ"] = nestedType
		}
		args = append(args, "-k", l.file(key), "-s", object(map[string]any{"protected": header}))
	}
	out, err := l.run("", args...)
	return answer{Token: strings.TrimSpace(out)}, err
}

func (l *latchset) verify(r request) (answer, error) {
	args := []string{"jws", "ver", "-i", "-", "-k", l.file(r.Keys[0]), "-O", "-"}
	if r.Form == "detached" {
		args = append(args, "-I", l.file(decoded(r.Payload)))
		if _, err := l.run(r.Token, args...); err != nil {
			return answer{}, err
		}
		return answer{Payload: r.Payload}, nil
	}
	out, err := l.run(r.Token, args...)
	return answer{Payload: encode(out)}, err
}

func (l *latchset) encrypt(r request) (answer, error) {
	header := map[string]any{"enc": r.Enc}
	if r.Form != "general" {
		header["alg"], header["kid"] = r.Alg, keyID(r.Keys[0])
	}
	if r.APU != "" {
		header["apu"], header["apv"] = r.APU, r.APV
	}
	if r.KeyAlg != "" { // the outside of a nested token
		header["cty"] = "JWT"
	}
	template := map[string]any{"protected": header}
	if r.Form == "flattened" {
		template["aad"] = r.AAD
	}
	args := []string{"jwe", "enc", "-I", "-", "-i", object(template)}
	if r.Form == "compact" {
		args = append(args, "-c")
	}
	for i, key := range r.Keys {
		if i > 0 && r.Form != "general" {
			break
		}
		args = append(args, "-k", l.file(labelled(key, r.Enc)))
		if r.Form == "general" {
			args = append(args, "-r", object(map[string]any{"header": map[string]any{"alg": r.Alg, "kid": keyID(key)}}))
		}
	}
	out, err := l.run(string(decoded(r.Payload)), args...)
	return answer{Token: strings.TrimSpace(out)}, err
}

func (l *latchset) decrypt(r request) (answer, error) {
	out, err := l.run(r.Token, "jwe", "dec", "-i", "-", "-k", l.file(labelled(r.Keys[0], r.Enc)), "-O", "-")
	return answer{Payload: encode(out)}, err
}

// labelled returns a key for dir as this peer wants it: with the "enc" where other
// keys have "alg".
func labelled(key json.RawMessage, enc string) json.RawMessage {
	return bytes.Replace(key, []byte(`"alg":"dir"`), []byte(`"alg":"`+enc+`"`), 1)
}

func (l *latchset) nest(r request) (answer, error) {
	inner, err := l.sign(request{Op: r.Op, Form: "compact", Alg: r.Alg, Keys: r.Keys[:1], Payload: r.Payload})
	if err != nil {
		return inner, err
	}
	return l.encrypt(request{Form: "compact", Alg: r.KeyAlg, KeyAlg: r.KeyAlg, Enc: r.Enc, Keys: r.Keys[1:], Payload: encode(inner.Token)})
}

func (l *latchset) unnest(r request) (answer, error) {
	inner, err := l.decrypt(request{Enc: r.Enc, Keys: r.Keys[1:], Token: r.Token})
	if err != nil {
		return inner, err
	}
	return l.verify(request{Form: "compact", Keys: r.Keys[:1], Token: string(decoded(inner.Payload))})
}

func (l *latchset) thumbprint(r request) (answer, error) {
	out, err := l.run("", "jwk", "thp", "-a", "S256", "-i", l.file(r.Keys[0]))
	return answer{Token: "urn:ietf:params:oauth:jwk-thumbprint:sha-256:" + strings.TrimSpace(out)}, err
}

// The command has no way to write a private key it has read: only its public part.
func (l *latchset) jwk(r request) (answer, error) {
	out, err := l.run("", "jwk", "pub", "-i", l.file(r.Keys[0]))
	return answer{Token: out}, err
}

func (l *latchset) generate(r request) (answer, error) {
	template := map[string]any{"kty": r.Type}
	switch r.Type {
	case "RSA":
		template["bits"] = 2048
	case "oct":
		template["bytes"] = 64
	default:
		template["crv"] = r.Curve
	}
	out, err := l.run("", "jwk", "gen", "-i", object(template))
	return answer{Token: out}, err
}

// file writes data to a file and returns its path.
func (l *latchset) file(data []byte) string {
	f, err := os.CreateTemp(l.dir, "")
	if err != nil {
		return filepath.Join(l.dir, "missing") // the command will say so
	}
	defer f.Close()
	f.Write(data)
	return f.Name()
}

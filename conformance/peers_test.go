package conformance_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
)

// A library makes and reads tokens: ours, or one made by others.
type library interface {
	// ask returns errUnsupported for what the library lacks, and any other error
	// for what it refuses.
	ask(request) (answer, error)
}

// errUnsupported is the answer of a library that lacks what is asked for.
var errUnsupported = errors.New("not supported")

// A request is one line on the standard input of a peer. Binary values are in
// base64url; a token in a JSON serialization is its text.
type request struct {
	Op      string            `json:"op"` // version, sign, verify, encrypt, decrypt, nest, unnest, thumbprint, jwk, generate, pem
	Form    string            `json:"form,omitempty"`
	Alg     string            `json:"alg,omitempty"`
	Enc     string            `json:"enc,omitempty"`
	KeyAlg  string            `json:"keyAlg,omitempty"` // of the encryption, in nest and unnest
	Keys    []json.RawMessage `json:"keys,omitempty"`
	Payload string            `json:"payload,omitempty"` // or plaintext; to verify: of a detached token
	AAD     string            `json:"aad,omitempty"`
	APU     string            `json:"apu,omitempty"`
	APV     string            `json:"apv,omitempty"`
	Zip     bool              `json:"zip,omitempty"`
	Token   string            `json:"token,omitempty"` // or PEM
	Type    string            `json:"kty,omitempty"`   // of the key to generate
	Curve   string            `json:"curve,omitempty"`
}

// An answer is one line on the standard output of a peer.
type answer struct {
	Token       string `json:"token"`
	Payload     string `json:"payload"`
	Unsupported bool   `json:"unsupported"`
	Error       string `json:"error"`
}

// A peer is a library that was made by others.
type peer struct {
	library
	name    string
	version string
}

// startPeers starts those that are on this machine, and says what to install for
// the others.
func startPeers(t *testing.T) (peers []*peer, missing []string) {
	t.Helper()
	for _, start := range []func(*testing.T) (*peer, string){startNPM, startPython, findLatchset} {
		p, lacks := start(t)
		if p == nil {
			missing = append(missing, lacks)
			continue
		}
		v, err := p.ask(request{Op: "version"})
		if err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		p.version = v.Token
		peers = append(peers, p)
	}
	return peers, missing
}

func startNPM(t *testing.T) (*peer, string) {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, "nodejs"
	}
	if _, err := os.Stat("npm/node_modules/jose"); err != nil {
		return nil, "npm ci --prefix conformance/npm"
	}
	return &peer{name: "npm jose", library: startProcess(t, node, "npm/peer.mjs")}, ""
}

func startPython(t *testing.T) (*peer, string) {
	t.Helper()
	if exec.Command(python, "-c", "import jwcrypto").Run() != nil {
		return nil, "python3-jwcrypto"
	}
	return &peer{name: "jwcrypto", library: startProcess(t, python, "python/peer.py")}, ""
}

const python = "/usr/bin/python3" // Debian's, which sees Debian's modules

// A process is a peer that answers line by line until its input ends.
type process struct {
	in  io.Writer
	out *bufio.Reader
}

func startProcess(t *testing.T, argv ...string) *process {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", argv[1], err)
		}
	})
	return &process{in, bufio.NewReader(out)}
}

func (p *process) ask(r request) (answer, error) {
	var a answer
	line, err := json.Marshal(r)
	if err != nil {
		return a, err
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		return a, fmt.Errorf("the peer is gone: %w", err)
	}
	line, err = p.out.ReadBytes('\n')
	if err != nil {
		return a, fmt.Errorf("the peer is gone: %w", err)
	}
	if err := json.Unmarshal(line, &a); err != nil {
		return a, err
	}
	return a, a.err()
}

func (a answer) err() error {
	switch {
	case a.Unsupported:
		return errUnsupported
	case a.Error != "":
		return errors.New(a.Error)
	}
	return nil
}

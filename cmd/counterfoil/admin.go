package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/counterfoil/counterfoil/internal/fetch"
	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/oauth"
)

const (
	adminTimeout = 90 * time.Second // more than the issuer waits for verifiers
	maxAnswer    = 64 << 20         // bytes of one answer
)

// adminFlags say where the issuer is that a command administers.
type adminFlags struct {
	data      string
	server    string
	tokenFile string
}

func (f *adminFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.data, "data", defaultData, "data `DIR` of the issuer on this machine")
	flags.StringVar(&f.server, "server", "", "`URL` of an issuer elsewhere")
	flags.StringVar(&f.tokenFile, "token-file", "", "`FILE` with an access token of scope admin, for --server; - is stdin")
}

// An adminClient speaks to the administration of an issuer.
type adminClient struct {
	http  *http.Client
	base  string
	token string
	where string // for messages
	hint  string // when nobody answers
}

// connect prepares a client. It touches no network.
func (a *app) connect(f *adminFlags) (*adminClient, error) {
	if f.server == "" && f.tokenFile != "" {
		return nil, misuse("--token-file goes with --server; an issuer on this machine asks for none")
	}
	if f.server == "" {
		socket := dataFolder(f.data).socket()
		dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}
		return &adminClient{
			http: &http.Client{Transport: &http.Transport{DialContext: dial}, Timeout: adminTimeout},
			base: "http://counterfoil", where: "the folder " + f.data,
			hint: "start one: counterfoil serve --data " + f.data + "; or name another folder with --data, or a URL with --server",
		}, nil
	}
	u, err := fetch.ParseURL(strings.TrimSuffix(f.server, "/"))
	if err != nil {
		return nil, misuse("--server: %v", err)
	}
	if f.tokenFile == "" {
		return nil, hinted(misuse("--server needs --token-file"), "counterfoil login --server "+f.server+" --user NAME --scope admin --out token.txt")
	}
	data, err := a.readInput(f.tokenFile)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, Proxy: http.ProxyFromEnvironment}
	return &adminClient{
		http: fetch.WithoutRedirects(&http.Client{Transport: transport, Timeout: adminTimeout}),
		base: strings.TrimSuffix(u.String(), "/"), token: trimLine(data), where: f.server, hint: "is the URL right?",
	}, nil
}

// call sends in as JSON, unless it is nil, and reads the answer into out, unless
// that is nil.
func (c *adminClient) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader = http.NoBody
	if in != nil {
		data, err := wire.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	return c.do(req, out)
}

func (c *adminClient) do(req *http.Request, out any) error {
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(err)
	}
	defer resp.Body.Close()
	data, err := fetch.Body(resp.Body, maxAnswer)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return answerError(resp.StatusCode, data)
	}
	if out == nil {
		return nil
	}
	return wire.Unmarshal(data, out)
}

func (c *adminClient) unreachable(err error) error {
	if errors.Is(err, context.Canceled) {
		return errInterrupted
	}
	var opErr *net.OpError
	if errors.As(err, &opErr) && opErr.Op == "dial" {
		if errors.Is(err, fs.ErrPermission) {
			return hinted(fmt.Errorf("not permitted to speak to the issuer on %s", c.where), "run this as the user that the issuer runs as")
		}
		return hinted(fmt.Errorf("no issuer answers on %s", c.where), c.hint)
	}
	return err
}

// An answer that is not a yes.
type answeredError struct {
	status int
	text   string
}

func (e *answeredError) Error() string { return e.text }

func answerError(status int, data []byte) error {
	var body oauth.ErrorResponse
	if wire.Unmarshal(data, &body) != nil || body.Code == "" && body.Description == "" {
		return &answeredError{status, fmt.Sprintf("the issuer answered %d %s", status, http.StatusText(status))}
	}
	text := body.Description
	if text == "" {
		text = body.Code
	}
	return &answeredError{status, printable(text)}
}

// items is the answer of every list.
type items[T any] struct {
	Items []T `json:"items"`
}

// fetchList reads a list, and prints it when a program asked for it.
func fetchList[T any](ctx context.Context, a *app, f *adminFlags, path string, machine bool) (list []T, done bool, err error) {
	c, err := a.connect(f)
	if err != nil {
		return nil, false, err
	}
	answer := items[T]{}
	if err := c.call(ctx, http.MethodGet, path, nil, &answer); err != nil {
		return nil, false, err
	}
	if answer.Items == nil {
		answer.Items = []T{}
	}
	if machine {
		return nil, true, a.printJSON(answer.Items)
	}
	return answer.Items, false, nil
}

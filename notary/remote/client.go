package remote

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/notary"
)

// DefaultTimeout is how long a [Client] waits for one answer.
const DefaultTimeout = 2 * time.Second

// Config says where a notary is. URLs is required.
type Config struct {
	// URLs are "unix:PATH" or "https://HOST:PORT". Several are notaries with the
	// same secrets: when one does not answer, the next is asked.
	URLs []string

	Cert, Key string        // PEM files with the client's certificate, read for each connection; for https
	CA        string        // PEM file with the authorities of the notary's certificate; default: the system's
	Timeout   time.Duration // for one notary to answer; default [DefaultTimeout]
}

// A Client asks a notary in another process. It is a [notary.Notary], a
// [notary.Witnesser] and a [notary.Releaser]. An error that matches
// [notary.ErrUnavailable] means that none of them answered; what they were asked is
// then not done, and may be asked again.
type Client struct {
	places    []*place
	preferred *atomic.Int32 // the place that answered last
}

// A place is one notary.
type place struct {
	url     string // as configured
	base    string
	http    *http.Client
	timeout time.Duration
}

// Open returns a client. It connects to nobody yet: a notary may start later. It
// fails for a URL or a file that is not good. Close it.
func Open(cfg Config) (*Client, error) {
	c := &Client{preferred: new(atomic.Int32)}
	if len(cfg.URLs) == 0 {
		return nil, errors.New("remote: URLs names no notary")
	}
	for _, u := range cfg.URLs {
		p, err := cfg.place(u)
		if err != nil {
			return nil, err
		}
		c.places = append(c.places, p)
	}
	return c, nil
}

// CheckURL returns why Open would refuse a URL.
func CheckURL(text string) error {
	if path, ok := strings.CutPrefix(text, "unix:"); ok && path != "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("the notary is at unix:PATH or https://HOST:PORT")
	}
	return nil
}

func (cfg *Config) place(text string) (*place, error) {
	if err := CheckURL(text); err != nil {
		return nil, err
	}
	p := &place{url: text, timeout: cmp.Or(cfg.Timeout, DefaultTimeout)}
	// One connection for each request under way, kept for the next one: HTTP/1.1
	// has nothing that a lost answer of another request could hold up.
	// A connection that is being made outlives the request that wanted it, and needs
	// bounds of its own.
	dialer := &net.Dialer{Timeout: p.timeout}
	transport := &http.Transport{
		DialContext: dialer.DialContext, TLSHandshakeTimeout: p.timeout,
		MaxIdleConnsPerHost: maxTags, IdleConnTimeout: time.Minute, DisableCompression: true,
	}
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		p.base = "http://notary"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", path)
		}
	} else {
		p.base = strings.TrimRight(text, "/")
		var err error
		if transport.TLSClientConfig, err = cfg.tls(); err != nil {
			return nil, err
		}
	}
	p.http = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return p, nil
}

func (cfg *Config) tls() (*tls.Config, error) {
	if cfg.Cert == "" || cfg.Key == "" {
		return nil, errors.New("a notary at an https URL wants a client certificate and its key")
	}
	load := func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(cfg.Cert, cfg.Key)
		if err != nil {
			return nil, fmt.Errorf("reading the certificate %s with key %s: %w", cfg.Cert, cfg.Key, err)
		}
		return &pair, nil
	}
	if _, err := load(); err != nil {
		return nil, err
	}
	config := &tls.Config{
		MinVersion:           tls.VersionTLS13,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() },
	}
	if cfg.CA == "" {
		return config, nil
	}
	text, err := os.ReadFile(cfg.CA)
	if err != nil {
		return nil, err
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate", cfg.CA)
	}
	return config, nil
}

// Close closes idle connections.
func (c *Client) Close() error {
	for _, p := range c.places {
		p.http.CloseIdleConnections()
	}
	return nil
}

// Each returns a client for each notary alone, in the order of Config.URLs: to find
// out whether they all have the same secrets.
func (c *Client) Each() []notary.Notary {
	var each []notary.Notary
	for _, p := range c.places {
		each = append(each, &Client{places: []*place{p}, preferred: new(atomic.Int32)})
	}
	return each
}

var errAnswer = errors.New("the answer is not a notary's")

// Tag asks for a jti.
func (c *Client) Tag(ctx context.Context, kid string, d notary.Digest) (string, error) {
	answer, err := c.tag(ctx, tagRequest{KeyID: kid, Digest: wire.Encode(d[:])})
	return answer.ID, err
}

// TagWitness asks for a jti and a witness in one round trip. The notary learns no
// more of the token than a hash.
func (c *Client) TagWitness(ctx context.Context, kid, header string, rest []byte) (jti, witness string, err error) {
	h := sha256.New()
	io.WriteString(h, header)
	h.Write([]byte{'.'})
	h.Write(rest)
	answer, err := c.tag(ctx, tagRequest{KeyID: kid, Sum: wire.Encode(h.Sum(nil))})
	return answer.ID, answer.Witness, err
}

func (c *Client) tag(ctx context.Context, req tagRequest) (answer tagAnswer, err error) {
	body, err := wire.Marshal(req)
	if err != nil {
		return answer, err
	}
	err = c.ask(ctx, question{http.MethodPost, pathTag, jsonType, body, maxTagBody}, func(b []byte) error {
		answer = tagAnswer{}
		if err := wire.Unmarshal(b, &answer); err != nil || !answer.fits(&req) {
			return errAnswer
		}
		return nil
	})
	if err != nil {
		return tagAnswer{}, err // never half of one
	}
	return answer, nil
}

// fits reports whether a tag has the form of one: what is minted with it must not
// be untagged.
func (a *tagAnswer) fits(req *tagRequest) bool {
	if _, err := notary.NewRecord(req.KeyID, a.ID, notary.Digest{}); err != nil {
		return false
	}
	var witness [64]byte
	if req.Sum == "" {
		return a.Witness == ""
	}
	return decodeInto(witness[:], a.Witness)
}

// Check asks whether the notary made the tags of records.
func (c *Client) Check(ctx context.Context, records []notary.Record) ([]bool, error) {
	body, err := notary.AppendReport(make([]byte, 0, 2+300+len(records)*notary.RecordSize), records)
	if err != nil {
		return nil, err
	}
	var right []bool
	err = c.ask(ctx, question{http.MethodPost, pathCheck, notary.ReportType, body, notary.MaxRecords}, func(b []byte) error {
		if len(b) != len(records) {
			return errAnswer
		}
		right = make([]bool, len(b))
		for i := range b {
			if b[i] > 1 {
				return errAnswer
			}
			right[i] = b[i] == 1
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return right, nil
}

// WitnessKeys asks for the public keys that verify witnesses.
func (c *Client) WitnessKeys(ctx context.Context) (keys *jwk.Set, err error) {
	err = c.ask(ctx, question{http.MethodGet, pathWitnessKeys, "", nil, maxKeysBody}, func(b []byte) (err error) {
		keys, err = jwk.ParseSet(b)
		if err != nil || keys.Len() == 0 {
			return errAnswer
		}
		return nil
	})
	return keys, err
}

// ReleaseKey asks for the public key that standby keys are sealed to.
func (c *Client) ReleaseKey(ctx context.Context) (key *jwk.Key, err error) {
	err = c.ask(ctx, question{http.MethodGet, pathReleaseKey, "", nil, maxKeysBody}, func(b []byte) (err error) {
		key, err = jwk.ParsePublic(b)
		if err != nil || key.Algorithm() != notary.ReleaseAlgorithm || key.KeyID() == "" {
			return errAnswer
		}
		return nil
	})
	return key, err
}

// Release asks for what was sealed for the signing key named kid.
func (c *Client) Release(ctx context.Context, kid, sealed string) (inner string, err error) {
	body, err := wire.Marshal(releaseMessage{kid, sealed})
	if err != nil {
		return "", err
	}
	err = c.ask(ctx, question{http.MethodPost, pathRelease, jsonType, body, maxReleaseBody}, func(b []byte) error {
		var answer releaseMessage
		if err := wire.Unmarshal(b, &answer); err != nil || answer.Sealed == "" {
			return errAnswer
		}
		inner = answer.Sealed
		return nil
	})
	return inner, err
}

// A question is one request.
type question struct {
	method, path, contentType string
	body                      []byte
	limit                     int64 // bytes of the answer
}

// A RefusedError reports a notary that understood and said no.
type RefusedError struct{ URL, Reason string }

func (e *RefusedError) Error() string { return "the notary at " + e.URL + " refuses: " + e.Reason }

// ask puts q to the places in turn, beginning with the one that answered last,
// until read takes an answer. All places are equal, so that the one that answered is
// asked first the next time.
func (c *Client) ask(ctx context.Context, q question, read func(body []byte) error) error {
	first := int(c.preferred.Load())
	var causes []string
	for i := range c.places {
		at := (first + i) % len(c.places)
		p := c.places[at]
		err := p.ask(ctx, q, read)
		if err == nil {
			c.preferred.Store(int32(at))
			return nil
		}
		if _, refused := errors.AsType[*RefusedError](err); refused || errors.Is(err, notary.ErrEscrow) {
			return err
		}
		causes = append(causes, p.url+": "+err.Error())
		if ctx.Err() != nil {
			break // nobody waits any more
		}
	}
	return fmt.Errorf("%w: %s", notary.ErrUnavailable, strings.Join(causes, "; "))
}

func (p *place) ask(ctx context.Context, q question, read func(body []byte) error) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, q.method, p.base+q.path, bytes.NewReader(q.body))
	if err != nil {
		return err
	}
	if q.contentType != "" {
		req.Header.Set("Content-Type", q.contentType)
	}
	// Asking twice does no harm, so a connection that the notary closed just now
	// is no reason to fail. Without a value the header is not sent.
	req.Header["Idempotency-Key"] = nil
	resp, err := p.http.Do(req)
	if err != nil {
		return cause(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, q.limit+1))
	if err != nil {
		return cause(err)
	}
	if resp.StatusCode != http.StatusOK {
		return p.refusal(resp.StatusCode, body)
	}
	if int64(len(body)) > q.limit {
		return errAnswer
	}
	return read(body)
}

// refusal tells what another answer than 200 means. Only for 400 no other notary
// needs to be asked: whatever else stands at the URL has no say.
func (p *place) refusal(status int, body []byte) error {
	var answer struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}
	if status != http.StatusBadRequest || wire.Unmarshal(body, &answer) != nil {
		return fmt.Errorf("status %d", status)
	}
	switch answer.Code {
	case codeNotSealed:
		return notary.ErrEscrow
	case "invalid_request":
		return &RefusedError{p.url, fmt.Sprintf("%.100q", answer.Description)}
	}
	return fmt.Errorf("status %d", status)
}

// cause is err without the URL of the request, which means nothing to an operator.
func cause(err error) error {
	if outer, ok := errors.AsType[*url.Error](err); ok {
		err = outer.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("no answer in time")
	}
	return err
}

package verifier

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/fetch"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/revocation"
)

// maxLine bounds one line of the stream: a frame with its field name.
const maxLine = jws.MaxToken + 64

// maxDropped bounds what is read of an answer that nobody wants, in bytes.
const maxDropped = 4 << 10

// endpoint is one place where a feed can be read.
type endpoint struct {
	base   string // without a slash at its end
	client *http.Client
	mirror bool // reached over a cache; never sent the credential

	authorize func(*http.Request) error // shows the credential; nil for mirrors
}

func newEndpoint(cfg *Config, base string, mirror bool) (endpoint, error) {
	u, err := fetch.ParseURL(base)
	if err != nil {
		return endpoint{}, err
	}
	return endpoint{base: strings.TrimSuffix(base, "/"), client: cfg.client(u), mirror: mirror}, nil
}

// transportError is an answer that did not come.
type transportError struct{ err error }

func (e *transportError) Error() string { return e.err.Error() }
func (e *transportError) Unwrap() error { return e.err }

// isAbsent reports whether err says that nothing came, rather than something
// wrong: another endpoint may do better.
func isAbsent(err error) bool {
	var transport *transportError
	var status *fetch.StatusError
	return errors.As(err, &transport) || errors.As(err, &status)
}

// noCache asks caches on the way to stand aside (RFC 9111, Section 5.2.1.4).
var noCache = http.Header{"Cache-Control": {"no-cache"}}

// get asks for path. The answer's status is 200.
func (e endpoint) get(ctx context.Context, path string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.base+path, nil)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	return e.do(req, http.StatusOK)
}

func (e endpoint) do(req *http.Request, want int) (*http.Response, error) {
	resp, err := e.client.Do(req)
	if err != nil {
		return nil, &transportError{err}
	}
	if resp.StatusCode != want {
		drop(resp)
		return nil, &fetch.StatusError{Status: resp.StatusCode}
	}
	return resp, nil
}

// drop reads a little of an answer that nobody wants, so that its connection can be
// used again.
func drop(resp *http.Response) {
	io.CopyN(io.Discard, resp.Body, maxDropped)
	resp.Body.Close()
}

// readAny reads something immutable from the first endpoint that has it.
func (f *feed) readAny(ctx context.Context, path string, limit int64) (body []byte, err error) {
	for _, e := range f.at {
		if body, err = e.read(ctx, path, limit); err == nil || ctx.Err() != nil {
			return body, err
		}
	}
	return nil, err
}

func (e endpoint) read(ctx context.Context, path string, limit int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	resp, err := e.get(ctx, path, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return fetch.Body(resp.Body, limit)
}

// tail reads frames that follow after, until the answer ends or each fails. With
// a wait it is a long poll, otherwise a stream without an end. When no event
// comes for patience, it is given up.
func (e endpoint) tail(ctx context.Context, after revocation.Position, wait, patience time.Duration, each func(frame string) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(patience, cancel)
	defer silence.Stop()

	path := fmt.Sprintf("/tail?after=%d.%d", after.Epoch, after.Seq)
	if wait > 0 {
		path += "&wait=" + strconv.Itoa(int(wait/time.Second))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.base+path, nil)
	if err != nil {
		return err
	}
	req.Header = http.Header{"Cache-Control": {"no-cache"}, "Accept": {"text/event-stream"}}
	if e.authorize != nil {
		// The tail is public. A verifier that shows itself is let in also when
		// everybody else is too many; one that cannot still tries.
		_ = e.authorize(req)
	}
	resp, err := e.do(req, http.StatusOK)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return readEvents(resp.Body, func(data string) error {
		silence.Reset(patience)
		return each(data)
	})
}

// tailAny reads from the first endpoint that answers what it has after a
// position, without waiting for more.
func (f *feed) tailAny(ctx context.Context, after revocation.Position, each func(frame string) error) (err error) {
	for _, e := range f.at {
		if err = e.tail(ctx, after, shortPoll, requestTimeout, each); err == nil || ctx.Err() != nil || !isAbsent(err) {
			return err
		}
	}
	return err
}

// readEvents reads Server-Sent Events (WHATWG HTML, Section 9.2.6) as far as the
// feed uses them: an event is its data, of one line. The id repeats what the
// frame says under a signature, and is passed over.
func readEvents(r io.Reader, each func(data string) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4<<10), maxLine)
	lines.Split(scanLines)
	var data string
	for lines.Scan() {
		line := lines.Text()
		if line == "" && data != "" {
			if err := each(data); err != nil {
				return err
			}
			data = ""
			continue
		}
		if value, ok := strings.CutPrefix(line, "data:"); ok {
			data = strings.TrimPrefix(value, " ")
		}
	}
	if err := lines.Err(); err != nil {
		return &transportError{err}
	}
	return nil
}

// scanLines ends lines as the standard does: by CR LF, LF or CR. A line that the
// end of the stream cuts off is dropped.
func scanLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	i := bytes.IndexAny(data, "\r\n")
	switch {
	case i < 0 && atEOF:
		return len(data), nil, nil
	case i < 0:
		return 0, nil, nil
	case data[i] == '\n':
		return i + 1, data[:i], nil
	case i+1 < len(data) && data[i+1] == '\n':
		return i + 2, data[:i], nil
	case i+1 < len(data) || atEOF:
		return i + 1, data[:i], nil
	}
	return 0, nil, nil // a CR at the end: an LF may follow
}

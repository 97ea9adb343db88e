package jwks

import (
	"io"
	"os"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/atomicfile"
	"github.com/counterfoil/counterfoil/internal/wire"
)

// diskState is a set as it lies in Config.StateFile. It holds public keys only.
type diskState struct {
	URL    string `json:"url"`
	At     int64  `json:"at"`      // Unix seconds of the last confirmation
	MaxAge int64  `json:"max_age"` // seconds
	ETag   string `json:"etag,omitempty"`
	// Body is what the source wrote. As a value and not a text it would lose its
	// white space, and with it the digest.
	Body string `json:"body"`
}

// maxState bounds the file: a body in which every byte is escaped, and the rest.
const maxState = 2*MaxBody + 128<<10

// load starts from the copy on disk if there is one for this URL. A copy that
// cannot be read is as good as none: the first fetch replaces it.
func (r *Remote) load() {
	if r.cfg.StateFile == "" {
		return
	}
	h, err := r.cfg.readState()
	if err != nil {
		if !os.IsNotExist(err) {
			r.log.Warn("saved key set not used", "err", err)
		}
		return
	}
	r.held.Store(h)
	close(r.loaded)
}

func (c *Config) readState() (*held, error) {
	f, err := os.Open(c.StateFile)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxState))
	if err != nil {
		return nil, err
	}
	var d diskState
	if err := wire.Unmarshal(data, &d); err != nil {
		return nil, err
	}
	body := []byte(d.Body)
	if d.URL != c.URL {
		// A signed set is its issuer's wherever it lay, and its version counts: a source
		// that moves must not go back by it.
		if c.Signers == nil || !looksSigned(d.Body) {
			return nil, os.ErrNotExist
		}
		d.ETag = ""
	}
	res, err := c.parse(body)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return &held{
		resource: res, body: body, etag: d.ETag, at: now,
		maxAge:  time.Duration(d.MaxAge) * time.Second,
		fromAge: max(now.Sub(time.Unix(d.At, 0)), 0),
	}, nil
}

func looksSigned(body string) bool { return !strings.HasPrefix(strings.TrimSpace(body), "{") }

// save replaces the copy on disk whole: readers see the old one or the new one.
func (r *Remote) save(h *held) error {
	if r.cfg.StateFile == "" {
		return nil
	}
	data, err := wire.Marshal(diskState{
		URL: r.cfg.URL, At: h.at.Unix(), MaxAge: int64(h.maxAge / time.Second), ETag: h.etag, Body: string(h.body),
	})
	if err != nil {
		return err
	}
	return atomicfile.Write(r.cfg.StateFile, data)
}

package verifier

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/atomicfile"
	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/revocation"
)

// Files of the state, in a folder for each issuer.
const (
	metadataFile   = "metadata.json"
	keysFile       = "keys.json"
	signedKeysFile = "keys.jwt.json"
	feedFile       = "feed.json" // holds handle keys: secret
	evidenceFile   = "evidence.json"
	tableFile      = "table"

	maxFeedFile = 1 << 20
)

// saveEvery is how often a table that has moved is written.
const saveEvery = 10 * time.Second

// stateDir is where a Verifier keeps what it needs to start with the issuer
// down. The zero stateDir keeps nothing.
type stateDir struct{ path string }

func openState(dir, issuer string) (*stateDir, error) {
	if dir == "" {
		return &stateDir{}, nil
	}
	sum := sha256.Sum256([]byte(issuer))
	s := &stateDir{filepath.Join(dir, hex.EncodeToString(sum[:8]))}
	if err := os.MkdirAll(s.path, 0o700); err != nil {
		return nil, fmt.Errorf("verifier: StateDir: %w", err)
	}
	return s, nil
}

// file returns the path of a file, or "" where nothing is kept.
func (s *stateDir) file(name string) string {
	if s.path == "" {
		return ""
	}
	return filepath.Join(s.path, name)
}

// read returns nil where there is nothing.
func (s *stateDir) read(name string, limit int64) ([]byte, error) {
	f, err := s.open(name)
	if f == nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

func (s *stateDir) open(name string) (*os.File, error) {
	if s.path == "" {
		return nil, nil
	}
	f, err := os.Open(s.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return f, err
}

func (s *stateDir) write(name string, data []byte) error {
	if s.path == "" {
		return nil
	}
	return atomicfile.Write(s.file(name), data)
}

// savedFeed is feed.json: what a feed must know beside the table.
type savedFeed struct {
	Issuer     string         `json:"issuer"`
	Root       jsontext.Value `json:"root"`
	Statements []string       `json:"statements"` // trust, in the order of acceptance
	HandleKeys []handleSecret `json:"handle_keys"`
	FreshAt    int64          `json:"fresh_at"`       // Unix milliseconds; of a table that has reached
	Epoch      uint64         `json:"epoch,omitzero"` // epoch
	Seq        uint64         `json:"seq,omitzero"`   // and seq
	AsOf       int64          `json:"as_of"`          // the same, of the newest manifest
	KeySetVer  uint64         `json:"key_set_ver,omitzero"`
	Canaries   string         `json:"canaries,omitzero"` // a JWK Set as it came
}

// restore starts from what is on disk. The table is then never better than
// stale, since only the feed can say what has happened in the meantime.
func (f *feed) restore() error {
	f.restoreEvidence()
	cfg := revocation.TableConfig{Issuer: f.cfg.Issuer, Cap: f.cfg.TableBytes, Retention: revocation.RetentionSlack}
	saved, err := f.readSaved()
	if err == nil && saved != nil {
		f.table, err = f.readTable(cfg)
	}
	if err != nil {
		f.log.Warn("saved revocations not used", "iss", f.cfg.Issuer, "err", err)
		f.anchor = nil
	}
	if f.table == nil {
		f.table, err = revocation.NewTable(cfg)
		return err
	}
	f.table.SetRetention(f.anchor.Retention())
	f.publish()
	f.delay.newest = time.UnixMilli(saved.AsOf)
	if f.table.Head().Before(revocation.Position{Epoch: saved.Epoch, Seq: saved.Seq}) {
		// Another process has put an older table in its place: how old, nobody knows.
		f.log.Warn("saved revocations are older than they claim: does another process use StateDir?", "iss", f.cfg.Issuer)
		return nil
	}
	age := max(time.Since(time.UnixMilli(saved.FreshAt)), LateFor+time.Millisecond)
	at := time.Now().Add(-age)
	f.freshAt.Store(&at)
	f.savedAt, f.savedHead = &at, f.table.Head()
	return nil
}

// readSaved makes the anchor again. It returns nil where nothing was saved, or
// where another root has been pinned since.
func (f *feed) readSaved() (*savedFeed, error) {
	data, err := f.state.read(feedFile, maxFeedFile)
	if data == nil {
		return nil, err
	}
	var s savedFeed
	if err := wire.Unmarshal(data, &s); err != nil {
		return nil, err
	}
	root, err := jwk.Parse(s.Root)
	if err != nil {
		return nil, err
	}
	// A credential that cannot be read names nothing; the pin in the state stands.
	named, _ := f.cfg.rootThumbprint()
	if s.Issuer != f.cfg.Issuer || named != "" && root.Thumbprint() != named {
		return nil, errRoot
	}
	a := newAnchor(root, f.cfg.Issuer)
	for _, statement := range s.Statements {
		if err := a.Accept(statement); err != nil {
			return nil, err
		}
	}
	for _, h := range s.HandleKeys {
		secret, err := wire.Decode(h.Key)
		if err != nil {
			return nil, err
		}
		if err := a.offer(h.ID, secret); err != nil {
			return nil, err
		}
	}
	f.anchor = a
	f.nowKeyed()
	f.keys.require(s.KeySetVer)
	if s.Canaries != "" {
		f.flock.named = nameOf(jsontext.Value(s.Canaries))
		return &s, f.takeCanaries(jsontext.Value(s.Canaries))
	}
	return &s, nil
}

func (f *feed) readTable(cfg revocation.TableConfig) (*revocation.Table, error) {
	file, err := f.state.open(tableFile)
	if file == nil {
		return nil, err
	}
	defer file.Close()
	return revocation.ReadTable(cfg, file)
}

// keep saves what has changed, now and then.
func (f *feed) keep(ctx context.Context) {
	if f.state.path == "" {
		return
	}
	for ctx.Err() == nil {
		sleep(ctx, saveEvery)
		if ctx.Err() != nil {
			return // Close saves
		}
		if err := f.save(); err != nil {
			f.log.Warn("revocations not saved", "iss", f.cfg.Issuer, "err", err)
		}
	}
}

// save writes trust, evidence and table. The keys to look into a table are there
// before the table is, and so is what shows how it came about; the table is there
// before anything says how fresh it is. Whenever the machine stops, what is on
// disk claims nothing that is not so.
func (f *feed) save() error {
	if f.state.path == "" || f.lookup.Load() == nil {
		return nil
	}
	at, head := f.freshAt.Load(), f.table.Head()
	if f.dirty.Swap(false) {
		if err := f.saveTable(); err != nil {
			f.dirty.Store(true)
			return err
		}
	}
	f.savedAt, f.savedHead = at, head
	return f.saveTrust()
}

func (f *feed) saveTable() error {
	if err := f.saveTrust(); err != nil {
		return err
	}
	if err := f.saveEvidence(); err != nil {
		return err
	}
	return atomicfile.WriteFrom(f.state.file(tableFile), f.table)
}

func (f *feed) saveTrust() error {
	saved, err := f.toSave()
	if err != nil {
		return err
	}
	return f.state.write(feedFile, saved)
}

func (f *feed) toSave() ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	root, err := f.anchor.root.MarshalJSON()
	if err != nil {
		return nil, err
	}
	s := savedFeed{
		Issuer: f.cfg.Issuer, Root: root, Statements: f.anchor.Statements(),
		KeySetVer: f.keys.floor.Load(), Canaries: string(f.flock.text),
	}
	for _, id := range f.anchor.HandleKeyIDs() {
		if secret, ok := f.anchor.secrets[id]; ok {
			s.HandleKeys = append(s.HandleKeys, handleSecret{id, wire.Encode(secret)})
		}
	}
	if f.savedAt != nil {
		s.FreshAt, s.Epoch, s.Seq = f.savedAt.UnixMilli(), f.savedHead.Epoch, f.savedHead.Seq
	}
	if !f.delay.newest.IsZero() {
		s.AsOf = f.delay.newest.UnixMilli()
	}
	return wire.Marshal(s)
}

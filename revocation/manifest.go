package revocation

import (
	"encoding/hex"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

const (
	// MaxShards is how many shards a snapshot has at most.
	MaxShards = 64

	maxTrust     = 4 << 10              // bytes of a trust statement inside a manifest
	maxLifeBound = 366 * 24 * time.Hour // longest max life that is believed
	maxHeartbeat = time.Minute
)

// A Manifest says where the log stands and how to catch up with it.
type Manifest struct {
	Issuer      string
	Epoch       uint64
	Base        uint64 // head of the epoch when it was new; its first entry is Base+1
	Head        uint64
	C           Link         // the chain at Head
	LowWater    uint64       // entries up to here are gone from the log
	AsOf        time.Time    // when the signer began to read the head; to the millisecond
	Snapshot    *SnapshotRef // nil when the tail reaches back to Base
	HandleKeyID string       // the handle key of new entries
	KeySet      string       // names the published token keys, so that a change is noticed at once; may be empty
	// KeySetVersion is the version of the signed key set. Zero: the issuer signs
	// none. A verifier that sees one believes no other keys than signed ones.
	KeySetVersion uint64
	Canaries      string        // names the canary keys, which the holders of a credential may fetch; empty: there are none
	Trust         string        // the trust statement, a JWS by the root key
	MaxLife       time.Duration // longest life of a token; whole seconds
	Heartbeat     time.Duration // how often a heartbeat comes; milliseconds
}

// A SnapshotRef names the shards that together hold all live entries up to Seq.
type SnapshotRef struct {
	Epoch    uint64
	Seq      uint64
	C        Link
	LowWater uint64   // entries up to here are not in it, absolute ones excepted
	Shards   []string // SHA-256 of each, in lower-case hex, in order of seq
}

type manifestJSON struct {
	Issuer    string        `json:"iss"`
	Epoch     uint64        `json:"epoch"`
	Base      uint64        `json:"base"`
	Head      uint64        `json:"head"`
	C         string        `json:"c"`
	LowWater  uint64        `json:"low_water"`
	AsOf      uint64        `json:"as_of"`
	Snapshot  *snapshotJSON `json:"snapshot,omitempty"`
	KFID      string        `json:"kfid"`
	KeySet    string        `json:"key_set,omitzero"`
	KeySetVer uint64        `json:"key_set_ver,omitzero"`
	Canaries  string        `json:"canaries,omitzero"`
	Trust     string        `json:"trust"`
	MaxLife   uint64        `json:"max_life"`     // seconds
	Heartbeat uint64        `json:"heartbeat_ms"` // milliseconds
}

type snapshotJSON struct {
	Epoch    uint64   `json:"epoch"`
	Seq      uint64   `json:"seq"`
	C        string   `json:"c"`
	LowWater uint64   `json:"low_water"`
	Shards   []string `json:"shards"`
}

// Position returns the head that the manifest states.
func (m *Manifest) Position() Position { return Position{m.Epoch, m.Head, m.C} }

// Start returns the empty snapshot at the beginning of the epoch, from which
// the tail leads to the head. It is what to load when Snapshot is nil: every
// token from before the epoch is then below the low-water mark.
func (m *Manifest) Start() *Snapshot {
	return &Snapshot{
		Issuer:   m.Issuer,
		Position: Position{m.Epoch, m.Base, Origin(m.Issuer, m.Epoch, m.Base)},
		LowWater: max(m.LowWater, m.Base),
		AsOf:     m.AsOf,
	}
}

// Sign returns the manifest as a compact JWS.
func (m *Manifest) Sign(feedKey *jwk.Key) (string, error) {
	if err := m.check(); err != nil {
		return "", err
	}
	w := manifestJSON{
		Issuer: m.Issuer, Epoch: m.Epoch, Base: m.Base, Head: m.Head, C: m.C.String(),
		LowWater: m.LowWater, AsOf: millis(m.AsOf), KFID: m.HandleKeyID, Trust: m.Trust,
		KeySet: m.KeySet, KeySetVer: m.KeySetVersion, Canaries: m.Canaries,
		MaxLife:   uint64(m.MaxLife / time.Second),
		Heartbeat: uint64(m.Heartbeat / time.Millisecond),
	}
	if s := m.Snapshot; s != nil {
		w.Snapshot = &snapshotJSON{s.Epoch, s.Seq, s.C.String(), s.LowWater, s.Shards}
	}
	return sign(feedKey, ManifestType, w)
}

// OpenManifest verifies a manifest of issuer iss. keys are the issuer's feed
// keys and nothing else; they come out of the trust statement, which
// UnverifiedTrust finds. Whether it is newer than what is held is for
// [Table.Consider] to say.
//
// Errors: ErrFormat, ErrFeedKey, ErrIssuer.
func OpenManifest(keys jwk.Source, iss, token string) (*Manifest, error) {
	var w manifestJSON
	if err := open(keys, ManifestType, token, &w); err != nil {
		return nil, err
	}
	if err := checkIssuer(w.Issuer, iss); err != nil {
		return nil, err
	}
	m, err := w.manifest()
	if err != nil {
		return nil, err
	}
	return m, m.check()
}

// UnverifiedTrust returns the trust statement inside a manifest before anything
// is known about the manifest. The statement is signed by the root key and must
// be opened with [OpenTrust]; nothing else of the manifest is believed by this.
func UnverifiedTrust(manifest string) (string, error) {
	u, err := jws.Parse(manifest)
	if err != nil || u.UnverifiedHeader().Type != ManifestType {
		return "", errFormat("manifest")
	}
	var w struct {
		Trust string `json:"trust"`
	}
	if err := wire.Unmarshal(u.UnverifiedPayload(), &w); err != nil || w.Trust == "" {
		return "", errFormat("trust")
	}
	return w.Trust, nil
}

func (w *manifestJSON) manifest() (*Manifest, error) {
	c, err := ParseLink(w.C)
	if err != nil {
		return nil, err
	}
	if w.MaxLife > uint64(maxLifeBound/time.Second) || w.Heartbeat > uint64(maxHeartbeat/time.Millisecond) {
		return nil, errFormat("durations")
	}
	m := &Manifest{
		Issuer: w.Issuer, Epoch: w.Epoch, Base: w.Base, Head: w.Head, C: c,
		LowWater: w.LowWater, AsOf: fromMillis(w.AsOf), HandleKeyID: w.KFID, Trust: w.Trust,
		KeySet: w.KeySet, KeySetVersion: w.KeySetVer, Canaries: w.Canaries,
		MaxLife:   time.Duration(w.MaxLife) * time.Second,
		Heartbeat: time.Duration(w.Heartbeat) * time.Millisecond,
	}
	if s := w.Snapshot; s != nil {
		c, err := ParseLink(s.C)
		if err != nil {
			return nil, err
		}
		m.Snapshot = &SnapshotRef{s.Epoch, s.Seq, c, s.LowWater, s.Shards}
	}
	return m, nil
}

// check says whether the manifest could be true.
func (m *Manifest) check() error {
	switch {
	case m.Issuer == "" || len(m.Issuer) > maxIssuer:
		return errFormat("issuer")
	case m.Epoch == 0 || m.Epoch > MaxSeq || m.Base == 0 || m.Head < m.Base || m.Head > MaxSeq || m.LowWater > m.Head:
		return errFormat("range")
	case m.Head == m.Base && m.C != Origin(m.Issuer, m.Epoch, m.Base):
		return ErrChain
	case millis(m.AsOf) == 0 || millis(m.AsOf) > MaxSeq:
		return errFormat("as_of")
	case !validID(m.HandleKeyID):
		return errFormat("kfid")
	case len(m.KeySet) > maxID || m.KeySetVersion > MaxSeq || m.KeySetVersion > 0 && m.KeySet == "":
		return errFormat("key_set")
	case len(m.Canaries) > maxID:
		return errFormat("canaries")
	case m.Trust == "" || len(m.Trust) > maxTrust:
		return errFormat("trust")
	case m.MaxLife < time.Second || m.MaxLife > maxLifeBound:
		return errFormat("max_life")
	case m.Heartbeat < time.Millisecond || m.Heartbeat > maxHeartbeat:
		return errFormat("heartbeat_ms")
	case m.Snapshot != nil:
		return m.Snapshot.check(m)
	}
	return nil
}

func (s *SnapshotRef) check(m *Manifest) error {
	switch {
	case s.Epoch != m.Epoch || s.Seq < m.Base || s.Seq > m.Head || s.LowWater > s.Seq:
		return errFormat("snapshot range")
	case s.Seq == m.Head && s.C != m.C:
		return ErrChain
	case len(s.Shards) > MaxShards:
		return errFormat("shards")
	case !slices.ContainsFunc(s.Shards, func(name string) bool { return !validShard(name) }):
		return nil
	}
	return errFormat("shard name")
}

// validShard reports whether name is a SHA-256 in lower-case hex, so that it is
// safe in a path.
func validShard(name string) bool {
	sum, err := hex.DecodeString(name)
	return err == nil && len(sum) == len(Link{}) && hex.EncodeToString(sum) == name
}

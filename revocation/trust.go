package revocation

import (
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

const (
	maxFeedKeys    = 8
	maxHandleKeys  = 8
	maxWitnessKeys = 8
)

// Trust is what the root key vouches for: who signs the feed, under which
// handle keys its entries are, how long tokens live, and who witnesses them. It
// holds until a statement with a higher version comes.
type Trust struct {
	Issuer       string
	Version      uint64        // counts up from 1; a lower one is refused
	FeedKeys     *jwk.Set      // public EdDSA keys
	HandleKeyIDs []string      // in force, the one of new entries first
	MaxLife      time.Duration // longest life of a token; whole seconds
	WitnessKeys  *jwk.Set      // public EdDSA keys of the notary, each with a kid of its own; nil if it makes no witnesses
}

type trustJSON struct {
	Issuer   string         `json:"iss"`
	Version  uint64         `json:"ver"`
	FeedKeys jsontext.Value `json:"feed_keys"`
	KFIDs    []string       `json:"kfids"`
	MaxLife  uint64         `json:"max_life"` // seconds
	Witness  jsontext.Value `json:"witness_keys,omitzero"`
}

// Sign returns the statement as a compact JWS by the root key.
func (t *Trust) Sign(root *jwk.Key) (string, error) {
	if err := t.check(); err != nil {
		return "", err
	}
	keys, err := t.FeedKeys.MarshalJSON()
	if err != nil {
		return "", err
	}
	w := trustJSON{
		Issuer: t.Issuer, Version: t.Version, FeedKeys: keys,
		KFIDs: t.HandleKeyIDs, MaxLife: uint64(t.MaxLife / time.Second),
	}
	if t.WitnessKeys != nil {
		if w.Witness, err = t.WitnessKeys.MarshalJSON(); err != nil {
			return "", err
		}
	}
	return sign(root, TrustType, w)
}

// OpenTrust verifies a statement about issuer iss by its root key.
//
// Errors: ErrFormat, ErrFeedKey, ErrIssuer.
func OpenTrust(root *jwk.Key, iss, token string) (*Trust, error) {
	if root == nil {
		return nil, ErrFeedKey
	}
	var w trustJSON
	if err := open(root, TrustType, token, &w); err != nil {
		return nil, err
	}
	if err := checkIssuer(w.Issuer, iss); err != nil {
		return nil, err
	}
	keys, err := jwk.ParseSet(w.FeedKeys)
	if err != nil || len(keys.Skipped()) > 0 || w.MaxLife > uint64(maxLifeBound/time.Second) {
		return nil, errFormat("trust")
	}
	t := &Trust{w.Issuer, w.Version, keys, w.KFIDs, time.Duration(w.MaxLife) * time.Second, nil}
	if w.Witness != nil {
		t.WitnessKeys, err = jwk.ParseSet(w.Witness)
		if err != nil || len(t.WitnessKeys.Skipped()) > 0 {
			return nil, errFormat("witness_keys")
		}
	}
	return t, t.check()
}

func (t *Trust) check() error {
	switch {
	case t.Issuer == "" || len(t.Issuer) > maxIssuer || t.Version == 0 || t.Version > MaxSeq:
		return errFormat("trust")
	case t.FeedKeys == nil || t.FeedKeys.Len() == 0 || t.FeedKeys.Len() > maxFeedKeys:
		return errFormat("feed_keys")
	case len(t.HandleKeyIDs) == 0 || len(t.HandleKeyIDs) > maxHandleKeys:
		return errFormat("kfids")
	case slices.ContainsFunc(t.HandleKeyIDs, func(id string) bool { return !validID(id) }):
		return errFormat("kfids")
	case t.MaxLife < time.Second || t.MaxLife > maxLifeBound:
		return errFormat("max_life")
	}
	for _, key := range t.FeedKeys.Keys() {
		if key.Algorithm() != jwk.EdDSA || !mayBe(key, FrameType) {
			return ErrFeedKey
		}
	}
	return t.checkWitnessKeys()
}

func (t *Trust) checkWitnessKeys() error {
	if t.WitnessKeys == nil {
		return nil
	}
	if n := t.WitnessKeys.Len(); n == 0 || n > maxWitnessKeys {
		return errFormat("witness_keys")
	}
	for _, key := range t.WitnessKeys.Keys() {
		if key.Algorithm() != jwk.EdDSA || key.IsPrivate() || key.KeyID() == "" {
			return errFormat("witness_keys")
		}
	}
	return nil
}

// An Anchor is what a verifier believes about an issuer's feed. It forgets
// nothing early: when a statement takes a handle key away or shortens max life,
// the old value stays in force beside the new for the old retention. It is not
// safe for concurrent use. The caller keeps its [Anchor.Statements] and replays them
// to a new Anchor after a restart.
type Anchor struct {
	iss     string
	root    *jwk.Key
	now     feedClock
	current *Trust
	token   string
	former  []formerTrust
}

// formerTrust is what replaced statements leave in force beside the present one.
type formerTrust struct {
	force
	tokens []string      // the statements, the oldest first
	until  time.Duration // on the feed's clock
}

// force is what a statement says of tokens and entries, which outlive it.
type force struct {
	handles   []string
	witnesses []*jwk.Key
	life      time.Duration
}

// maxFormer bounds how much is in force that was replaced. Only the root key makes
// statements. With one more, the two oldest end together, when the later of them would
// have: to refuse it would be to stop for ever where the feed key is another one.
const maxFormer = 16

// NewAnchor returns an Anchor that believes root and nobody else about iss.
func NewAnchor(root *jwk.Key, iss string) *Anchor { return &Anchor{iss: iss, root: root} }

// Accept takes a trust statement. A statement with a lower version is ErrStale,
// another one with the same version ErrFork; both leave everything as it is, as
// does every other error. The same statement again is nothing new.
func (a *Anchor) Accept(token string) error {
	t, err := OpenTrust(a.root, a.iss, token)
	if err != nil {
		return err
	}
	if a.current == nil {
		a.current, a.token = t, token
		return nil
	}
	switch {
	case t.Version < a.current.Version:
		return ErrStale
	case t.Version == a.current.Version && token != a.token:
		return ErrFork
	case t.Version == a.current.Version:
		return nil
	}
	until := a.now.elapsed + a.Retention()
	was, held := a.current, a.token
	a.current, a.token = t, token
	if f := was.force(); !f.within(t.force()) { // a change of the feed keys alone leaves nothing
		a.remember(formerTrust{f, []string{held}, until})
	}
	return nil
}

func (t *Trust) force() force {
	f := force{handles: t.HandleKeyIDs, life: t.MaxLife}
	if t.WitnessKeys != nil {
		f.witnesses = t.WitnessKeys.Keys()
	}
	return f
}

// within reports whether all of f is in other as well.
func (f force) within(other force) bool {
	lacks := func(id string) bool { return !slices.Contains(other.handles, id) }
	unknown := func(key *jwk.Key) bool { return !slices.ContainsFunc(other.witnesses, sameNamed(key)) }
	return f.life <= other.life && !slices.ContainsFunc(f.handles, lacks) && !slices.ContainsFunc(f.witnesses, unknown)
}

// with returns f and what it lacks of older.
func (f force) with(older force) force {
	all := force{slices.Clone(f.handles), slices.Clone(f.witnesses), max(f.life, older.life)}
	for _, id := range older.handles {
		if !slices.Contains(all.handles, id) {
			all.handles = append(all.handles, id)
		}
	}
	for _, key := range older.witnesses {
		if !slices.ContainsFunc(all.witnesses, sameNamed(key)) {
			all.witnesses = append(all.witnesses, key)
		}
	}
	return all
}

func sameNamed(key *jwk.Key) func(*jwk.Key) bool {
	return func(k *jwk.Key) bool { return k.KeyID() == key.KeyID() && k.Thumbprint() == key.Thumbprint() }
}

// remember keeps what a replaced statement has in force.
func (a *Anchor) remember(f formerTrust) {
	if len(a.former) == maxFormer {
		a.former[1].join(&a.former[0])
		a.former = slices.Delete(a.former, 0, 1)
	}
	a.former = append(a.former, f)
}

// join adds what is older, so that nothing ends earlier. A statement of which nothing is
// left is not kept.
func (f *formerTrust) join(older *formerTrust) {
	switch {
	case f.within(older.force):
		f.tokens = older.tokens
	case !older.within(f.force):
		f.tokens = slices.Concat(older.tokens, f.tokens)
	}
	f.force, f.until = f.with(older.force), max(f.until, older.until)
}

// Statement returns the present statement as it was signed, empty without one.
func (a *Anchor) Statement() string { return a.token }

// Statements returns the statements that make up what is believed, in the order in
// which a new Anchor takes them: nil without one.
func (a *Anchor) Statements() []string {
	var all []string
	for i := range a.former {
		all = append(all, a.former[i].tokens...)
	}
	if a.current == nil {
		return nil
	}
	return append(all, a.token)
}

// Advance tells the Anchor the as_of of an applied frame, which is the only
// time it knows. Former statements end by it.
func (a *Anchor) Advance(asOf time.Time) {
	a.now.advance(asOf)
	a.former = slices.DeleteFunc(a.former, func(f formerTrust) bool { return a.now.elapsed > f.until })
}

// FeedKeys returns the keys of the present statement: nil without one. A feed
// key that is taken away ends at once, since it may have been stolen.
func (a *Anchor) FeedKeys() *jwk.Set {
	if a.current == nil {
		return nil
	}
	return a.current.FeedKeys
}

// HandleKeyIDs returns the ids of all handle keys under which a token has to be
// looked up, the one of new entries first.
func (a *Anchor) HandleKeyIDs() []string {
	if a.current == nil {
		return nil
	}
	ids := slices.Clone(a.current.HandleKeyIDs)
	for _, f := range a.former {
		for _, id := range f.handles {
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// WitnessKeys returns the keys of which any may have made a token's witness, those
// of former statements in force included: nil if there are none. Of two with one
// kid the newer counts.
func (a *Anchor) WitnessKeys() *jwk.Set {
	if a.current == nil {
		return nil
	}
	var keys []*jwk.Key
	for _, key := range a.witnesses() {
		known := func(k *jwk.Key) bool { return k.KeyID() == key.KeyID() }
		if !slices.ContainsFunc(keys, known) {
			keys = append(keys, key)
		}
	}
	if keys == nil {
		return nil
	}
	set, err := jwk.NewSet(keys...)
	if err != nil {
		return a.current.WitnessKeys // cannot be: no two have one name
	}
	return set
}

// witnesses returns the keys of the present statement, and then the former ones.
func (a *Anchor) witnesses() []*jwk.Key {
	all := a.current.force().witnesses
	for _, f := range a.former {
		all = append(all, f.witnesses...)
	}
	return all
}

// Version returns the version of the present statement, 0 without one.
func (a *Anchor) Version() uint64 {
	if a.current == nil {
		return 0
	}
	return a.current.Version
}

// MaxLife returns the longest life of a token in force, present or former.
func (a *Anchor) MaxLife() time.Duration {
	if a.current == nil {
		return 0
	}
	life := a.current.MaxLife
	for _, f := range a.former {
		life = max(life, f.life)
	}
	return life
}

// Retention returns how long entries must be held: MaxLife + RetentionSlack.
func (a *Anchor) Retention() time.Duration { return a.MaxLife() + RetentionSlack }

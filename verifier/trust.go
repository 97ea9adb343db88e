package verifier

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/fetch"
	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/revocation"
)

var (
	// errNotKeyed reports that a handle key is missing of those in force.
	errNotKeyed = errors.New("a key of the revocation feed is missing")

	// errCredential is what an operator reads who has not keyed the verifier.
	errCredential = errors.New("the issuer does not give this verifier the key of its revocation feed: " +
		"run \"counterfoil client add --verifier NAME > FILE\" at the issuer, and name FILE in CredentialFile (guard --credential FILE)")

	errRoot = errors.New("the issuer's root key is not the one that was pinned")
)

// anchor is what a verifier believes about a feed, and what it keeps of it on
// disk. It is guarded by feed.mu.
type anchor struct {
	*revocation.Anchor
	root    *jwk.Key
	secrets map[string][]byte               // of handle keys, by id
	handles map[string]revocation.HandleKey // made of secrets
}

func newAnchor(root *jwk.Key, iss string) *anchor {
	return &anchor{
		Anchor:  revocation.NewAnchor(root, iss),
		root:    root,
		secrets: make(map[string][]byte),
		handles: make(map[string]revocation.HandleKey),
	}
}

// offer takes a handle key. Whether it is used is for the trust statement to
// say: a key that nobody vouched for is never looked up.
func (a *anchor) offer(id string, secret []byte) error {
	key, err := revocation.NewHandleKey(secret)
	if err != nil {
		return err
	}
	if key.ID() != id {
		return errors.New("handle key does not have its id")
	}
	if _, ok := a.handles[id]; !ok {
		a.secrets[id], a.handles[id] = secret, key
	}
	return nil
}

// handleKeys returns the handle keys in force, and whether none is missing.
func (a *anchor) handleKeys() (keys []revocation.HandleKey, complete bool) {
	for _, id := range a.HandleKeyIDs() {
		key, ok := a.handles[id]
		if !ok {
			return nil, false
		}
		keys = append(keys, key)
	}
	return keys, len(keys) > 0
}

// openManifest verifies a manifest by way of the trust statement in it.
func (a *anchor) openManifest(iss, token string) (*revocation.Manifest, error) {
	statement, err := revocation.UnverifiedTrust(token)
	if err != nil {
		return nil, err
	}
	if err := a.Accept(statement); err != nil {
		return nil, fmt.Errorf("trust: %w", err)
	}
	m, err := revocation.OpenManifest(a.FeedKeys(), iss, token)
	if err != nil {
		return nil, err
	}
	return m, a.vouches(m.HandleKeyID)
}

// misses reports whether a feed key of before is no longer one: it was taken away.
func (a *anchor) misses(before []string) bool {
	now := thumbprints(a.FeedKeys())
	return slices.ContainsFunc(before, func(name string) bool { return !slices.Contains(now, name) })
}

// openFrame verifies a frame.
func (a *anchor) openFrame(iss, token string) (*revocation.Frame, error) {
	if a == nil || a.FeedKeys() == nil {
		return nil, errNotKeyed
	}
	frame, err := revocation.OpenFrame(a.FeedKeys(), iss, token)
	if err != nil {
		return nil, err
	}
	return frame, a.vouches(frame.HandleKeyID)
}

// feedKeys returns the keys that the issuer signs its answers with, or nil.
func (f *feed) feedKeys() *jwk.Set {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.anchor == nil {
		return nil
	}
	return f.anchor.FeedKeys()
}

// vouches refuses entries under a handle key that the root has not vouched for:
// they would match nothing that we look up.
func (a *anchor) vouches(id string) error {
	if !slices.Contains(a.HandleKeyIDs(), id) {
		return fmt.Errorf("%w: a handle key that the root has not vouched for", revocation.ErrFeedKey)
	}
	return nil
}

// trusted follows a change of trust: retention, handle keys and what checks look
// at. Callers hold f.mu.
func (f *feed) trusted() error {
	f.nowKeyed()
	f.table.SetRetention(f.anchor.Retention())
	if _, complete := f.anchor.handleKeys(); !complete {
		return errNotKeyed
	}
	f.publish()
	return nil
}

// keyAnswer is what GET /key answers to a verifier's credential.
type keyAnswer struct {
	KFID       string         `json:"kfid"`
	Key        string         `json:"key"`
	Root       jsontext.Value `json:"root"`
	HandleKeys []handleSecret `json:"handle_keys"`
	Canaries   jsontext.Value `json:"canaries"`
}

type handleSecret struct {
	ID  string `json:"id"`
	Key string `json:"key"` // base64url
}

// fetchKeys gets root and handle keys with the credential.
func (f *feed) fetchKeys(ctx context.Context) error {
	answer, root, err := f.askForKeys(ctx)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.learn(root, append(answer.HandleKeys, handleSecret{answer.KFID, answer.Key}))
}

// askForKeys shows the credential and reads what it is answered.
func (f *feed) askForKeys(ctx context.Context) (answer keyAnswer, root *jwk.Key, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	body, err := f.requestKeys(ctx)
	var status *fetch.StatusError
	switch {
	case errors.As(err, &status) && (status.Status == http.StatusUnauthorized || status.Status == http.StatusForbidden):
		return answer, nil, errCredential
	case err != nil:
		return answer, nil, fmt.Errorf("feed key: %w", err)
	}
	if err := wire.Unmarshal(body, &answer); err != nil {
		return answer, nil, fmt.Errorf("feed key: %w", err)
	}
	root, err = jwk.Parse(answer.Root)
	if err != nil || root.IsPrivate() {
		return answer, nil, errors.New("feed key: the root key is not a public JWK")
	}
	return answer, root, nil
}

func (f *feed) requestKeys(ctx context.Context) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.at[0].base+"/key", nil)
	if err != nil {
		return nil, err
	}
	if err := f.authorize(req); err != nil {
		return nil, err
	}
	resp, err := f.at[0].do(req, http.StatusOK)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return fetch.Body(resp.Body, maxKeyAnswer)
}

// authorize shows the credential. It goes to the issuer's own origin only.
func (f *feed) authorize(req *http.Request) error {
	cred, err := f.cfg.credential()
	if err != nil {
		return fmt.Errorf("credential: %w", err)
	}
	if cred.name != "" {
		req.SetBasicAuth(cred.name, cred.secret)
	}
	return nil
}

// learn pins the root at first contact, and takes handle keys. Callers hold f.mu.
func (f *feed) learn(root *jwk.Key, offered []handleSecret) error {
	named, err := f.cfg.rootThumbprint()
	if err != nil {
		return err
	}
	pinned := named
	if f.anchor != nil {
		pinned = f.anchor.root.Thumbprint()
	}
	if pinned != "" && root.Thumbprint() != pinned {
		f.counts.refused.Add(1)
		return errRoot
	}
	if f.anchor == nil {
		f.anchor = newAnchor(root, f.cfg.Issuer)
		f.tellPinned(root.Thumbprint(), named != "")
	}
	for _, h := range offered {
		secret, err := wire.Decode(h.Key)
		if err != nil {
			return errors.New("feed key: a handle key is not base64url")
		}
		if err := f.anchor.offer(h.ID, secret); err != nil {
			return fmt.Errorf("feed key: %w", err)
		}
	}
	f.dirty.Store(true)
	return nil
}

// tellPinned warns of a root key that nothing but the connection vouched for, except
// on this machine, where nobody stands between.
func (f *feed) tellPinned(thumbprint string, named bool) {
	issuer, err := url.Parse(f.cfg.Issuer)
	if named || err == nil && fetch.IsLoopback(issuer) {
		f.log.Info("root key of the revocation feed pinned", "iss", f.cfg.Issuer, "thumbprint", thumbprint)
		return
	}
	f.log.Warn("the root key of the revocation feed is taken as it came: make a new credential with \"counterfoil client secret NAME\", which names it, or set Root",
		"iss", f.cfg.Issuer, "thumbprint", thumbprint)
}

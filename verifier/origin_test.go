package verifier_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil/internal/memnet"
	"github.com/counterfoil/counterfoil/internal/testbubble"
	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwks"
	"github.com/counterfoil/counterfoil/jose/jwt"
	"github.com/counterfoil/counterfoil/oauth"
	"github.com/counterfoil/counterfoil/revocation"
	"github.com/counterfoil/counterfoil/verifier"
)

const (
	audience   = "orders"
	tokenLife  = 15 * time.Minute
	credential = "shop:a secret of the shop"
)

// origin is an issuer reduced to its wire: it signs real tokens, frames,
// manifests and trust statements, and a test may make it lie in any way that
// somebody in its place could. It lives on a network in memory.
type origin struct {
	iss    string
	ln     *memnet.Listener
	server *http.Server

	mu       sync.Mutex
	now      func() time.Time // of the issuer's clock
	signing  []*jwk.Key       // the first signs; all are published
	root     *jwk.Key
	feedKey  *jwk.Key
	feedKeys []*jwk.Key
	secrets  [][]byte // of handle keys, the present one first
	version  uint64
	maxLife  time.Duration

	witnesses *jwk.Set

	keysVer  uint64     // of the signed key set; 0: it signs none
	canaries []*jwk.Key // private ones

	epoch, base uint64
	entries     []revocation.Entry
	snapshot    *revocation.SnapshotRef
	shards      map[string][]byte
	changed     chan struct{} // closed and replaced when something was appended

	cut      int // entries in a frame at most
	noFeed   bool
	doors    map[string]http.HandlerFunc  // replaces a path's handler
	manifest func(m *revocation.Manifest) // changes each manifest before it is signed
	hits     map[string]int               // requests by path
	acks     []map[string]any
}

func newOrigin(t testing.TB, iss string) *origin {
	t.Helper()
	o := &origin{
		iss: iss, ln: memnet.Listen(), now: time.Now,
		signing: []*jwk.Key{generate(t, jwk.ES256)},
		root:    generate(t, jwk.EdDSA), feedKey: generate(t, jwk.EdDSA),
		secrets: [][]byte{bytes.Repeat([]byte{7}, 32)},
		version: 1, maxLife: tokenLife,
		epoch: 1, base: 1000, cut: revocation.MaxFrameEntries,
		shards: map[string][]byte{}, changed: make(chan struct{}),
		doors: map[string]http.HandlerFunc{}, hits: map[string]int{},
	}
	o.feedKeys = []*jwk.Key{o.feedKey}
	o.serve()
	t.Cleanup(o.stop)
	return o
}

func generate(t testing.TB, alg jwk.Algorithm) *jwk.Key {
	t.Helper()
	k, err := jwk.Generate(jwk.Params{Algorithm: alg})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (o *origin) serve() {
	o.server = &http.Server{Handler: o, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	go o.server.Serve(o.ln)
}

func (o *origin) stop() {
	o.server.Close()
	o.ln.Close()
}

// set changes the origin while it serves.
func (o *origin) set(change func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	change()
}

// door replaces what a path answers; nil puts the true answer back.
func (o *origin) door(path string, h http.HandlerFunc) {
	o.set(func() {
		if h == nil {
			delete(o.doors, path)
		} else {
			o.doors[path] = h
		}
	})
}

// shut stops the whole issuer, as clients see it; open starts it again.
func (o *origin) shut() {
	o.stop()
}

func (o *origin) open() {
	o.ln.Reopen()
	o.serve()
}

func (o *origin) count(path string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.hits[path]
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	path := r.URL.Path
	if strings.HasPrefix(path, "/revocation/snapshot/") {
		path = "/revocation/snapshot"
	}
	o.hits[path]++
	h := o.doors[""]
	if d, ok := o.doors[path]; ok {
		h = d
	}
	o.mu.Unlock()
	if h != nil {
		h(w, r)
		return
	}
	o.answer(w, r)
}

// answer is what an honest issuer answers.
func (o *origin) answer(w http.ResponseWriter, r *http.Request) {
	switch path := r.URL.Path; {
	case path == oauth.WellKnownOpenID:
		o.metadata(w)
	case path == "/jwks":
		w.Write(o.jwks())
	case path == "/jwks.jwt":
		o.mu.Lock()
		defer o.mu.Unlock()
		io.WriteString(w, o.signedSet())
	case path == "/revocation/key":
		o.key(w, r)
	case path == "/revocation/manifest":
		o.answerManifest(w, r)
	case path == "/revocation/tail":
		o.tail(w, r)
	case path == "/revocation/ack":
		o.ack(w, r)
	case strings.HasPrefix(path, "/revocation/snapshot/"):
		o.mu.Lock()
		shard, ok := o.shards[strings.TrimPrefix(path, "/revocation/snapshot/")]
		o.mu.Unlock()
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Write(shard)
	default:
		http.NotFound(w, r)
	}
}

func (o *origin) metadata(w http.ResponseWriter) {
	o.mu.Lock()
	m := oauth.Metadata{Issuer: o.iss, JWKSURI: o.iss + "/jwks", Feed: o.iss + "/revocation"}
	if o.noFeed {
		m.Feed = ""
	}
	if o.keysVer > 0 {
		m.SignedJWKSURI = o.iss + "/jwks.jwt"
	}
	o.mu.Unlock()
	json.NewEncoder(w).Encode(m)
}

func (o *origin) jwks() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.keySet()
}

// keySet is called with mu held.
func (o *origin) keySet() []byte { return keySetOf(o.signing) }

func keySetOf(keys []*jwk.Key) []byte {
	var docs []string
	for _, k := range keys {
		doc, err := k.MarshalJSON()
		if err != nil {
			panic(err)
		}
		docs = append(docs, string(doc))
	}
	return []byte(`{"keys":[` + strings.Join(docs, ",") + `]}`)
}

// signedSet is called with mu held.
func (o *origin) signedSet() string { return o.signSet(o.feedKey, o.keysVer, o.signing) }

// signSet signs keys, or would.
func (o *origin) signSet(by *jwk.Key, version uint64, keys []*jwk.Key) string {
	body := keySetOf(keys)
	set, err := jwk.ParseSet(body)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(body)
	s := jwks.Signed{Issuer: o.iss, IssuedAt: o.now(), Version: version, KeySet: wire.Encode(sum[:]), Keys: set}
	token, err := s.Sign(by)
	if err != nil {
		panic(err)
	}
	return token
}

// rotate publishes other keys, of which the first signs.
func (o *origin) rotate(keys ...*jwk.Key) {
	o.set(func() {
		o.signing = keys
		if o.keysVer > 0 {
			o.keysVer++
		}
	})
}

func (o *origin) key(w http.ResponseWriter, r *http.Request) {
	name, secret, _ := r.BasicAuth()
	if name+":"+secret != credential {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	w.Write(o.keyAnswer())
}

// keyAnswer is called with mu held.
func (o *origin) keyAnswer() []byte {
	root, err := o.root.MarshalJSON()
	if err != nil {
		panic(err)
	}
	var keys []map[string]string
	for _, s := range o.secrets {
		keys = append(keys, map[string]string{"id": handleKey(s).ID(), "key": wire.Encode(s)})
	}
	answer := map[string]any{
		"kfid": keys[0]["id"], "key": keys[0]["key"], "root": json.RawMessage(root), "handle_keys": keys,
	}
	if len(o.canaries) > 0 {
		answer["canaries"] = json.RawMessage(keySetOf(o.canaries))
	}
	body, err := json.Marshal(answer)
	if err != nil {
		panic(err)
	}
	return body
}

func handleKey(secret []byte) revocation.HandleKey {
	k, err := revocation.NewHandleKey(secret)
	if err != nil {
		panic(err)
	}
	return k
}

// trust is called with mu held.
func (o *origin) trust() string {
	var public []*jwk.Key
	for _, k := range o.feedKeys {
		p, err := k.Public()
		if err != nil {
			panic(err)
		}
		public = append(public, p)
	}
	set, err := jwk.NewSet(public...)
	if err != nil {
		panic(err)
	}
	t := revocation.Trust{Issuer: o.iss, Version: o.version, FeedKeys: set, MaxLife: o.maxLife, WitnessKeys: o.witnesses}
	for _, s := range o.secrets {
		t.HandleKeyIDs = append(t.HandleKeyIDs, handleKey(s).ID())
	}
	token, err := t.Sign(o.root)
	if err != nil {
		panic(err)
	}
	return token
}

// link is called with mu held. It returns the chain after seq.
func (o *origin) link(seq uint64) revocation.Link {
	return revocation.Origin(o.iss, o.epoch, o.base).Chain(o.base+1, o.entries[:seq-o.base])
}

// head is called with mu held.
func (o *origin) head() uint64 { return o.base + uint64(len(o.entries)) }

func (o *origin) signManifest() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	m := &revocation.Manifest{
		Issuer: o.iss, Epoch: o.epoch, Base: o.base, Head: o.head(), C: o.link(o.head()),
		AsOf: o.now(), HandleKeyID: handleKey(o.secrets[0]).ID(), Trust: o.trust(), Snapshot: o.snapshot,
		MaxLife: o.maxLife, Heartbeat: 250 * time.Millisecond,
	}
	sum := sha256.Sum256(o.keySet())
	m.KeySet, m.KeySetVersion = wire.Encode(sum[:]), o.keysVer
	if len(o.canaries) > 0 {
		sum := sha256.Sum256(keySetOf(o.canaries))
		m.Canaries = wire.Encode(sum[:])
	}
	if o.manifest != nil {
		o.manifest(m)
	}
	token, err := m.Sign(o.feedKey)
	if err != nil {
		panic(err)
	}
	return token
}

// answerManifest signs it for whoever sends a nonce.
func (o *origin) answerManifest(w http.ResponseWriter, r *http.Request) {
	m := o.signManifest()
	if nonce := r.Header.Get(revocation.NonceHeader); nonce != "" {
		o.mu.Lock()
		key := o.feedKey
		o.mu.Unlock()
		e := revocation.Exchange{Issuer: o.iss, Path: revocation.ManifestPath, Nonce: nonce, Answer: []byte(m)}
		w.Header().Set(revocation.AnswerHeader, must(e.Sign(key)))
	}
	io.WriteString(w, m)
}

// frames cuts what follows after into frames; a heartbeat if nothing does.
func (o *origin) frames(after uint64) (events []string, end uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		n := min(uint64(o.cut), o.head()-after)
		events = append(events, o.frame(after+1, n))
		if after += n; after == o.head() {
			return events, after
		}
	}
}

// frame is called with mu held.
func (o *origin) frame(first, n uint64) string {
	f := &revocation.Frame{
		Issuer: o.iss, Epoch: o.epoch, First: first, C0: o.link(first - 1), C1: o.link(first + n - 1),
		AsOf: o.now(), HandleKeyID: handleKey(o.secrets[0]).ID(), Entries: o.entries[first-1-o.base : first-1-o.base+n],
	}
	token, err := f.Sign(o.feedKey)
	if err != nil {
		panic(err)
	}
	return token
}

// position reads "after".
func (o *origin) position(r *http.Request) (seq uint64, ok bool) {
	epoch, rest, _ := strings.Cut(r.URL.Query().Get("after"), ".")
	e, _ := strconv.ParseUint(epoch, 10, 64)
	seq, err := strconv.ParseUint(rest, 10, 64)
	o.mu.Lock()
	defer o.mu.Unlock()
	return seq, err == nil && e == o.epoch && seq >= o.base && seq <= o.head()
}

func (o *origin) tail(w http.ResponseWriter, r *http.Request) {
	after, ok := o.position(r)
	if !ok {
		w.WriteHeader(http.StatusGone)
		return
	}
	polling := r.URL.Query().Has("wait")
	wait, _ := strconv.Atoi(r.URL.Query().Get("wait"))
	deadline := time.After(time.Duration(wait) * time.Second)
	beat := time.NewTicker(250 * time.Millisecond)
	defer beat.Stop()
	w.Header().Set("Content-Type", "text/event-stream")
	io.WriteString(w, ": hello\n\n")
	o.mu.Lock()
	epoch := o.epoch
	o.mu.Unlock()
	for {
		o.mu.Lock()
		changed, current := o.changed, o.epoch
		o.mu.Unlock()
		if current != epoch {
			return
		}
		events, end := o.frames(after)
		if !polling || end > after {
			for _, e := range events {
				if _, err := fmt.Fprintf(w, "id: %d.%d\ndata: %s\n\n", epoch, end, e); err != nil {
					return
				}
			}
			if polling {
				return
			}
		}
		after = end
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
		var tick <-chan time.Time = beat.C
		if polling {
			tick = deadline
		}
		select {
		case <-r.Context().Done():
			return
		case <-changed:
		case <-tick:
			if polling {
				fmt.Fprintf(w, "data: %s\n\n", events[len(events)-1])
				return
			}
		}
	}
}

func (o *origin) ack(w http.ResponseWriter, r *http.Request) {
	name, secret, _ := r.BasicAuth()
	if name+":"+secret != credential {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	var ack map[string]any
	if err := json.NewDecoder(r.Body).Decode(&ack); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	o.set(func() { o.acks = append(o.acks, ack) })
	w.WriteHeader(http.StatusNoContent)
}

// append adds entries to the log and returns the new head.
func (o *origin) append(entries ...revocation.Entry) uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.entries = append(o.entries, entries...)
	close(o.changed)
	o.changed = make(chan struct{})
	return o.head()
}

// entry makes an entry under the present handle key.
func (o *origin) entry(kind revocation.Kind, value string) revocation.Entry {
	return revocation.Entry{Kind: kind, Handle: handleKey(o.secrets[0]).Handle(kind, o.iss, value)}
}

func (o *origin) revoke(kind revocation.Kind, value string) uint64 {
	return o.append(o.entry(kind, value))
}

// newEpoch begins an epoch with an empty log.
func (o *origin) newEpoch() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.base = o.head() + 1
	o.epoch++
	o.entries, o.snapshot = nil, nil
	close(o.changed)
	o.changed = make(chan struct{})
}

// takeSnapshot publishes the log so far as a snapshot.
func (o *origin) takeSnapshot(t testing.TB) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	var records []revocation.Record
	for i, e := range o.entries {
		records = append(records, revocation.Record{Seq: o.base + 1 + uint64(i), Entry: e})
	}
	shards, err := revocation.EncodeShards(records)
	if err != nil {
		t.Fatal(err)
	}
	o.snapshot = &revocation.SnapshotRef{Epoch: o.epoch, Seq: o.head(), C: o.link(o.head())}
	for _, s := range shards {
		name := revocation.ShardName(s)
		o.shards[name] = s
		o.snapshot.Shards = append(o.snapshot.Shards, name)
	}
}

// claims of a token of ours, for a test to change.
type claims map[string]any

// token mints an access token that knows the head of the log.
func (o *origin) token(t testing.TB, changes claims) string {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	c := jwt.Claims{
		Issuer: o.iss, Subject: "user-1", Audience: []string{audience}, ID: "token-1",
		IssuedAt: time.Now(), Expiry: time.Now().Add(tokenLife),
	}
	extra := claims{
		"client_id": "app-1", "sid": "session-1", "tenant": "tenant-1", "scope": "read write",
		"roles": []string{"clerk"}, "rsq": o.head(),
	}
	key, typ := o.signing[0], "at+jwt"
	for name, v := range changes {
		switch name {
		case "iss":
			c.Issuer = v.(string)
		case "sub":
			c.Subject = v.(string)
		case "aud":
			c.Audience = []string{v.(string)}
		case "jti":
			c.ID = v.(string)
		case "iat":
			c.IssuedAt = v.(time.Time)
		case "exp":
			c.Expiry = v.(time.Time)
		case "key":
			key = v.(*jwk.Key)
		case "typ":
			typ = v.(string)
		default:
			extra[name] = v
		}
	}
	maps.DeleteFunc(extra, func(_ string, v any) bool { return v == nil })
	token, err := jwt.Sign(key, typ, c, extra)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// config is that of a verifier, with a credential if there is a feed.
func (o *origin) config() verifier.Config {
	cfg := verifier.Config{
		Issuer: o.iss, Audience: audience, Credential: credential,
		HTTPClient: o.ln.Client(), Log: slog.New(slog.DiscardHandler),
	}
	if o.noFeed {
		cfg.Credential = ""
	}
	return cfg
}

// verifier opens one and waits until nothing moves any more.
func (o *origin) verifier(t testing.TB, change func(*verifier.Config)) *verifier.Verifier {
	t.Helper()
	cfg := o.config()
	if change != nil {
		change(&cfg)
	}
	v, err := verifier.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		v.Close()
		cfg.HTTPClient.CloseIdleConnections()
	})
	synctest.Wait()
	return v
}

// ready opens a verifier that must become ready.
func (o *origin) ready(t testing.TB, change func(*verifier.Config)) *verifier.Verifier {
	t.Helper()
	v := o.verifier(t, change)
	if err := v.Ready(); err != nil {
		t.Fatalf("not ready: %v", err)
	}
	return v
}

func (o *origin) lastAck() map[string]any {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.acks) == 0 {
		return nil
	}
	return maps.Clone(o.acks[len(o.acks)-1])
}

func (o *origin) allAcks() []map[string]any {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.acks)
}

// bubble runs a test with a clock of its own, which moves only in pass.
func bubble(t *testing.T, test func(t *testing.T, o *origin)) {
	t.Helper()
	testbubble.Test(t, func(t *testing.T) { test(t, newOrigin(t, "https://id.example")) })
}

func pass(d time.Duration) {
	time.Sleep(d) // of the bubble's clock
	synctest.Wait()
}

type (
	httpWriter  = http.ResponseWriter
	httpRequest = http.Request
)

// holdStreams lets polls through, and streams bring nothing but the entries that
// were there when they began.
func holdStreams(o *origin) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("wait") {
			o.tail(w, r)
			return
		}
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}

// shift sets the issuer's clock apart from the true one.
func (o *origin) shift(by time.Duration) {
	o.set(func() { o.now = func() time.Time { return time.Now().Add(by) } })
}

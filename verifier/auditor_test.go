package verifier_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/revocation"
	"github.com/counterfoil/counterfoil/verifier"
)

// An auditor is the issuer's end of what verifiers report: the real tags, on the
// wire of the real issuer, and a test may make it lie or go away.
type auditor struct {
	*notary.Local
	o *origin

	mu       sync.Mutex
	records  []notary.Record // as they came, lost answers included
	evidence []string        // as it came
	reports  int             // requests with records
	bytes    int             // of them
	verdict  string          // on evidence; "" for the true one
	delay    time.Duration   // of answers to reports
	seen     http.HandlerFunc
	examine  http.HandlerFunc
}

// audit gives the origin a tagged key and an auditor.
func (o *origin) audit(t testing.TB) *auditor {
	t.Helper()
	a := &auditor{Local: notary.NewLocal(notary.Secret(bytes.Repeat([]byte{9}, 32))), o: o}
	key := o.signing[0].WithLimits(jwk.Limits{Issuer: o.iss, Types: []string{"at+jwt"}, Tagged: true})
	o.set(func() { o.signing = []*jwk.Key{key} })
	o.door("/revocation/seen", a.signed(a.serveSeen))
	o.door("/revocation/seen/evidence", a.signed(a.serveEvidence))
	return a
}

// signed has the feed key sign what h answers, whatever that is.
func (a *auditor) signed(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		request, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(request))
		held := &heldAnswer{ResponseWriter: w}
		h(held, r)
		e := revocation.Exchange{Issuer: a.o.iss, Path: strings.TrimPrefix(r.URL.Path, "/revocation"), Nonce: r.Header.Get(revocation.NonceHeader), Request: request, Answer: held.body}
		if held.status == http.StatusNotFound {
			e.Answer = nil
		}
		a.o.mu.Lock()
		key := a.o.feedKey
		a.o.mu.Unlock()
		w.Header().Set(revocation.AnswerHeader, must(e.Sign(key)))
		if held.status != 0 {
			w.WriteHeader(held.status)
		}
		w.Write(held.body)
	}
}

// A heldAnswer is one that nobody has seen yet.
type heldAnswer struct {
	http.ResponseWriter
	status int
	body   []byte
}

func (h *heldAnswer) WriteHeader(status int) { h.status = status }

func (h *heldAnswer) Write(p []byte) (int, error) {
	if len(h.body) > 1<<20 {
		return 0, errors.New("an endless answer")
	}
	h.body = append(h.body, p...)
	return len(p), nil
}

func (a *auditor) set(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
}

func (a *auditor) serveSeen(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	records, parseErr := notary.ParseReport(body)
	name, secret, _ := r.BasicAuth()
	if err != nil || parseErr != nil || r.Header.Get("Content-Type") != notary.ReportType || name+":"+secret != credential {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	a.mu.Lock()
	a.records = append(a.records, records...)
	a.reports, a.bytes = a.reports+1, a.bytes+len(body)
	h, delay := a.seen, a.delay
	a.mu.Unlock()
	if h != nil {
		h(w, r)
		return
	}
	time.Sleep(delay)
	a.answer(w, r, records)
}

// answer says of each record what is true of it.
func (a *auditor) answer(w http.ResponseWriter, r *http.Request, records []notary.Record) {
	ok, err := a.Check(r.Context(), records)
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	out := struct {
		Wrong []int `json:"wrong"`
		Again []int `json:"again"`
	}{[]int{}, []int{}}
	for i, right := range ok {
		switch {
		case right:
		case len(out.Wrong) < 64:
			out.Wrong = append(out.Wrong, i)
		default:
			out.Again = append(out.Again, i)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(out)
}

func (a *auditor) serveEvidence(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	name, secret, _ := r.BasicAuth()
	if err != nil || r.Header.Get("Content-Type") != "application/jwt" || name+":"+secret != credential {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	a.mu.Lock()
	a.evidence = append(a.evidence, string(body))
	h, verdict := a.examine, a.verdict
	a.mu.Unlock()
	if h != nil {
		h(w, r)
		return
	}
	if verdict == "" {
		verdict = a.judge(string(body))
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]string{"verdict": verdict})
}

// judge is what the issuer finds in a token.
func (a *auditor) judge(token string) string {
	a.o.mu.Lock()
	keys := slices.Clone(a.o.signing)
	a.o.mu.Unlock()
	for _, key := range keys {
		public := must(key.Public())
		if _, err := jws.Verify(public, token); err != nil {
			continue
		}
		record, err := notary.RecordOf(key.KeyID(), token)
		if err != nil {
			return "forged"
		}
		if right := must(a.Check(context.Background(), []notary.Record{record})); right[0] {
			return "genuine"
		}
		return "forged"
	}
	return "unsigned"
}

func (a *auditor) count() (records, evidence int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.records), len(a.evidence)
}

// payload returns the claims of a token but for its jti, from the comma on.
func (a *auditor) payload(changes claims) []byte {
	a.o.mu.Lock()
	defer a.o.mu.Unlock()
	all := claims{
		"iss": a.o.iss, "sub": "user-1", "aud": audience, "client_id": "app-1", "sid": "session-1",
		"iat": time.Now().Unix(), "exp": time.Now().Add(tokenLife).Unix(), "rsq": a.o.head(),
	}
	maps.Copy(all, changes)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	rest := must(wire.Marshal(all))
	rest[0] = ','
	return rest
}

// signer signs as the holder of the issuer's key does, honest or not.
func (a *auditor) signer(typ string) *jws.Signer {
	a.o.mu.Lock()
	defer a.o.mu.Unlock()
	return must(jws.NewSigner(a.o.signing[0], jws.Header{Type: typ}))
}

// genuine is a token as the issuer makes it.
func (a *auditor) genuine(changes claims) string {
	s, rest := a.signer("at+jwt"), a.payload(changes)
	jti := must(a.Tag(context.Background(), s.Key().KeyID(), notary.Sum(s.Header(), rest)))
	return must(s.Sign(notary.Join(jti, rest)))
}

// witnessed is genuine with a witness in the header.
func (a *auditor) witnessed(changes claims) string {
	s, rest := a.signer("at+jwt"), a.payload(changes)
	jti, witness, err := a.TagWitness(context.Background(), s.Key().KeyID(), s.Header(), rest)
	if err != nil {
		panic(err)
	}
	return must(must(s.With(notary.WitnessHeader, witness)).Sign(notary.Join(jti, rest)))
}

// forge is a token as a thief of the signing key makes it: the jti is his own.
func (a *auditor) forge(changes claims) string {
	jti := must(notary.NewLocal(notary.Secret{1}).Tag(context.Background(), "stolen", notary.Digest{}))
	return must(a.signer("at+jwt").Sign(notary.Join(jti, a.payload(changes))))
}

// idOf returns the jti of a token.
func idOf(token string) string {
	var c struct {
		ID string `json:"jti"`
	}
	if err := json.Unmarshal(must(jws.Parse(token)).UnverifiedPayload(), &c); err != nil {
		panic(err)
	}
	return c.ID
}

// quarantine puts the present key under quarantine.
func (o *origin) quarantine() {
	o.mu.Lock()
	kid := o.signing[0].KeyID()
	o.mu.Unlock()
	entry := o.entry(revocation.Key, kid)
	entry.Flags = revocation.Quarantine
	o.append(entry)
}

func audited(t *testing.T, test func(t *testing.T, a *auditor)) {
	t.Helper()
	bubble(t, func(t *testing.T, o *origin) { test(t, o.audit(t)) })
}

// wantEvidence checks what the issuer has been shown.
func (a *auditor) wantEvidence(t *testing.T, want ...string) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Equal(a.evidence, want) {
		t.Errorf("%d tokens shown as evidence, want %d", len(a.evidence), len(want))
	}
}

// wantRecords checks how often the auditor has been asked about tokens.
func (a *auditor) wantRecords(t *testing.T, want int) {
	t.Helper()
	if got, _ := a.count(); got != want {
		t.Errorf("%d records, want %d", got, want)
	}
}

func pass401(t *testing.T, err, want error) {
	t.Helper()
	status, _, _ := verifier.StatusOf(err)
	if !errors.Is(err, want) || status != http.StatusUnauthorized {
		t.Errorf("%v answered %d, want %v and 401", err, status, want)
	}
}

func contains(list []string, s string) bool { return slices.Contains(list, s) }

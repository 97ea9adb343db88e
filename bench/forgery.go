package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil/verifier"
)

// What was promised of recognizing forged tokens.
const (
	tagBytes     = 8           // more than a token whose jti is 128 random bits
	witnessBytes = 140         // more than a tagged token
	tagIssue     = 1.15        // × issuing without a tag
	tagSight     = 1.15        // × the first sight without reports
	reportBytes  = 48          // of upload for each distinct token
	idleBytes    = 8 << 10     // of upload a second whatever the load
	forgeryP99   = time.Second // from the first use until the alarm, and until the last guard refuses
)

// forgeryCost measures what it costs to recognize a forged token where none is.
func forgeryCost(s settings) ([]section, error) {
	var sections []section
	for _, measure := range []func(settings) (section, error){tokenCost, uploadCost} {
		sec, err := measure(s)
		if err != nil {
			return nil, err
		}
		sections = append(sections, sec)
	}
	return sections, nil
}

// startAudited starts an issuer with more lines below "serve:" in its
// configuration, and takes its keys.
func startAudited(s settings, name, config string) (*issuer, *minter, error) {
	file := filepath.Join(s.dir, name+"-more.yaml")
	if err := os.WriteFile(file, []byte(benchConfig+config), 0o600); err != nil {
		return nil, nil, err
	}
	iss, err := startIssuer(s, name, "--config", file)
	if err != nil {
		return nil, nil, err
	}
	m, err := newMinter(iss)
	if err != nil {
		iss.stop()
	}
	return iss, m, err
}

// A kind is one of the ways to make tokens that are compared.
type kind struct {
	name   string
	config string // of its issuer
	mint   func(*minter) (string, error)
	mode   verifier.WitnessMode
}

var kinds = []kind{
	{"without a tag", "  forgery:\n    answer: off\n", (*minter).untagged, verifier.WitnessOff},
	{"tag", "", (*minter).tagged, verifier.WitnessOff},
	{"tag and witness", "  witness: true\n", (*minter).witnessed, verifier.WitnessReport},
}

// tokenCost compares tokens with and without a tag: their length, making them, and
// seeing them for the first time.
func tokenCost(s settings) (section, error) {
	sec := section{
		title: "A tag in each token",
		notes: "The issuer's own ES256 tokens: with a `jti` of 128 random bits, with a tagged one, and with a witness in the header too. " +
			"CPU time, × the first row, the median over the rounds. Making includes the notary's work, in the same process. " +
			"First sight is verifying a token that the verifier has never seen, and all that comes of it in its process: without a tag nothing, else its report and the answer to it.",
		head: []string{"token", "bytes", "making", "first sight in a verifier"},
	}
	sights := make([]*sight, len(kinds))
	making := make([]operation, len(kinds))
	for i, k := range kinds {
		progress(k.name)
		si, err := openSight(s, i, k)
		if err != nil {
			return sec, fmt.Errorf("%s: %w", k.name, err)
		}
		defer si.close()
		sights[i] = si
		making[i] = operation{library: k.name, row: "making", run: func() error {
			_, err := k.mint(si.minter)
			return err
		}}
	}
	made, err := interleave(s, making)
	if err != nil {
		return sec, err
	}
	seen, err := firstSights(s, sights)
	if err != nil {
		return sec, err
	}
	lengths := make([]float64, len(kinds))
	for i, k := range kinds {
		token, err := k.mint(sights[i].minter)
		if err != nil {
			return sec, err
		}
		lengths[i] = float64(len(token))
		sec.rows = append(sec.rows, []string{k.name, strconv.Itoa(len(token)),
			fmt.Sprintf("%s (%s)", nanos(made[i]), multiple(quotient(made[i], made[0]))),
			fmt.Sprintf("%s (%s)", nanos(seen[i]), multiple(quotient(seen[i], seen[0])))})
	}
	sec.targets = []target{
		{"bytes of a tag in a token", lengths[1] - lengths[0], tagBytes, "bytes", whyTagBytes},
		{"bytes of a witness in a token", lengths[2] - lengths[1], witnessBytes, "bytes", whyWitnessBytes},
		{"making a token with a tag : without", quotient(made[1], made[0]), tagIssue, "×", whyTagIssue},
		{"first sight of a token with its report : without", quotient(seen[1], seen[0]), tagSight, "×", whyTagSight},
	}
	return sec, nil
}

// A sight is a verifier that sees tokens of an issuer for the first time.
type sight struct {
	kind
	iss    *issuer
	minter *minter
	v      *verifier.Verifier
}

func openSight(s settings, i int, k kind) (*sight, error) {
	iss, m, err := startAudited(s, fmt.Sprintf("issuer-forgery-%d", i), k.config)
	if err != nil {
		return nil, err
	}
	v, err := openVerifier(iss, verifier.Config{CacheTokens: -1, Witness: k.mode})
	if err != nil {
		iss.stop()
		return nil, err
	}
	return &sight{k, iss, m, v}, nil
}

func (si *sight) close() {
	si.v.Close()
	si.iss.stop()
}

// openVerifier opens a verifier and waits until it is ready.
func openVerifier(iss *issuer, cfg verifier.Config) (*verifier.Verifier, error) {
	cfg.Issuer, cfg.Audience, cfg.Log = iss.url, "api", slog.New(slog.DiscardHandler)
	v, err := verifier.Open(context.Background(), cfg)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(30 * time.Second); v.Ready() != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			return nil, errors.Join(v.Ready(), v.Close())
		}
	}
	return v, nil
}

// sightTokens is how many fresh tokens are shown in one slice: so many that the
// reports which a slice leaves behind for another weigh nothing.
const sightTokens = 4000

// firstSights shows fresh tokens to each verifier in turn, and returns the CPU
// nanoseconds of one, by kind and round. A slice ends when every report is
// answered.
func firstSights(s settings, sights []*sight) ([][]float64, error) {
	took := make([][]float64, len(sights))
	for range max(3, s.rounds/3) {
		for i, si := range sights {
			progress("first sight", si.name)
			tokens, err := many(sightTokens, func() (string, error) {
				if i == 0 { // what its issuer signs is tagged, though nobody looks
					return si.minter.tagged()
				}
				return si.mint(si.minter)
			})
			if err != nil {
				return nil, err
			}
			begin := cpuTime()
			for _, token := range tokens {
				if _, err := si.v.Verify(context.Background(), token); err != nil {
					return nil, fmt.Errorf("%s: %w", si.name, err)
				}
			}
			if err := drained(si.v); err != nil {
				return nil, err
			}
			took[i] = append(took[i], float64(cpuTime()-begin)/sightTokens)
		}
	}
	return took, nil
}

// drained waits until every report of a verifier is answered.
func drained(v *verifier.Verifier) error {
	for deadline := time.Now().Add(30 * time.Second); v.Status().Seen.Waiting > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			return errors.New("reports are not answered")
		}
	}
	return nil
}

// A wire counts what a verifier sends, bytes of HTTP with all headers.
type wire struct{ sent atomic.Int64 }

func (w *wire) client() *http.Client {
	dial := new(net.Dialer)
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial.DialContext(ctx, network, addr)
		return &countedConn{conn, w}, err
	}}}
}

type countedConn struct {
	net.Conn
	wire *wire
}

func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.wire.sent.Add(int64(n))
	return n, err
}

const (
	uploadRate = 10_000 // requests a second
	uploadTick = 10 * time.Millisecond
	// oldTokens is among how many tokens a request chooses that brings no new one.
	oldTokens = 256
)

// uploadCost counts what a verifier sends at 10,000 requests a second.
func uploadCost(s settings) (section, error) {
	sec := section{
		title: "Upload of a verifier",
		notes: fmt.Sprintf("One verifier at %d requests/s for %d s a row, counted on its connections with all headers, acknowledgements and questions for the head included. "+
			"Each distinct token is reported once: 37 bytes. Memory is what the verifier's own counters say, peak of its cap.", uploadRate, s.seconds),
		head: []string{"distinct tokens", "upload", "bytes a distinct token", "reported", "not reported", "seen tokens, memory", "waiting reports, memory", "issuer resident"},
	}
	iss, m, err := startAudited(s, "issuer-upload", "")
	if err != nil {
		return sec, err
	}
	defer iss.stop()
	for _, percent := range []int{0, 3, 10, 100} {
		progress("upload at", percent, "%")
		row, err := uploadAt(s, iss, m, percent)
		if err != nil {
			return sec, fmt.Errorf("%d%%: %w", percent, err)
		}
		sec.rows = append(sec.rows, row.cells(percent, iss))
		limit := idleBytes + float64(uploadRate*percent/100)*reportBytes
		sec.targets = append(sec.targets, target{fmt.Sprintf("upload a second at %d%% distinct tokens", percent), row.second, limit, "bytes", whyUpload})
	}
	return sec, nil
}

// An upload is what one load made a verifier send.
type upload struct {
	second   float64 // bytes at uploadRate
	distinct int
	sent     int64
	status   verifier.SeenStatus
}

func (u *upload) cells(percent int, iss *issuer) []string {
	each := "–"
	if u.distinct > 0 {
		each = fmt.Sprintf("%.1f", float64(u.sent)/float64(u.distinct))
	}
	st := u.status
	return []string{
		fmt.Sprintf("%d%%", percent), amount(u.second) + "/s", each,
		strconv.FormatUint(st.Reported, 10), strconv.FormatUint(st.Dropped, 10),
		fmt.Sprintf("%s of %s", amount(float64(st.BytesPeak)), amount(float64(st.BytesCap))),
		fmt.Sprintf("%s of %s", amount(float64(st.WaitingBytesPeak)), amount(float64(st.WaitingBytesCap))),
		iss.resident(),
	}
}

// uploadAt loads a fresh verifier.
func uploadAt(s settings, iss *issuer, m *minter, percent int) (*upload, error) {
	w := new(wire)
	v, err := openVerifier(iss, verifier.Config{HTTPClient: w.client()})
	if err != nil {
		return nil, err
	}
	defer v.Close()
	requests := s.seconds * uploadRate
	fresh, err := many(requests*percent/100, m.tagged)
	if err != nil {
		return nil, err
	}
	old, err := many(oldTokens, m.tagged)
	if err != nil {
		return nil, err
	}
	if err := show(v, old); err != nil {
		return nil, err
	}
	if err := drained(v); err != nil {
		return nil, err
	}
	before := w.sent.Load()
	if err := load(v, fresh, old, requests); err != nil {
		return nil, err
	}
	if err := drained(v); err != nil {
		return nil, err
	}
	sent := w.sent.Load() - before
	// A machine that is too slow takes longer for as many requests.
	return &upload{second: float64(sent) / float64(s.seconds), distinct: len(fresh), sent: sent, status: v.Status().Seen}, nil
}

func show(v *verifier.Verifier, tokens []string) error {
	for _, token := range tokens {
		if _, err := v.Verify(context.Background(), token); err != nil {
			return err
		}
	}
	return nil
}

// load sends requests at uploadRate, the fresh tokens spread evenly among them.
func load(v *verifier.Verifier, fresh, old []string, requests int) error {
	const each = int(uploadRate * uploadTick / time.Second)
	ticker := time.NewTicker(uploadTick)
	defer ticker.Stop()
	given := 0
	for n := 0; n < requests; n += each {
		for i := n; i < n+each; i++ {
			token := old[i%len(old)]
			if len(fresh) > 0 && i*len(fresh)/requests >= given && given < len(fresh) {
				token = fresh[given]
				given++
			}
			if _, err := v.Verify(context.Background(), token); err != nil {
				return err
			}
		}
		<-ticker.C
	}
	return nil
}

// strikes is how many times the key is stolen for the figure in the results.
const strikes = 100

// measuredLine is what the test prints of a clock.
var measuredLine = regexp.MustCompile(`measured: (first use of a forged token .*), (\d+) times: p50 (\S+), p99 (\S+), max (\S+)`)

// forgeryClock runs the whole story in processes of their own, as the tests do:
// issuer, notary, three guards under load, and a thief.
func forgeryClock(s settings) ([]section, error) {
	sec := section{
		title: "A stolen signing key",
		notes: fmt.Sprintf("Issuer, notary and three guards, each a process, with 12 clients that renew and use their tokens meanwhile. The key that signs is copied out of the database %d times, "+
			"a token is forged with it in one of eight ways and shown to one guard. Time runs from before that first use. "+
			"No request of the clients was refused and no session had to sign in again, or this table would not be here.", strikes),
		head: []string{"from the first use until", "times", "p50", "p99", "max"},
	}
	test := exec.Command("go", "test", "-count=1", "-v", "-timeout", "30m", "-run", "^TestStolenKey$", "./e2e")
	test.Dir, test.Stderr = "..", os.Stderr
	test.Env = append(os.Environ(), "COUNTERFOIL_STRIKES="+strconv.Itoa(strikes))
	out, err := test.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	for lines := bufio.NewScanner(strings.NewReader(string(out))); lines.Scan(); {
		if m := measuredLine.FindStringSubmatch(lines.Text()); m != nil {
			if err := sec.clock(m[1], m[2:]); err != nil {
				return nil, err
			}
		}
	}
	if len(sec.rows) != 2 {
		return nil, errors.New("the test did not print its clocks")
	}
	return []section{sec}, nil
}

// clock adds the row and the target of one clock.
func (sec *section) clock(what string, figures []string) error {
	what = strings.TrimPrefix(strings.TrimPrefix(what, "first use of a forged token until "), "the ")
	row := []string{what, figures[0]}
	for _, figure := range figures[1:] {
		took, err := time.ParseDuration(figure)
		if err != nil {
			return err
		}
		row = append(row, duration(float64(took)))
	}
	sec.rows = append(sec.rows, row)
	p99, err := time.ParseDuration(figures[2])
	sec.targets = append(sec.targets, target{"first use of a forged token until " + what + ", p99", float64(p99), float64(forgeryP99), "ns", whyClock})
	return err
}

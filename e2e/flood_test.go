package e2e_test

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/oauth"
)

const (
	floodTime     = 6 * time.Second
	floodedTokens = 64 // different ones of each sort
)

// A flood is an attacker who sends what he can, and what it was answered.
type flood struct {
	f     *field
	login string // NAME:SECRET; "" for none
	kid   string // of the key that signs

	sent     atomic.Int64
	records  atomic.Int64
	statuses sync.Map // of answers, to their numbers
	stopping chan struct{}
	running  sync.WaitGroup
}

// startFlood sends each of the requests again and again until it is stopped.
func startFlood(f *field, login, kid string, sends ...func(*flood) error) *flood {
	fl := &flood{f: f, login: login, kid: kid, stopping: make(chan struct{})}
	for _, send := range sends {
		fl.running.Go(func() {
			for !fl.stopped() {
				if err := send(fl); err != nil {
					fl.count("no answer")
				}
				fl.sent.Add(1)
			}
		})
	}
	return fl
}

func (fl *flood) stopped() bool {
	select {
	case <-fl.stopping:
		return true
	default:
		return false
	}
}

func (fl *flood) stop() {
	close(fl.stopping)
	fl.running.Wait()
}

func (fl *flood) count(answer string) {
	n, _ := fl.statuses.LoadOrStore(answer, new(atomic.Int64))
	n.(*atomic.Int64).Add(1)
}

func (fl *flood) answers() string {
	var b strings.Builder
	fl.statuses.Range(func(answer, n any) bool {
		fmt.Fprintf(&b, " %s: %d", answer, n.(*atomic.Int64).Load())
		return true
	})
	return b.String()
}

// post sends a body to the issuer's feed.
func (fl *flood) post(path, kind string, body []byte) error {
	status, err := fl.f.iss.postAs(fl.login, path, kind, body)
	if err != nil {
		return err
	}
	fl.count(fmt.Sprintf("%s %d", path[strings.LastIndexByte(path, '/')+1:], status))
	return nil
}

// reports sends as many fabricated records as fit into one report.
func (fl *flood) reports() error {
	records := make([]notary.Record, notary.MaxRecords)
	for i := range records {
		records[i].KeyID = fl.kid
		rand.Read(records[i].Nonce[:])
		rand.Read(records[i].Tag[:])
		rand.Read(records[i].Digest[:])
	}
	body, err := notary.AppendReport(nil, records)
	if err != nil {
		return err
	}
	fl.records.Add(int64(len(records)))
	return fl.post("/revocation/seen", notary.ReportType, body)
}

// evidence sends tokens that no key of the issuer signed.
func evidence(tokens []string) func(*flood) error {
	next := 0
	return func(fl *flood) error {
		next++
		return fl.post("/revocation/seen/evidence", "application/jwt", []byte(tokens[next%len(tokens)]))
	}
}

// requests shows tokens to the guards.
func requests(tokens []string) func(*flood) error {
	next := 0
	return func(fl *flood) error {
		next++
		g := fl.f.guards[next%len(fl.f.guards)]
		status, err := ask(g.url+"/auth", tokens[next%len(tokens)])
		if err == nil {
			fl.count(fmt.Sprintf("guard %d", status))
		}
		return err
	}
}

// junkTokens are signed by nobody's key: with the name of the key that signs, and
// with names that no key has. Nobody made their tags.
func junkTokens(t *testing.T, genuine, kid string) (tokens []string) {
	t.Helper()
	for i := range 2 * floodedTokens {
		name := kid
		if i%2 == 0 {
			name = randomID()
		}
		key, err := jwk.Generate(jwk.Params{Algorithm: jwk.ES256, KeyID: name})
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, forge(t, key, genuine, oauth.AccessTokenType, replace("jti", randomID())))
	}
	return append(tokens, strings.Repeat("A", 16<<10), "a.b.c", strings.Repeat(".", 4096))
}

// peakMemory is the most resident memory of a process, in MiB.
func peakMemory(t *testing.T, p *process) int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			var kib int
			fmt.Sscan(value, &kib)
			return kib >> 10
		}
	}
	t.Fatal("no VmHWM")
	return 0
}

// TestThreat87Flood: whoever floods the auditor and the guards, with and without a
// credential, raises no alarm, and keeps nobody from being served or from finding
// a real forgery.
func TestThreat87Flood(t *testing.T) {
	cert := newCertificate(t)
	f := newFieldOver(t, &cert, "automatic")
	crowd := newCrowd(t, f.iss, f.guards, crowdSize)
	kid := keyIDOf(t, f.victim.Access)
	junk := junkTokens(t, f.victim.Access, kid)
	processes := map[string]*process{"issuer": f.iss.process, "notary": f.notary.process, "guard": f.guards[0].process}
	before := map[string]int{}
	for name, p := range processes {
		before[name] = peakMemory(t, p)
	}

	inside := startFlood(f, f.iss.login(t, "mallory"), kid, (*flood).reports, (*flood).reports, evidence(junk))
	outside := startFlood(f, "", kid, (*flood).reports, evidence(junk), requests(junk))
	time.Sleep(floodTime)
	for _, a := range heard(f.alarms) {
		t.Errorf("an alarm without a theft: %s", a.body)
	}
	if now := f.thief.steal(t).KeyID(); now != kid {
		t.Errorf("the keys were changed: %s signs", now)
	}
	s := f.strike(t, forgeries[0], 0)
	inside.stop()
	outside.stop()
	if let := inside.answers(); !strings.Contains(let, "seen 200") || !strings.Contains(let, "evidence 200") {
		t.Errorf("the flood with a credential did not get in:%s", let)
	}
	t.Logf("measured: flood with a credential: %d requests, %d fabricated records, answers:%s", inside.sent.Load(), inside.records.Load(), inside.answers())
	t.Logf("measured: flood without: %d requests, %d fabricated records, answers:%s", outside.sent.Load(), outside.records.Load(), outside.answers())
	t.Logf("measured: a forgery amid the flood: alarm in %v, refused everywhere in %v", s.alarmed, s.refused)
	for name, p := range processes {
		t.Logf("measured: peak memory of the %s: %d MiB before the flood, %d after", name, before[name], peakMemory(t, p))
	}
	checkCaps(t, f.debug[0])
	crowd.stop()
	crowd.check(t)
}

// capLine is a bound of what a guard keeps of tokens, or the most that it ever kept.
var capLine = regexp.MustCompile(`(?m)^counterfoil_verifier_seen_held_(peak|limit)\{.*kind="([a-z_]+)".*\} (\S+)$`)

// checkCaps prints what a guard may keep of tokens and the most that it kept, and
// holds one against the other.
func checkCaps(t *testing.T, debug string) {
	t.Helper()
	res, err := plain.Get("http://" + debug + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	peaks, limits := map[string]float64{}, map[string]float64{}
	for _, m := range capLine.FindAllStringSubmatch(string(text), -1) {
		value, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			t.Fatal(err)
		}
		if m[1] == "peak" {
			peaks[m[2]] = value
		} else {
			limits[m[2]] = value
		}
	}
	if len(limits) == 0 || len(limits) != len(peaks) {
		t.Fatalf("limits %v, peaks %v", limits, peaks)
	}
	for kind, limit := range limits {
		t.Logf("measured: a guard keeps at most %.0f %s, and kept %.0f", limit, strings.ReplaceAll(kind, "_", " "), peaks[kind])
		if peaks[kind] > limit {
			t.Errorf("a guard kept more %s than it may", kind)
		}
	}
}

func heard(a *alarms) []alarm {
	all, _ := a.all()
	return all
}

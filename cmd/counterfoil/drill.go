package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/counterfoil/counterfoil/verifier"
)

const (
	drillPatience = 30 * time.Second      // for one step
	maxDrillWait  = 10 * time.Minute      // that one may be given
	drillEvery    = 20 * time.Millisecond // between two looks
	drillCleanup  = 10 * time.Second      // for taking the drill's things away
)

func (a *app) drillCommand() *cobra.Command {
	return a.group("drill", "Rehearse what nobody wants to happen", a.drillKeyLeakCommand())
}

// drillFlags say what to rehearse and where.
type drillFlags struct {
	admin        adminFlags
	audience     string
	places       []string
	allowPrivate []netip.Prefix
	patience     time.Duration
	machine      bool
}

func (a *app) drillKeyLeakCommand() *cobra.Command {
	var f drillFlags
	cmd := &cobra.Command{
		Use: "key-leak", Short: "Rehearse the theft of a signing key, with a key of its own", Args: takes(),
		Long: `Rehearse the theft of a signing key against a running deployment.

The issuer makes a key for the drill, with a standby, limited to one audience and
some minutes, and forges one token with it. Everything then happens as it would
for a stolen key, to this key only: the webhook is called and says that it is a
drill. The tokens name nobody and permit nothing. They are shown to a verifier of
the command's own and wherever --at says, such as a guard's /auth: there a token of
nobody has to be answered 401.

The answer is yes when every step held.`,
		Example: "counterfoil drill key-leak --at http://127.0.0.1:8081/auth",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.patience <= 0 || f.patience > maxDrillWait {
				return misuse("--patience takes up to %v", maxDrillWait)
			}
			return a.drillKeyLeak(cmd.Context(), &f)
		},
	}
	flags := cmd.Flags()
	f.admin.register(flags)
	flags.StringVar(&f.audience, "audience", "", "what the drill's tokens are for (default the default audience of the issuer)")
	flags.StringSliceVar(&f.places, "at", nil, "`URL` to show the tokens to as well (repeatable)")
	flags.Var(prefixList{&f.allowPrivate}, "allow-private", "inner network where the issuer may be (repeatable)")
	flags.DurationVar(&f.patience, "patience", drillPatience, "how long to wait for each step")
	flags.BoolVar(&f.machine, "json", false, "print the timeline as one JSON object")
	return cmd
}

// drillKeyLeak runs the drill and prints what happened, as far as it came.
func (a *app) drillKeyLeak(ctx context.Context, f *drillFlags) error {
	places, err := parsePlaces(f.places)
	if err != nil {
		return err
	}
	admin, err := a.connect(&f.admin)
	if err != nil {
		return err
	}
	d := &drill{a: a, admin: admin, flags: f}
	for _, p := range places {
		if err := p.probe(ctx); err != nil {
			return err
		}
		d.places = append(d.places, p)
	}
	defer d.close()
	d.began = a.now()
	failed := d.run(ctx)
	if err := d.print(failed); err != nil {
		return err
	}
	return failed
}

// drillState is what the issuer says of a drill.
type drillState struct {
	KeyID    string `json:"kid"`
	Standby  string `json:"standby"`
	Issuer   string `json:"issuer"`
	Audience string `json:"audience"`
	Answer   string `json:"answer"` // "automatic", or "alarm" when nothing but an alarm is to be expected

	Now     time.Time `json:"now"`               // by the issuer's clock, like all times here
	Waiting []string  `json:"waiting,omitempty"` // verifiers that do not hold the keys yet
	Holders int       `json:"holders"`           // verifiers that are connected

	Found       time.Time `json:"found,omitzero"`       // a token was proved to be forged
	Alarmed     time.Time `json:"alarmed,omitzero"`     // the webhook's receiver has it
	Webhook     string    `json:"webhook,omitempty"`    // what is wrong with it, or that there is none
	Quarantined time.Time `json:"quarantined,omitzero"` // the key
	Switched    time.Time `json:"switched,omitzero"`    // the standby signs
	Killed      time.Time `json:"killed,omitzero"`      // the key

	Quarantine *coverage `json:"quarantine,omitempty"` // verifiers in which it is in force
	Kill       *coverage `json:"kill,omitempty"`
}

// A moment is a line of the timeline.
type moment struct {
	Step     string `json:"step"`
	MS       int64  `json:"ms"`                           // since the drill began
	AfterUse *int64 `json:"after_first_use_ms,omitempty"` // since the forged token was first shown
	Detail   string `json:"detail,omitempty"`
}

// A drill is under way.
type drill struct {
	a      *app
	admin  *adminClient
	flags  *drillFlags
	places []place // the command's own verifier first, once it is open

	began      time.Time
	state      drillState
	skew       time.Duration // the issuer's clock less ours
	credential string        // id of the one made for the command's own verifier
	verifier   *verifier.Verifier

	honest, forged string // tokens
	firstUse       time.Time
	timeline       []moment
}

// A stepError tells which step of a drill did not hold.
type stepError struct {
	step string
	err  error
}

func (e *stepError) Error() string { return e.step + ": " + e.err.Error() }
func (e *stepError) Unwrap() error { return e.err }

// A step waits for one thing of the story, and tells when it came about, now if
// that is not said, and what there is to say about it.
type step struct {
	name string
	run  func(context.Context) (at time.Time, detail string, err error)
}

// run goes through the story. It ends at the first step that does not hold.
func (d *drill) run(ctx context.Context) error {
	for _, s := range []step{
		{"published", d.publish},
		{"held", d.awaitHolders},
		{"honest token accepted", d.showHonest},
		{"forged token first used", d.useForged},
		{"alarm", d.awaitAlarm},
		{"quarantine in force", d.awaitQuarantine},
		{"forged token refused", d.awaitRefusal},
		{"proved token still accepted", d.showProved},
		{"standby signs", d.awaitStandby},
		{"honest client renewed", d.renewHonest},
		{"key killed", d.awaitKill},
		{"forged token refused everywhere", d.awaitRefusal},
		{"honest token accepted", d.showHonest},
	} {
		at, detail, err := s.run(ctx)
		if err != nil {
			return &stepError{s.name, err}
		}
		d.note(s.name, at, detail)
	}
	return nil
}

// note writes a line of the timeline.
func (d *drill) note(step string, at time.Time, detail string) {
	if at.IsZero() {
		at = d.a.now()
	}
	m := moment{Step: step, MS: at.Sub(d.began).Milliseconds(), Detail: detail}
	if !d.firstUse.IsZero() {
		after := at.Sub(d.firstUse).Milliseconds()
		m.AfterUse = &after
	}
	d.timeline = append(d.timeline, m)
}

// publish makes the drill's keys, and opens a verifier as any service would.
func (d *drill) publish(ctx context.Context) (time.Time, string, error) {
	if err := d.admin.call(ctx, http.MethodPost, "/admin/drill", map[string]any{"audience": d.flags.audience}, &d.state); err != nil {
		return time.Time{}, "", err
	}
	at := d.a.now()
	if err := d.openVerifier(ctx); err != nil {
		return at, "", err
	}
	return at, fmt.Sprintf("key %s and standby %s, for audience %s", d.state.KeyID, d.state.Standby, d.state.Audience), nil
}

// openVerifier makes a credential for the command's own verifier and opens it.
func (d *drill) openVerifier(ctx context.Context) error {
	var made struct {
		Credential string `json:"credential"`
	}
	id := "drill-" + d.state.KeyID
	if err := d.admin.call(ctx, http.MethodPost, "/admin/clients", map[string]string{"id": id, "kind": "verifier"}, &made); err != nil {
		return err
	}
	d.credential = id
	v, err := verifier.Open(ctx, verifier.Config{
		Issuer: d.state.Issuer, Audience: d.state.Audience, Credential: made.Credential, AllowPrivate: d.flags.allowPrivate,
		Instance: id, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	d.verifier = v
	d.places = append([]place{ownVerifier{v}}, d.places...)
	return d.until(ctx, func() (bool, error) { return v.Ready() == nil, nil })
}

func (d *drill) awaitHolders(ctx context.Context) (at time.Time, detail string, err error) {
	err = d.untilState(ctx, func() bool { return d.state.Holders > 0 && len(d.state.Waiting) == 0 })
	if err != nil && len(d.state.Waiting) > 0 {
		err = fmt.Errorf("%w; not by %s", err, printable(strings.Join(d.state.Waiting, ", ")))
	}
	return at, fmt.Sprintf("by %[1]d of %[1]d verifiers", d.state.Holders), err
}

// showHonest shows the present honest token everywhere.
func (d *drill) showHonest(ctx context.Context) (at time.Time, detail string, err error) {
	if d.honest == "" {
		if d.honest, err = d.token(ctx, false); err != nil {
			return at, "", err
		}
	}
	for _, p := range d.places {
		ok, err := p.accepts(ctx, d.honest)
		if err == nil && !ok {
			err = errors.New("refused; does it take tokens of " + d.state.Issuer + " for the audience " + printable(d.state.Audience) + "?")
		}
		if err != nil {
			return at, "", fmt.Errorf("%s: %w", p.name(), err)
		}
	}
	return at, "at " + strconv.Itoa(len(d.places)) + " of " + strconv.Itoa(len(d.places)) + " places", nil
}

// token asks the issuer for a token of the drill.
func (d *drill) token(ctx context.Context, forged bool) (string, error) {
	var out struct {
		Token string `json:"token"`
	}
	err := d.admin.call(ctx, http.MethodPost, "/admin/drill/"+d.state.KeyID+"/token", map[string]bool{"forged": forged}, &out)
	return out.Token, err
}

// useForged shows the forged token everywhere, the command's own verifier first.
// That nobody refuses it yet is not asked: who enforces the witness does.
func (d *drill) useForged(ctx context.Context) (at time.Time, detail string, err error) {
	if d.forged, err = d.token(ctx, true); err != nil {
		return at, "", err
	}
	d.firstUse = d.a.now()
	passed := 0
	for _, p := range d.places {
		ok, err := p.accepts(ctx, d.forged)
		if err != nil {
			return at, "", fmt.Errorf("%s: %w", p.name(), err)
		}
		if ok {
			passed++
		}
	}
	return d.firstUse, fmt.Sprintf("it passed at %d of %d places", passed, len(d.places)), nil
}

func (d *drill) awaitAlarm(ctx context.Context) (at time.Time, detail string, err error) {
	err = d.untilState(ctx, func() bool { return !d.state.Found.IsZero() && (!d.state.Alarmed.IsZero() || d.state.Webhook != "") })
	if d.state.Alarmed.IsZero() {
		return d.ours(d.state.Found), "in audit trail and log; webhook: " + printable(d.state.Webhook), err
	}
	return d.ours(d.state.Alarmed), "received by the webhook", err
}

func (d *drill) awaitQuarantine(ctx context.Context) (at time.Time, detail string, err error) {
	if d.state.Answer != "automatic" {
		return at, "", fmt.Errorf("the issuer's answer to a forgery is %q", d.state.Answer)
	}
	err = d.untilState(ctx, func() bool { return covered(d.state.Quarantine) })
	return at, d.state.Quarantine.words(), err
}

// awaitRefusal waits until the forged token is refused everywhere.
func (d *drill) awaitRefusal(ctx context.Context) (at time.Time, detail string, err error) {
	for _, p := range d.places {
		err := d.until(ctx, func() (bool, error) {
			ok, err := p.accepts(ctx, d.forged)
			return !ok, err
		})
		if err != nil {
			return at, "", fmt.Errorf("%s: %w", p.name(), err)
		}
	}
	return at, fmt.Sprintf("at %[1]d of %[1]d places", len(d.places)), nil
}

// showProved shows the honest token of before. With its key killed already, which
// happens two seconds after the switch, there is nothing to see.
func (d *drill) showProved(ctx context.Context) (at time.Time, detail string, err error) {
	at, detail, err = d.showHonest(ctx)
	if err == nil {
		return at, detail, nil
	}
	if err := d.look(ctx); err != nil {
		return at, "", err
	}
	if !d.state.Killed.IsZero() {
		return at, "not seen: the key was killed before", nil
	}
	return at, "", err
}

func (d *drill) awaitStandby(ctx context.Context) (at time.Time, detail string, err error) {
	err = d.untilState(ctx, func() bool { return !d.state.Switched.IsZero() })
	return d.ours(d.state.Switched), "key " + d.state.Standby, err
}

// renewHonest does what a client does: it asks for another token and shows it. Of
// several nodes one may answer that has not read yet which key signs.
func (d *drill) renewHonest(ctx context.Context) (at time.Time, detail string, err error) {
	var signer string
	err = d.until(ctx, func() (bool, error) {
		var err error
		if d.honest, err = d.token(ctx, false); err != nil {
			return false, err
		}
		signer, err = keyIDOf(d.honest)
		return signer == d.state.Standby, err
	})
	if err != nil && signer != "" && signer != d.state.Standby {
		err = fmt.Errorf("%w: the new token is signed by key %s", err, printable(signer))
	}
	if err != nil {
		return at, "", err
	}
	return d.showHonest(ctx)
}

func (d *drill) awaitKill(ctx context.Context) (at time.Time, detail string, err error) {
	err = d.untilState(ctx, func() bool { return !d.state.Killed.IsZero() && covered(d.state.Kill) })
	return d.ours(d.state.Killed), d.state.Kill.words(), err
}

// covered reports whether every verifier confirmed.
func covered(c *coverage) bool { return c != nil && c.Confirmed == c.Of }

func (c *coverage) words() string {
	if c == nil {
		return ""
	}
	return fmt.Sprintf("at %d of %d verifiers", c.Confirmed, c.Of)
}

// errPatience reports that something did not come about in time.
var errPatience = errors.New("not in time")

// until looks again and again until done says yes.
func (d *drill) until(ctx context.Context, done func() (bool, error)) error {
	for deadline := d.a.now().Add(d.flags.patience); ; {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		if d.a.now().After(deadline) {
			return errPatience
		}
		select {
		case <-ctx.Done():
			return errInterrupted
		case <-time.After(drillEvery):
		}
	}
}

// untilState looks at what the issuer says until done says yes.
func (d *drill) untilState(ctx context.Context, done func() bool) error {
	return d.until(ctx, func() (bool, error) {
		err := d.look(ctx)
		return err == nil && done(), err
	})
}

// look asks the issuer how far the drill has come.
func (d *drill) look(ctx context.Context) error {
	var next drillState // a fresh one: what is over is not in the answer
	before := d.a.now()
	if err := d.admin.call(ctx, http.MethodGet, "/admin/drill/"+d.state.KeyID, nil, &next); err != nil {
		return err
	}
	after := d.a.now()
	d.skew = next.Now.Sub(before.Add(after.Sub(before) / 2))
	next.Standby, next.Audience = d.state.Standby, d.state.Audience
	d.state = next
	return nil
}

// ours turns a time of the issuer's clock into one of ours.
func (d *drill) ours(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.Add(-d.skew)
}

// close takes away what the drill made, also when the drill was interrupted.
func (d *drill) close() {
	ctx, cancel := context.WithTimeout(context.Background(), drillCleanup)
	defer cancel()
	if d.verifier != nil {
		d.verifier.Close()
	}
	if d.credential != "" {
		d.tidy(ctx, "/admin/clients/"+d.credential)
	}
	if d.state.KeyID != "" {
		d.tidy(ctx, "/admin/drill/"+d.state.KeyID)
	}
}

func (d *drill) tidy(ctx context.Context, path string) {
	if err := d.admin.call(ctx, http.MethodDelete, path, nil, nil); err != nil {
		d.a.say("left behind: %s: %v", path, err)
	}
}

// print writes the timeline, in the order in which things came about.
func (d *drill) print(failed error) error {
	slices.SortStableFunc(d.timeline, func(a, b moment) int { return cmp.Compare(a.MS, b.MS) })
	if d.flags.machine {
		return d.a.printJSON(struct {
			Held     bool     `json:"held"`
			KeyID    string   `json:"kid"`
			Standby  string   `json:"standby"`
			Timeline []moment `json:"timeline"`
		}{failed == nil, d.state.KeyID, d.state.Standby, append([]moment{}, d.timeline...)})
	}
	if len(d.timeline) == 0 {
		return nil // the error says it all
	}
	rows := make([][]string, len(d.timeline))
	for i, m := range d.timeline {
		after := "-"
		if m.AfterUse != nil {
			after = fmt.Sprintf("%+d", *m.AfterUse)
		}
		rows[i] = []string{strconv.FormatInt(m.MS, 10), after, m.Step, m.Detail}
	}
	return printTable(d.a.stdout, "MS AFTER-USE STEP DETAIL", rows)
}

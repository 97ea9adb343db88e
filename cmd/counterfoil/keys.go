package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// signingKey is a key of the ring as the issuer's administration shows one.
type signingKey struct {
	KeyID     string    `json:"kid"`
	Use       string    `json:"use"`
	Algorithm string    `json:"alg"`
	State     string    `json:"state"`
	Published time.Time `json:"published"`
	Activated time.Time `json:"activated,omitzero"` // when it began to sign
	Stopped   time.Time `json:"stopped,omitzero"`   // when it ceased to
	Due       time.Time `json:"due,omitzero"`       // when the next one takes over
	Ready     time.Time `json:"ready,omitzero"`     // of the next one: from when on it may be told to
	Waiting   []string  `json:"waiting,omitempty"`  // of a standby: verifiers that do not hold it yet

	Quarantined time.Time `json:"quarantined,omitzero"` // since when first-seen tokens are proved before they pass
}

// stands is the state of a key, and what makes it another one than the others.
func (k *signingKey) stands(now time.Time) string {
	if !k.Quarantined.IsZero() {
		return k.kind() + ", quarantined " + span(now.Sub(k.Quarantined))
	}
	return k.kind()
}

func (k *signingKey) kind() string {
	switch {
	case k.Use == "canary" && k.State == "standby":
		return "canary"
	case k.Use == "canary" || k.Use == "drill":
		return k.Use + ", " + k.State
	}
	return k.State
}

// age is how long a key has been doing what it does.
func (k *signingKey) age(now time.Time) string {
	since := k.Published
	if since.IsZero() {
		return "-" // refused: what its row says is not known to be so
	}
	for _, t := range []time.Time{k.Activated, k.Stopped} {
		if !t.IsZero() {
			since = t
		}
	}
	return span(now.Sub(since))
}

// next says what comes for a key.
func (k *signingKey) next(now time.Time) string {
	switch {
	case len(k.Waiting) > 0:
		return fmt.Sprintf("waits for %d verifiers", len(k.Waiting))
	case k.Due.After(now):
		return "rotates in " + span(k.Due.Sub(now))
	case !k.Due.IsZero():
		return "is to be rotated"
	case k.Ready.After(now):
		return "ready in " + span(k.Ready.Sub(now))
	case !k.Ready.IsZero():
		return "ready"
	}
	return "-"
}

// span writes a duration in its largest unit, which is enough to plan by.
func span(d time.Duration) string {
	switch d = max(d, 0); {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d >= 2*time.Minute:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// rotation is what a rotation did.
type rotation struct {
	Algorithm string `json:"alg"`
	From      string `json:"from,omitempty"`
	To        string `json:"to"`
	Added     string `json:"added,omitempty"`
}

func (a *app) keysCommand() *cobra.Command {
	return a.group("keys", "The issuer's signing keys", a.keysListCommand(), a.keysRotateCommand(), a.keysKillCommand(),
		a.keysCanaryCommand(), a.keysResealCommand(), a.keysWebhookCommand())
}

func (a *app) keysListCommand() *cobra.Command {
	var (
		admin   adminFlags
		machine bool
	)
	cmd := &cobra.Command{
		Use: "list", Short: "List the signing keys", Args: takes(),
		Long: `List the signing keys: how long each has been in its state, when the next rotation
is due, which keys are under quarantine, and which verifiers do not have a standby yet
and hold the rotation up. A key that is refused is not from this issuer: somebody else
wrote to the database.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			keys, done, err := fetchList[signingKey](cmd.Context(), a, &admin, "/admin/keys", machine)
			if err != nil || done {
				return err
			}
			return a.printKeys(keys)
		},
	}
	admin.register(cmd.Flags())
	cmd.Flags().BoolVar(&machine, "json", false, "print one JSON array")
	return cmd
}

func (a *app) printKeys(keys []signingKey) error {
	now := a.now()
	rows := make([][]string, len(keys))
	for i, k := range keys {
		rows[i] = []string{printable(k.KeyID), k.Algorithm, k.stands(now), k.age(now), stamp(k.Published), stamp(k.Activated), stamp(k.Stopped), k.next(now)}
	}
	if err := printTable(a.stdout, "KID ALG STATE AGE PUBLISHED ACTIVATED STOPPED NEXT", rows); err != nil {
		return err
	}
	for _, k := range keys {
		if len(k.Waiting) > 0 {
			a.say("%s: these verifiers do not hold it yet: %s", k.KeyID, printable(strings.Join(k.Waiting, ", ")))
		}
	}
	return nil
}

func (a *app) keysRotateCommand() *cobra.Command {
	var (
		admin   adminFlags
		alg     string
		force   bool
		feed    bool
		machine bool
	)
	cmd := &cobra.Command{
		Use: "rotate", Short: "Let the standby key sign and publish a new standby", Args: takes(),
		Long: `Let the standby key sign and publish a new standby. It is refused as long as a
connected verifier does not hold the standby, which is named then, or as long as a
key set from before may be in a cache. With --force nobody is waited for.

With --feed the key is replaced that signs what verifiers are told, and no key that
signs tokens. Nobody is waited for: verifiers believe the root key, which names the
new one.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if feed && (force || alg != "") {
				return misuse("--feed is about another key: it goes with neither --alg nor --force")
			}
			c, err := a.connect(&admin)
			if err != nil {
				return err
			}
			if feed {
				return a.rotateFeed(cmd.Context(), c, machine)
			}
			var done rotation
			if err := c.call(cmd.Context(), http.MethodPost, "/admin/keys/rotate", map[string]any{"alg": alg, "force": force}, &done); err != nil {
				return err
			}
			a.say("%s signs with %s from now on; %s is the new standby", done.Algorithm, done.To, cmp.Or(done.Added, "(not made yet)"))
			if machine {
				return a.printJSON(done)
			}
			return nil
		},
	}
	admin.register(cmd.Flags())
	cmd.Flags().StringVar(&alg, "alg", "", "algorithm (default the first one of the issuer)")
	cmd.Flags().BoolVar(&force, "force", false, "do not wait until every verifier and every cached key set has the standby")
	cmd.Flags().BoolVar(&feed, "feed", false, "replace the key of the revocation feed instead")
	cmd.Flags().BoolVar(&machine, "json", false, "print what was done as one JSON object")
	return cmd
}

// feedRotation is what a rotation of the feed key did.
type feedRotation struct {
	From    string `json:"from"`
	To      string `json:"to"`
	Version uint64 `json:"trust_version"`
}

func (a *app) rotateFeed(ctx context.Context, c *adminClient, machine bool) error {
	var done feedRotation
	if err := c.call(ctx, http.MethodPost, "/admin/keys/feed", nil, &done); err != nil {
		return err
	}
	a.say("the feed is signed by %s from now on", done.To)
	if machine {
		return a.printJSON(done)
	}
	return nil
}

func (a *app) keysKillCommand() *cobra.Command {
	var (
		admin adminFlags
		order revokeOrder
	)
	cmd := &cobra.Command{
		Use: "kill KID", Short: "Give up a stolen key: nothing that it signs is good any more", Args: takes("KID"),
		Long: `Give up a key that was stolen. Everything that it has signed, and whatever the
thief will sign with it, is refused for ever; the standby signs at once. It is the
last step of the answer to a forgery, taken by hand: users whose token is refused
renew it and stay signed in.`,
		Example: "counterfoil keys kill 3q2-7wEj --wait",
		RunE: func(cmd *cobra.Command, args []string) error {
			order.Kind, order.Value, order.Absolute = "key", args[0], true
			return a.revoke(cmd.Context(), &admin, &order)
		},
	}
	admin.register(cmd.Flags())
	order.register(cmd.Flags())
	return cmd
}

package main

import (
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// signingKey is a key of the ring as the issuer's administration shows one.
type signingKey struct {
	KeyID     string    `json:"kid"`
	Algorithm string    `json:"alg"`
	State     string    `json:"state"`
	Published time.Time `json:"published"`
	Activated time.Time `json:"activated,omitzero"` // when it began to sign
	Stopped   time.Time `json:"stopped,omitzero"`   // when it ceased to
}

// rotation is what a rotation did.
type rotation struct {
	Algorithm string `json:"alg"`
	From      string `json:"from,omitempty"`
	To        string `json:"to"`
	Added     string `json:"added"`
}

func (a *app) keysCommand() *cobra.Command {
	return a.group("keys", "The issuer's signing keys", a.keysListCommand(), a.keysRotateCommand(), a.keysKillCommand())
}

func (a *app) keysListCommand() *cobra.Command {
	var (
		admin   adminFlags
		machine bool
	)
	cmd := &cobra.Command{
		Use: "list", Short: "List the signing keys", Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			keys, done, err := fetchList[signingKey](cmd.Context(), a, &admin, "/admin/keys", machine)
			if err != nil || done {
				return err
			}
			rows := make([][]string, len(keys))
			for i, k := range keys {
				rows[i] = []string{k.KeyID, k.Algorithm, k.State, stamp(k.Published), stamp(k.Activated), stamp(k.Stopped)}
			}
			return printTable(a.stdout, "KID ALG STATE PUBLISHED ACTIVATED STOPPED", rows)
		},
	}
	admin.register(cmd.Flags())
	cmd.Flags().BoolVar(&machine, "json", false, "print one JSON array")
	return cmd
}

func (a *app) keysRotateCommand() *cobra.Command {
	var (
		admin   adminFlags
		alg     string
		force   bool
		machine bool
	)
	cmd := &cobra.Command{
		Use: "rotate", Short: "Let the standby key sign and publish a new standby", Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect(&admin)
			if err != nil {
				return err
			}
			var done rotation
			if err := c.call(cmd.Context(), http.MethodPost, "/admin/keys/rotate", map[string]any{"alg": alg, "force": force}, &done); err != nil {
				return err
			}
			a.say("%s signs with %s from now on; %s is the new standby", done.Algorithm, done.To, done.Added)
			if machine {
				return a.printJSON(done)
			}
			return nil
		},
	}
	admin.register(cmd.Flags())
	cmd.Flags().StringVar(&alg, "alg", "", "algorithm (default the first one of the issuer)")
	cmd.Flags().BoolVar(&force, "force", false, "do not wait until the standby is in every cached key set")
	cmd.Flags().BoolVar(&machine, "json", false, "print what was done as one JSON object")
	return cmd
}

func (a *app) keysKillCommand() *cobra.Command {
	var (
		admin adminFlags
		order revokeOrder
	)
	cmd := &cobra.Command{
		Use: "kill KID", Short: "Give up a stolen key: nothing that it signs is good any more", Args: takes("KID"),
		Long: `Give up a key that was stolen. Everything that it has signed, and whatever the
thief will sign with it, is refused for ever; the standby signs at once.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			order.Kind, order.Value, order.Absolute = "key", args[0], true
			return a.revoke(cmd.Context(), &admin, &order)
		},
	}
	admin.register(cmd.Flags())
	order.register(cmd.Flags())
	return cmd
}

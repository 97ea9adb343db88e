package main

import (
	"net/http"
	"net/url"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"
)

// canary is a key to plant, with its private part.
type canary struct {
	KeyID     string         `json:"kid"`
	Algorithm string         `json:"alg"`
	Key       jsontext.Value `json:"key"`
}

func (a *app) keysCanaryCommand() *cobra.Command {
	var (
		admin       adminFlags
		alg, remove string
		out         string
	)
	cmd := &cobra.Command{
		Use: "canary", Short: "Make a key to plant where only a thief finds it", Args: takes(),
		Long: `Make a key to plant where only a thief finds it: in a backup, in a vault, beside the
real ones. It looks like one of them and signs nothing. A token that it signed is
refused by every connected verifier, and reported: somebody has been there.

The private key is printed this once, on stdout or to a new file; the issuer keeps the
public half.`,
		Example: `counterfoil keys canary --alg ES256 --out canary.json
counterfoil keys canary --remove 3q2-7wEj`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := wantNew(out); err != nil {
				return err
			}
			c, err := a.connect(&admin)
			if err != nil {
				return err
			}
			if remove != "" {
				err := c.call(cmd.Context(), http.MethodDelete, "/admin/keys/canary/"+url.PathEscape(remove), nil, nil)
				if err == nil {
					a.say("%s is no canary any more", remove)
				}
				return notFound(err, "canary "+remove)
			}
			var made canary
			if err := c.call(cmd.Context(), http.MethodPost, "/admin/keys/canary", map[string]string{"alg": alg}, &made); err != nil {
				return err
			}
			a.say("canary %s: plant it and forget where; whoever signs with it has found it", made.KeyID)
			return a.writeSecret(out, made.Key)
		},
	}
	admin.register(cmd.Flags())
	cmd.Flags().StringVar(&alg, "alg", "", "algorithm (default the first one of the issuer)")
	outFlag(cmd, &out)
	cmd.Flags().StringVar(&remove, "remove", "", "end the watch for the canary `KID`, which was taken away")
	cmd.MarkFlagsMutuallyExclusive("alg", "remove")
	return cmd
}

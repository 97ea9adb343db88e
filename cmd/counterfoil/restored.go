package main

import (
	"net/http"

	"github.com/spf13/cobra"
)

func (a *app) restoredCommand() *cobra.Command {
	var admin adminFlags
	cmd := &cobra.Command{
		Use: "restored", Short: "Tell the issuer that its database came back from a backup", Args: takes(),
		Long: `Tell the issuer that its database came back from a backup. It begins a new epoch
of the revocation log, whose numbers lie above every number that was given out
before; otherwise tokens from the lost time could not be revoked.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect(&admin)
			if err != nil {
				return err
			}
			var out struct {
				Epoch uint64 `json:"epoch"`
				Base  uint64 `json:"base"`
			}
			if err := c.call(cmd.Context(), http.MethodPost, "/admin/restored", struct{}{}, &out); err != nil {
				return err
			}
			a.say("epoch %d begins above number %d", out.Epoch, out.Base)
			return nil
		},
	}
	admin.register(cmd.Flags())
	return cmd
}

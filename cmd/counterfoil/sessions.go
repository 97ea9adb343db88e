package main

import (
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

// signedIn is a session as the issuer's administration shows one.
type signedIn struct {
	ID        string    `json:"id"`
	UserID    string    `json:"user_id"`
	User      string    `json:"user,omitempty"`
	ClientID  string    `json:"client_id"`
	Tenant    string    `json:"tenant,omitempty"`
	Audience  string    `json:"audience"`
	Scope     string    `json:"scope"`
	Created   time.Time `json:"created"`
	Refreshed time.Time `json:"refreshed,omitzero"`
	Expires   time.Time `json:"expires"`
}

func (a *app) sessionCommand() *cobra.Command {
	return a.group("session", "List and revoke sessions", a.sessionListCommand(), a.sessionRevokeCommand())
}

func (a *app) sessionListCommand() *cobra.Command {
	var (
		admin   adminFlags
		name    string
		machine bool
	)
	cmd := &cobra.Command{
		Use: "list", Short: "List the living sessions", Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			path := "/admin/sessions"
			if name != "" {
				path += "?" + url.Values{"user": {name}}.Encode()
			}
			sessions, done, err := fetchList[signedIn](cmd.Context(), a, &admin, path, machine)
			if err != nil {
				return notFound(err, "user "+name)
			}
			if done {
				return nil
			}
			rows := make([][]string, len(sessions))
			for i, s := range sessions {
				rows[i] = []string{s.ID, orDash(s.User), orDash(s.ClientID), orDash(s.Audience), stamp(s.Created), distance(a.now(), s.Expires)}
			}
			return printTable(a.stdout, "ID USER CLIENT AUDIENCE CREATED EXPIRES", rows)
		},
	}
	admin.register(cmd.Flags())
	cmd.Flags().StringVar(&name, "user", "", "only those of this user, by name or id")
	cmd.Flags().BoolVar(&machine, "json", false, "print one JSON array")
	return cmd
}

func (a *app) sessionRevokeCommand() *cobra.Command {
	var (
		admin adminFlags
		order revokeOrder
	)
	cmd := &cobra.Command{
		Use: "revoke ID", Short: "End a session, everywhere and at once", Args: takes("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			order.Kind, order.Value = "session", args[0]
			return a.revoke(cmd.Context(), &admin, &order)
		},
	}
	admin.register(cmd.Flags())
	order.register(cmd.Flags())
	return cmd
}

package main

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/counterfoil/counterfoil/issuer/forgery"
)

// An incident is what was done about a key that somebody else signs with.
type incident struct{ forgery.Incident }

// status is the state, and what a person should know of it.
func (i *incident) status() string {
	state := string(i.State)
	switch {
	case i.Held:
		return state + ", waits for you: counterfoil keys kill " + i.KeyID
	case i.Canary:
		return state + " (canary)"
	case i.Drill:
		return state + " (drill)"
	}
	return state
}

func (a *app) incidentCommand() *cobra.Command {
	return a.group("incident", "Keys that somebody else signs with, and what was done", a.incidentListCommand(), a.incidentShowCommand(), a.incidentCloseCommand())
}

func (a *app) incidentListCommand() *cobra.Command {
	var (
		admin   adminFlags
		machine bool
	)
	cmd := &cobra.Command{
		Use: "list", Short: "List the incidents, the newest first", Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, done, err := fetchList[incident](cmd.Context(), a, &admin, "/admin/incidents", machine)
			if err != nil || done {
				return err
			}
			rows := make([][]string, len(list))
			for n := range list {
				i := &list[n]
				rows[n] = []string{i.KeyID, i.status(), fmt.Sprint(i.Tokens), stamp(i.Found), stamp(i.Quarantined), stamp(i.Switched), stamp(i.Killed)}
			}
			return printTable(a.stdout, "KID STATE TOKENS FOUND QUARANTINED SWITCHED KILLED", rows)
		},
	}
	admin.register(cmd.Flags())
	cmd.Flags().BoolVar(&machine, "json", false, "print one JSON array")
	return cmd
}

func (a *app) incidentShowCommand() *cobra.Command {
	var (
		admin   adminFlags
		machine bool
	)
	cmd := &cobra.Command{
		Use: "show KID", Short: "Show one incident and its first forged tokens", Args: takes("KID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect(&admin)
			if err != nil {
				return err
			}
			var i incident
			if err := c.call(cmd.Context(), http.MethodGet, "/admin/incidents/"+url.PathEscape(args[0]), nil, &i); err != nil {
				return err
			}
			if machine {
				return a.printJSON(i)
			}
			return a.printIncident(&i)
		},
	}
	admin.register(cmd.Flags())
	cmd.Flags().BoolVar(&machine, "json", false, "print one JSON object")
	return cmd
}

func (a *app) printIncident(i *incident) error {
	rows := [][]string{{"state", i.status()}, {"tokens", fmt.Sprintf("%d, %d of them revoked one by one", i.Tokens, i.Entries)}}
	add := func(name, value string) {
		if value != "" && value != stamp(time.Time{}) {
			rows = append(rows, []string{name, printable(value)})
		}
	}
	add("found", stamp(i.Found))
	add("last seen", stamp(i.Seen))
	add("shown by", i.Reporter)
	add("jti", i.TokenID)
	add("limits of the key", i.Level0)
	add("alarmed", stamp(i.Alarmed))
	add("webhook", i.WebhookError)
	add("quarantined", stamp(i.Quarantined))
	add("switched", stamp(i.Switched))
	add("took over", i.Successor)
	add("drained", stamp(i.Drained))
	add("killed", stamp(i.Killed))
	add("closed", stamp(i.Closed))
	for _, f := range i.Forgeries {
		add("forged "+stamp(f.At), f.Hash+" "+f.TokenID)
	}
	return printTable(a.stdout, "KID "+printable(i.KeyID), rows)
}

func (a *app) incidentCloseCommand() *cobra.Command {
	var admin adminFlags
	cmd := &cobra.Command{
		Use: "close KID", Short: "Say that an incident is over", Args: takes("KID"),
		Long: `Say that an incident is over: its answer goes no further. What was done stays
done, and another forged token begins it anew. To give up the key instead:
counterfoil keys kill KID.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect(&admin)
			if err != nil {
				return err
			}
			if err := c.call(cmd.Context(), http.MethodPost, "/admin/incidents/"+url.PathEscape(args[0])+"/close", nil, nil); err != nil {
				return err
			}
			a.say("the incident of %s is closed", args[0])
			return nil
		},
	}
	admin.register(cmd.Flags())
	return cmd
}

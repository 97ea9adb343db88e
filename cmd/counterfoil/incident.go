package main

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

// An incident is what was done about a key that somebody else signs with, as the
// issuer's administration shows it.
type incident struct {
	KeyID         string    `json:"kid"`
	State         string    `json:"state"`
	Drill         bool      `json:"drill,omitzero"`
	TokenID       string    `json:"jti,omitzero"`
	Level0        string    `json:"level0,omitzero"`
	Canary        bool      `json:"canary,omitzero"`
	Reporter      string    `json:"reporter,omitzero"`
	Tokens        uint64    `json:"tokens"`
	Entries       uint64    `json:"entries"`
	Found         time.Time `json:"found"`
	Seen          time.Time `json:"seen"`
	Alarmed       time.Time `json:"alarmed,omitzero"`
	Quarantined   time.Time `json:"quarantined,omitzero"`
	Switched      time.Time `json:"switched,omitzero"`
	Drained       time.Time `json:"drained,omitzero"`
	Killed        time.Time `json:"killed,omitzero"`
	Closed        time.Time `json:"closed,omitzero"`
	QuarantineSeq uint64    `json:"quarantine_seq,omitzero"`
	KillSeq       uint64    `json:"kill_seq,omitzero"`
	Successor     string    `json:"successor,omitzero"`
	Held          bool      `json:"held,omitzero"`
	Automatic     bool      `json:"automatic,omitzero"`
	WebhookError  string    `json:"webhook_error,omitzero"`

	Forgeries []struct {
		TokenID string    `json:"jti,omitzero"`
		Hash    string    `json:"hash"`
		Seq     uint64    `json:"seq,omitzero"`
		At      time.Time `json:"at"`
	} `json:"forgeries,omitempty"`
}

// status is the state, and what a person should know of it.
func (i *incident) status() string {
	switch {
	case i.Held:
		return i.State + ", waits for you: counterfoil keys kill " + i.KeyID
	case i.Canary:
		return i.State + " (canary)"
	case i.Drill:
		return i.State + " (drill)"
	}
	return i.State
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

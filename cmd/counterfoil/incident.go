package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/counterfoil/counterfoil/issuer/forgery"
)

// An incident is what was done about a key that somebody else signs with.
type incident struct{ forgery.Incident }

// status is the state, and what a person should know of it.
func (i *incident) status() string {
	state := string(i.State)
	if i.Undelivered != nil {
		state += ", not delivered to the webhook"
	}
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
	return a.group("incident", "Keys that somebody else signs with, and what was done", a.incidentListCommand(), a.incidentShowCommand(), a.incidentTokensCommand(), a.incidentCloseCommand())
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
			i, err := a.fetchIncident(cmd.Context(), &admin, args[0])
			if err != nil {
				return err
			}
			if machine {
				return a.printJSON(i)
			}
			return a.printIncident(i)
		},
	}
	admin.register(cmd.Flags())
	cmd.Flags().BoolVar(&machine, "json", false, "print one JSON object")
	return cmd
}

// fetchIncident reads one incident with what is known of its tokens.
func (a *app) fetchIncident(ctx context.Context, admin *adminFlags, kid string) (*incident, error) {
	c, err := a.connect(admin)
	if err != nil {
		return nil, err
	}
	i := new(incident)
	return i, notFound(c.call(ctx, http.MethodGet, "/admin/incidents/"+url.PathEscape(kid), nil, i), "incident "+kid)
}

func (a *app) incidentTokensCommand() *cobra.Command {
	var (
		admin   adminFlags
		machine bool
	)
	cmd := &cobra.Command{
		Use: "tokens KID", Short: "List what the forged tokens of a key said of themselves", Args: takes("KID"),
		Long: `List what the forged tokens of a key said of themselves: whom the thief played, at
which services, with which scopes and roles, from when to when, and which verifiers saw
it first at what time. The thief chose all of it but the first column and the last one.
What is not printable is escaped, and ... stands behind what was too long to keep.

So many of a key are kept, the first ones, for 90 days. Further ones are counted.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			i, err := a.fetchIncident(cmd.Context(), &admin, args[0])
			if err != nil {
				return err
			}
			if i.Untraced > 0 {
				a.say("of %d more tokens it is not known, or not any more", i.Untraced)
			}
			if machine {
				return a.printJSON(append([]forgery.Trace{}, i.Traces...))
			}
			return printTraces(a.stdout, i.Traces)
		},
	}
	admin.register(cmd.Flags())
	cmd.Flags().BoolVar(&machine, "json", false, "print one JSON array")
	return cmd
}

func printTraces(w io.Writer, traces []forgery.Trace) error {
	rows := make([][]string, len(traces))
	moment := func(t time.Time) string { return strings.TrimPrefix(stamp(t), "-") }
	for n := range traces {
		t := &traces[n]
		cell := func(name string, said ...string) string {
			if slices.Contains(t.NotKept, name) {
				said = append(slices.Clip(said), "...")
			}
			return cmp.Or(printable(strings.TrimSpace(strings.Join(said, " "))), "-")
		}
		var seen []string
		for _, s := range t.SeenBy {
			seen = append(seen, s.Reporter)
		}
		rows[n] = []string{
			stamp(t.At), cell("sub", t.Subject), cell("aud", t.Audience...), cell("scope", t.Scope), cell("roles", t.Roles...),
			cell("client_id", t.ClientID), cell("iat", moment(t.IssuedAt)), cell("exp", moment(t.Expiry)), cell("", t.Level0),
			cell("", seen...),
		}
	}
	return printTable(w, "SEEN SUB AUD SCOPE ROLES CLIENT FROM TO LIMITS BY", rows)
}

func (a *app) printIncident(i *incident) error {
	rows := [][]string{{"state", i.status()}, {"tokens", fmt.Sprintf("%d, %d of them revoked one by one", i.Tokens, i.Entries)}}
	if len(i.Traces) > 0 {
		rows = append(rows, []string{"whom they played", "counterfoil incident tokens " + printable(i.KeyID)})
	}
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
	if u := i.Undelivered; u != nil {
		add("webhook", fmt.Sprintf("%d alarms could not be delivered since %s, %d tries: %s", u.Alarms, stamp(u.Since), u.Tries, u.Error))
	}
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
				return notFound(err, "incident "+args[0])
			}
			a.say("the incident of %s is closed", args[0])
			return nil
		},
	}
	admin.register(cmd.Flags())
	return cmd
}

package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/counterfoil/counterfoil/internal/wire"
)

// user is a user as the issuer's administration shows one.
type user struct {
	ID       string                    `json:"id"`
	Name     string                    `json:"name"`
	Tenant   string                    `json:"tenant,omitempty"`
	Roles    []string                  `json:"roles"`
	Claims   map[string]jsontext.Value `json:"claims,omitempty"`
	Disabled bool                      `json:"disabled"`
	Created  time.Time                 `json:"created"`
	Password string                    `json:"password,omitempty"` // made up just now
	Seq      uint64                    `json:"seq,omitzero"`       // of the revocation that came with the change
}

func (a *app) userCommand() *cobra.Command {
	return a.group("user", "Add and change users",
		a.userAddCommand(), a.userListCommand(), a.userPasswordCommand(),
		a.userSwitchCommand("disable", true, "Lock a user out, everywhere and at once"),
		a.userSwitchCommand("enable", false, "Let a user in again"))
}

func (a *app) userAddCommand() *cobra.Command {
	var (
		admin    adminFlags
		password passwordFlags
		claims   []string
		tenant   string
		roles    []string
		machine  bool
	)
	cmd := &cobra.Command{
		Use: "add NAME", Short: "Add a user", Args: takes("NAME"),
		Example: "counterfoil user add ada --role admin --claim department='\"mathematics\"' --generate",
		RunE: func(cmd *cobra.Command, args []string) error {
			own, err := parseClaims(claims)
			if err != nil {
				return err
			}
			client, err := a.connect(&admin)
			if err != nil {
				return err
			}
			secret, err := a.readNewPassword(&password)
			if err != nil {
				return err
			}
			in := map[string]any{"name": args[0], "password": secret, "tenant": tenant, "roles": roles, "claims": own}
			var added user
			if err := client.call(cmd.Context(), http.MethodPost, "/admin/users", in, &added); err != nil {
				return err
			}
			a.say("user %s added, id %s", added.Name, added.ID)
			return a.printUser(&added, machine)
		},
	}
	admin.register(cmd.Flags())
	password.register(cmd.Flags())
	cmd.Flags().StringArrayVar(&roles, "role", nil, "a `ROLE` of the user (repeatable)")
	cmd.Flags().StringArrayVar(&claims, "claim", nil, "a claim of the user, as `NAME=JSON` (repeatable); no name that IANA registered, such as sub or email")
	cmd.Flags().StringVar(&tenant, "tenant", "", "`NAME` of the tenant that the user belongs to")
	cmd.Flags().BoolVar(&machine, "json", false, "print the user as one JSON object")
	return cmd
}

// parseClaims reads NAME=JSON. Which names are refused is the issuer's to say.
func parseClaims(list []string) (map[string]jsontext.Value, error) {
	claims := make(map[string]jsontext.Value, len(list))
	for _, item := range list {
		name, value, ok := strings.Cut(item, "=")
		if !ok || name == "" {
			return nil, hinted(misuse("--claim takes NAME=JSON"), `--claim department='"mathematics"'`)
		}
		var v jsontext.Value
		if err := wire.Unmarshal([]byte(value), &v); err != nil {
			return nil, hinted(misuse("the value of claim %s is not JSON", name), fmt.Sprintf(`text needs quotes: --claim %s='"text"'`, name))
		}
		if _, twice := claims[name]; twice {
			return nil, misuse("claim %s is given twice", name)
		}
		claims[name] = v
	}
	return claims, nil
}

// printUser prints the data of a change: the whole user for programs, a made-up
// password otherwise.
func (a *app) printUser(u *user, machine bool) error {
	if machine {
		return a.printJSON(u)
	}
	if u.Password == "" {
		return nil
	}
	_, err := fmt.Fprintln(a.stdout, u.Password)
	return err
}

func (a *app) userListCommand() *cobra.Command {
	var (
		admin   adminFlags
		machine bool
	)
	cmd := &cobra.Command{
		Use: "list", Short: "List the users", Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			users, done, err := fetchList[user](cmd.Context(), a, &admin, "/admin/users", machine)
			if err != nil || done {
				return err
			}
			rows := make([][]string, len(users))
			for i, u := range users {
				rows[i] = []string{printable(u.Name), u.ID, orDash(u.Tenant), orDash(strings.Join(u.Roles, ",")), state(u.Disabled), stamp(u.Created)}
			}
			return printTable(a.stdout, "NAME ID TENANT ROLES STATE CREATED", rows)
		},
	}
	admin.register(cmd.Flags())
	cmd.Flags().BoolVar(&machine, "json", false, "print one JSON array")
	return cmd
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return printable(s)
}

func state(disabled bool) string {
	if disabled {
		return "disabled"
	}
	return "enabled"
}

func (a *app) userPasswordCommand() *cobra.Command {
	var (
		admin    adminFlags
		password passwordFlags
		machine  bool
	)
	cmd := &cobra.Command{
		Use: "password NAME", Short: "Give a user a new password and end all sessions from before", Args: takes("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := a.connect(&admin)
			if err != nil {
				return err
			}
			secret, err := a.readNewPassword(&password)
			if err != nil {
				return err
			}
			in := map[string]any{"password": secret}
			if password.generate {
				in = map[string]any{"generate_password": true}
			}
			var changed user
			if err := client.call(cmd.Context(), http.MethodPatch, userPath(args[0]), in, &changed); err != nil {
				return notFound(err, "user "+args[0])
			}
			a.say("%s has a new password; all sessions from before are revoked", changed.Name)
			return a.printUser(&changed, machine)
		},
	}
	admin.register(cmd.Flags())
	password.register(cmd.Flags())
	cmd.Flags().BoolVar(&machine, "json", false, "print the user as one JSON object")
	return cmd
}

func userPath(name string) string { return "/admin/users/" + url.PathEscape(name) }

func (a *app) userSwitchCommand(use string, disabled bool, short string) *cobra.Command {
	var admin adminFlags
	cmd := &cobra.Command{
		Use: use + " NAME", Short: short, Args: takes("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := a.connect(&admin)
			if err != nil {
				return err
			}
			var changed user
			err = client.call(cmd.Context(), http.MethodPatch, userPath(args[0]), map[string]any{"disabled": disabled}, &changed)
			if err != nil {
				return notFound(err, "user "+args[0])
			}
			a.say("%s is %s", changed.Name, state(changed.Disabled))
			return nil
		},
	}
	admin.register(cmd.Flags())
	return cmd
}

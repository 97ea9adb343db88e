package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

// client is a client as the issuer's administration shows one.
type client struct {
	ID         string    `json:"id"`
	Kind       string    `json:"kind"`
	Disabled   bool      `json:"disabled"`
	Created    time.Time `json:"created"`
	Secret     string    `json:"secret,omitempty"`
	Credential string    `json:"credential,omitempty"`
}

func (a *app) clientCommand() *cobra.Command {
	return a.group("client", "Add and remove programs that speak to the issuer",
		a.clientAddCommand(), a.clientListCommand(), a.clientRemoveCommand(), a.clientSecretCommand())
}

func (a *app) clientAddCommand() *cobra.Command {
	var (
		admin                          adminFlags
		verifier, confidential, public bool
		machine                        bool
		out                            string
	)
	cmd := &cobra.Command{
		Use: "add --verifier NAME", Short: "Add a client and print its credential once", Args: takes("NAME"),
		Long: `Add a client. Its credential, NAME:SECRET on one line, is printed once on stdout, or
written to a new file that only its owner can read.

A verifier is a service or a guard that follows the revocation feed. The file goes
to guard --credential FILE, or to verifier.Config.CredentialFile. Its second line
names the issuer's root key: a verifier that has the file takes nobody else for the
issuer.`,
		Example: "counterfoil client add --verifier orders --out orders.credential",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := wantNew(out); err != nil {
				return err
			}
			kind, err := kindOf(verifier, confidential, public)
			if err != nil {
				return err
			}
			c, err := a.connect(&admin)
			if err != nil {
				return err
			}
			var added client
			if err := c.call(cmd.Context(), http.MethodPost, "/admin/clients", map[string]string{"id": args[0], "kind": kind}, &added); err != nil {
				return err
			}
			a.say("%s client %s added", added.Kind, added.ID)
			return a.printClient(&added, out, machine)
		},
	}
	admin.register(cmd.Flags())
	cmd.Flags().BoolVar(&verifier, "verifier", false, "a service or guard that follows the feed")
	cmd.Flags().BoolVar(&confidential, "confidential", false, "a program that can keep a secret")
	cmd.Flags().BoolVar(&public, "public", false, "a program that cannot keep one, and gets none")
	outFlag(cmd, &out)
	cmd.Flags().BoolVar(&machine, "json", false, "print the client as one JSON object")
	cmd.MarkFlagsMutuallyExclusive("out", "json")
	return cmd
}

func kindOf(verifier, confidential, public bool) (string, error) {
	switch [3]bool{verifier, confidential, public} {
	case [3]bool{true, false, false}:
		return "verifier", nil
	case [3]bool{false, true, false}:
		return "confidential", nil
	case [3]bool{false, false, true}:
		return "public", nil
	}
	return "", misuse("say which kind it is: --verifier, --confidential or --public")
}

func (a *app) printClient(c *client, out string, machine bool) error {
	if machine {
		return a.printJSON(c)
	}
	if c.Credential == "" {
		a.say("a public client has no credential")
		return nil
	}
	if out == "-" {
		a.say("its credential is printed this once: keep it in a file that only the program can read")
	}
	return a.writeSecret(out, []byte(c.Credential))
}

func (a *app) clientListCommand() *cobra.Command {
	var (
		admin   adminFlags
		machine bool
	)
	cmd := &cobra.Command{
		Use: "list", Short: "List the clients", Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			clients, done, err := fetchList[client](cmd.Context(), a, &admin, "/admin/clients", machine)
			if err != nil || done {
				return err
			}
			rows := make([][]string, len(clients))
			for i, c := range clients {
				rows[i] = []string{printable(c.ID), c.Kind, state(c.Disabled), stamp(c.Created)}
			}
			return printTable(a.stdout, "ID KIND STATE CREATED", rows)
		},
	}
	admin.register(cmd.Flags())
	cmd.Flags().BoolVar(&machine, "json", false, "print one JSON array")
	return cmd
}

func clientPath(id string) string { return "/admin/clients/" + url.PathEscape(id) }

func (a *app) clientRemoveCommand() *cobra.Command {
	var admin adminFlags
	cmd := &cobra.Command{
		Use: "remove NAME", Short: "Remove a client and revoke what it holds", Args: takes("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect(&admin)
			if err != nil {
				return err
			}
			if err := c.call(cmd.Context(), http.MethodDelete, clientPath(args[0]), nil, nil); err != nil {
				return notFound(err, "client "+args[0])
			}
			a.say("client %s removed", args[0])
			return nil
		},
	}
	admin.register(cmd.Flags())
	return cmd
}

func (a *app) clientSecretCommand() *cobra.Command {
	var (
		admin   adminFlags
		machine bool
		out     string
	)
	cmd := &cobra.Command{
		Use: "secret NAME", Short: "Replace the secret of a client", Args: takes("NAME"),
		Example: "counterfoil client secret orders --out orders-2.credential",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := wantNew(out); err != nil {
				return err
			}
			c, err := a.connect(&admin)
			if err != nil {
				return err
			}
			var changed client
			if err := c.call(cmd.Context(), http.MethodPost, clientPath(args[0])+"/secret", nil, &changed); err != nil {
				return notFound(err, "client "+args[0])
			}
			a.say("client %s has a new secret; the one before is worth nothing", changed.ID)
			return a.printClient(&changed, out, machine)
		},
	}
	admin.register(cmd.Flags())
	outFlag(cmd, &out)
	cmd.Flags().BoolVar(&machine, "json", false, "print the client as one JSON object")
	cmd.MarkFlagsMutuallyExclusive("out", "json")
	return cmd
}

// notFound names what the issuer does not know.
func notFound(err error, what string) error {
	if answer, ok := errors.AsType[*answeredError](err); ok && answer.status == http.StatusNotFound {
		return fmt.Errorf("there is no %s", what)
	}
	return err
}

package main

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/counterfoil/counterfoil/internal/fetch"
	"github.com/counterfoil/counterfoil/oauth"
)

func (a *app) loginCommand() *cobra.Command {
	var (
		server, name, audience, scope, out string
		stdin, machine                     bool
	)
	cmd := &cobra.Command{
		Use: "login --server URL --user NAME", Short: "Sign in and print an access token for the shell", Args: takes(),
		Long: `Sign in and print an access token. With --scope admin it is one for the
administration of that issuer: give it to the other commands with --token-file.`,
		Example: `counterfoil login --server https://id.example --user ada --scope admin --out token.txt
counterfoil user list --server https://id.example --token-file token.txt`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(cmd.Flags(), "server", "user"); err != nil {
				return err
			}
			u, err := fetch.ParseURL(server)
			if err != nil {
				return misuse("--server: %v", err)
			}
			if audience == "" && scope == oauth.ScopeAdmin {
				audience = server
			}
			password, err := a.readPassword(stdin)
			if err != nil {
				return err
			}
			c := &adminClient{http: fetch.NewClient(u, anyAddress), base: server, where: server, hint: "is the URL right?"}
			in := map[string]string{"username": name, "password": password, "audience": audience, "scope": scope}
			var answer oauth.TokenResponse
			if err := c.call(cmd.Context(), http.MethodPost, "/sign-in", in, &answer); err != nil {
				return err
			}
			a.say("signed in, session %s, for %s", answer.SessionID, fmtSeconds(answer.ExpiresIn))
			if machine {
				return a.printJSON(answer)
			}
			return a.writeSecret(out, []byte(answer.AccessToken))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&server, "server", "", "`URL` of the issuer (required)")
	flags.StringVar(&name, "user", "", "`NAME` of the user (required)")
	flags.StringVar(&audience, "audience", "", "who the token is for (default the issuer's default; with --scope admin the issuer)")
	flags.StringVar(&scope, "scope", "", "what the token may do")
	flags.BoolVar(&stdin, "password-stdin", false, "read the password from stdin")
	outFlag(cmd, &out)
	flags.BoolVar(&machine, "json", false, "print the whole answer, the refresh token too")
	return cmd
}

func (a *app) readPassword(stdin bool) (string, error) {
	if stdin {
		return a.passwordFromStdin()
	}
	return a.prompt("Password: ", "--password-stdin")
}

func fmtSeconds(n int64) string { return fmt.Sprintf("%d seconds", n) }

package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

// maxPatience is how long the issuer waits for verifiers at most.
const maxPatience = time.Minute

// A revokeOrder is what goes to the issuer.
type revokeOrder struct {
	Kind     string `json:"kind"`
	Value    string `json:"value"`
	Absolute bool   `json:"absolute"`
	Wait     int    `json:"wait"` // seconds

	patience time.Duration
	machine  bool
}

func (o *revokeOrder) register(flags *pflag.FlagSet) {
	flags.DurationVar(&o.patience, "wait", 0, "wait until every verifier confirms, for at most 10s or --wait=`TIME`")
	flags.Lookup("wait").NoOptDefVal = "10s"
	flags.BoolVar(&o.machine, "json", false, "print the answer as one JSON object")
}

// revoked is the issuer's answer: the revocation is durable.
type revoked struct {
	Epoch     uint64    `json:"epoch"`
	Seq       uint64    `json:"seq"`
	Verifiers *coverage `json:"verifiers,omitempty"`
}

// coverage is who confirmed.
type coverage struct {
	Confirmed int      `json:"confirmed"`
	Of        int      `json:"of"`
	Silent    []string `json:"silent"`
	SlowestMS int64    `json:"slowest_ms"`
}

// revocable are the flags of revoke and the kinds that they mean.
var revocable = []struct{ flag, kind, usage string }{
	{"token", "token", "one access token, by `JTI`; - reads a token from stdin and takes its jti"},
	{"session", "session", "one session, by `ID`"},
	{"subject", "subject", "all that a `USER` holds, by name or id"},
	{"client", "client", "all that a client holds, by `NAME`"},
	{"tenant", "tenant", "all that users of a tenant hold, by `NAME`"},
	{"key", "key", "all that a signing key has signed until now, by `KID`"},
}

func (a *app) revokeCommand() *cobra.Command {
	var (
		admin      adminFlags
		order      revokeOrder
		everything bool
	)
	values := make([]string, len(revocable))
	cmd := &cobra.Command{
		Use: "revoke", Short: "Revoke tokens, sessions, users, clients, tenants, keys or everything", Args: revokeArgs,
		Long: `Revoke. When the command is done the revocation is durable, and every connected
verifier refuses what it names within a second. Users can sign in again at once.`,
		Example: "counterfoil revoke --subject ada --wait",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := order.name(values, everything); err != nil {
				return err
			}
			if err := a.readJTI(&order, &admin); err != nil {
				return err
			}
			return a.revoke(cmd.Context(), &admin, &order)
		},
	}
	admin.register(cmd.Flags())
	order.register(cmd.Flags())
	for i, r := range revocable {
		cmd.Flags().StringVar(&values[i], r.flag, "", r.usage)
	}
	cmd.Flags().BoolVar(&everything, "all", false, "every token of this issuer")
	return cmd
}

// revokeArgs wants no argument. It knows how one comes about: --wait 5s.
func revokeArgs(cmd *cobra.Command, args []string) error {
	err := takes()(cmd, args)
	if err != nil && cmd.Flags().Changed("wait") {
		if _, parsed := time.ParseDuration(args[0]); parsed == nil {
			return hinted(err, "with an equals sign: --wait="+args[0])
		}
	}
	return err
}

// name says what to revoke: the one of revocable that has a value, or everything.
func (o *revokeOrder) name(values []string, everything bool) error {
	named := 0
	for i, r := range revocable {
		if values[i] != "" {
			o.Kind, o.Value = r.kind, values[i]
			named++
		}
	}
	if everything {
		o.Kind, o.Value = "everything", ""
		named++
	}
	if named != 1 {
		return hinted(misuse("say what to revoke, one thing"), "counterfoil revoke --session ID")
	}
	return nil
}

// readJTI puts the jti of a token on stdin into an order that asks for it.
func (a *app) readJTI(o *revokeOrder, admin *adminFlags) (err error) {
	switch {
	case o.Kind != "token":
		return nil
	case o.Value == "-":
		if err := oneStdin(o.Value, admin.tokenFile); err != nil {
			return err
		}
		o.Value, err = a.jtiFromStdin()
		return err
	case strings.Count(o.Value, ".") == 2:
		return hinted(misuse("--token takes the jti of a token, not the token"), "counterfoil revoke --token - < FILE reads a token and takes its jti")
	}
	return nil
}

// jtiFromStdin takes the name out of a token. Who can revoke may revoke a forged
// one too, so that it need not verify.
func (a *app) jtiFromStdin() (string, error) {
	token, err := a.readToken("-")
	if err != nil {
		return "", err
	}
	u, err := jwt.ParseUnverified(token)
	if err != nil {
		return "", err
	}
	var claims struct {
		ID string `json:"jti"`
	}
	if wire.Unmarshal(u.UnverifiedClaims(), &claims) != nil || claims.ID == "" {
		return "", misuse("the token has no jti")
	}
	return claims.ID, nil
}

// revoke sends an order and tells what came of it. With --wait the answer is no
// as long as a verifier has not confirmed.
func (a *app) revoke(ctx context.Context, admin *adminFlags, order *revokeOrder) error {
	c, err := a.connect(admin)
	if err != nil {
		return err
	}
	if order.patience < 0 || order.patience > maxPatience {
		return misuse("--wait takes up to %v", maxPatience)
	}
	order.Wait = int((order.patience + time.Second - 1) / time.Second)
	var out revoked
	if err := c.call(ctx, http.MethodPost, "/admin/revoke", order, &out); err != nil {
		return notFound(err, order.Kind+" "+order.Value)
	}
	if order.machine {
		if err := a.printJSON(out); err != nil {
			return err
		}
	}
	a.say("revoked, number %d", out.Seq)
	return a.sayCoverage(out.Verifiers)
}

func (a *app) sayCoverage(v *coverage) error {
	if v == nil {
		return nil
	}
	if v.Of == 0 {
		a.say("no verifier has been heard")
		return nil
	}
	a.say("%d of %d verifiers refuse it, slowest %d ms", v.Confirmed, v.Of, v.SlowestMS)
	if v.Confirmed < v.Of {
		return fmt.Errorf("silent: %s", printable(strings.Join(v.Silent, ", ")))
	}
	return nil
}

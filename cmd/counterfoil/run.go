package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Exit codes.
const (
	exitYes    = 0
	exitNo     = 1
	exitMisuse = 2
)

// An app is what a command sees of the world.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	now            func() time.Time
	lookupEnv      func(string) (string, bool)
}

// run is the whole program.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr, now: time.Now, lookupEnv: os.LookupEnv}
	return a.run(ctx, args)
}

func (a *app) run(ctx context.Context, args []string) int {
	root := a.rootCommand()
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitYes
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = errInterrupted
	}
	a.say("%v", err)
	if h, ok := errors.AsType[*hintedError](err); ok {
		a.say("hint: %s", h.hint)
	}
	if _, ok := errors.AsType[*misuseError](err); ok {
		return exitMisuse
	}
	return exitNo
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "counterfoil",
		Short: "Issue, check and revoke JSON Web Tokens",
		Long: `Issue, check and revoke JSON Web Tokens.

Data goes to stdout, talk to stderr. The exit code is 0 for yes, 1 for no, and 2 for
misuse. Every flag can also be given as COUNTERFOIL_NAME in the environment.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          a.knownCommand,
		Version:       programVersion(),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return a.flagsFromEnvironment(cmd.Flags())
		},
	}
	root.SetVersionTemplate(versionLine() + "\n")
	root.SetHelpCommand(a.helpCommand())
	root.SetFlagErrorFunc(a.explainFlag)
	root.AddCommand(
		a.serveCommand(), a.guardCommand(), a.notaryCommand(),
		a.userCommand(), a.clientCommand(), a.sessionCommand(), a.revokeCommand(), a.keysCommand(),
		a.loginCommand(), a.feedCommand(), a.auditCommand(), a.incidentCommand(), a.backupCommand(), a.restoredCommand(), a.drillCommand(),
		a.jwtCommand(), a.jwsCommand(), a.jweCommand(), a.jwkCommand(),
		a.configCommand(), a.versionCommand(),
	)
	a.completionCommand(root)
	return root
}

// explainFlag says what is wrong with the flags of a command. The first word after a
// group that is no command of it is what is wrong, and not the flags behind that.
func (a *app) explainFlag(cmd *cobra.Command, err error) error {
	if cmd.HasSubCommands() && cmd.Flags().NArg() > 0 {
		return a.knownCommand(cmd, cmd.Flags().Args())
	}
	if wrong, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		err = explainValue(wrong)
	}
	return hinted(&misuseError{err}, cmd.CommandPath()+" --help")
}

// explainValue says what a flag takes, in words of ours where the value is of Go's types.
func explainValue(wrong *pflag.InvalidValueError) error {
	name, takes := wrong.GetFlag().Name, ""
	switch wrong.GetFlag().Value.Type() {
	case "duration":
		takes = "a duration such as 15m or 720h"
	case "bool":
		takes = "true or false"
	case "int", "uint64":
		takes = "a whole number"
	case "float64":
		takes = "a number"
	default:
		return fmt.Errorf("--%s: %w", name, wrong.Unwrap())
	}
	return fmt.Errorf("--%s takes %s, not %q", name, takes, wrong.GetValue())
}

// completionCommand is cobra's, which does not mind a shell that it does not know.
func (a *app) completionCommand(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			cmd.Args = a.knownCommand
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
}

// helpCommand is the help of a command, named as if it were to be run.
func (a *app) helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Help about any command",
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err != nil {
				return err
			}
			if len(rest) > 0 {
				return a.knownCommand(found, rest)
			}
			found.InitDefaultHelpFlag()
			return found.Help()
		},
	}
}

// knownCommand is the Args of a command that only has commands below it.
func (a *app) knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := misuse("%s has no command %q", cmd.CommandPath(), args[0])
	cmd.SuggestionsMinimumDistance = 2 // letters of a slip that we guess through
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return hinted(err, cmd.CommandPath()+" "+near[0])
	}
	return hinted(err, cmd.CommandPath()+" --help")
}

// group is a command that only has commands below it.
func (a *app) group(use, short string, below ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: a.knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(below...)
	return cmd
}

// takes makes an Args that wants exactly the named arguments.
func takes(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		if len(names) == 0 {
			return hinted(misuse("%s takes no argument", cmd.CommandPath()), cmd.CommandPath()+" --help")
		}
		return hinted(misuse("%s takes %s", cmd.CommandPath(), strings.Join(names, " ")), cmd.CommandPath()+" --help")
	}
}

// atMost makes an Args for one argument that may be left out.
func atMost(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) <= 1 {
			return nil
		}
		return misuse("%s takes one %s", cmd.CommandPath(), name)
	}
}

// say talks to the person at the terminal.
func (a *app) say(format string, args ...any) {
	fmt.Fprintf(a.stderr, "counterfoil: "+format+"\n", args...)
}

// errInterrupted is the end of what somebody did not wait for.
var errInterrupted = errors.New("interrupted")

// A misuseError is the caller's mistake: exit code 2.
type misuseError struct{ err error }

func (e *misuseError) Error() string { return e.err.Error() }
func (e *misuseError) Unwrap() error { return e.err }

func misuse(format string, args ...any) error {
	return &misuseError{fmt.Errorf(format, args...)}
}

// A hintedError knows what to type instead.
type hintedError struct {
	err  error
	hint string
}

func (e *hintedError) Error() string { return e.err.Error() }
func (e *hintedError) Unwrap() error { return e.err }

func hinted(err error, hint string) error { return &hintedError{err, hint} }

// required returns misuse when one of the flags was not given.
func required(flags *pflag.FlagSet, names ...string) error {
	for _, name := range names {
		if f := flags.Lookup(name); f.Value.String() == f.DefValue {
			return misuse("--%s is required", name)
		}
	}
	return nil
}

// flagsFromEnvironment sets each flag that was not given from COUNTERFOIL_NAME,
// dashes written as underscores. A flag that may be repeated takes a list
// separated by commas.
func (a *app) flagsFromEnvironment(flags *pflag.FlagSet) (err error) {
	flags.VisitAll(func(f *pflag.Flag) {
		name := envName(f.Name)
		value, ok := a.lookupEnv(name)
		if !ok || f.Changed || f.Name == "help" || err != nil {
			return
		}
		values := []string{value}
		if _, repeated := f.Value.(pflag.SliceValue); repeated {
			values = strings.Split(value, ",")
		}
		for _, v := range values {
			if flags.Set(f.Name, v) != nil {
				err = misuse("%s in the environment is not a value for --%s", name, f.Name)
			}
		}
	})
	return err
}

func envName(flag string) string {
	return "COUNTERFOIL_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

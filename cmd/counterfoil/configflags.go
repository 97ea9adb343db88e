package main

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A configFlags is a part of the configuration that flags can set.
type configFlags func(flags *pflag.FlagSet, c *Config)

// load returns the configuration from defaults, the file that --config names, and
// the flags that were given, in this order, if it passes check. The environment has
// become flags before.
func (a *app) load(cmd *cobra.Command, file string, register configFlags, check func(*Config) error) (Config, error) {
	cfg := defaultConfig()
	if file != "" {
		data, err := a.readInput(file)
		if err != nil {
			return cfg, err
		}
		if err := cfg.decode(data); err != nil {
			return cfg, fmt.Errorf("%s: %w", file, err)
		}
	}
	inFile := cfg
	// The same flags once more, this time over what the file said.
	over := pflag.NewFlagSet("", pflag.ContinueOnError)
	register(over, &cfg)
	var err error
	over.VisitAll(func(f *pflag.Flag) {
		given := cmd.Flags().Lookup(f.Name)
		if given == nil || !given.Changed || err != nil {
			return
		}
		if list, ok := given.Value.(pflag.SliceValue); ok {
			err = f.Value.(pflag.SliceValue).Replace(list.GetSlice())
			return
		}
		err = f.Value.Set(given.Value.String())
	})
	if err == nil {
		err = check(&cfg)
	}
	if err != nil && file != "" {
		if said := check(&inFile); said != nil && said.Error() == err.Error() {
			err = fmt.Errorf("%s: %w", file, err) // no flag has brought it about
		}
	}
	return cfg, err
}

func logFlags(flags *pflag.FlagSet, c *Config) {
	flags.StringVar(&c.Log.Level, "log-level", c.Log.Level, "debug, info, warn or error")
	flags.StringVar(&c.Log.Format, "log-format", c.Log.Format, "text or json")
}

func (c *LogConfig) level() (slog.Level, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		return level, fmt.Errorf("debug, info, warn or error, not %q", c.Level)
	}
	return level, nil
}

// logger returns a logger to stderr.
func (a *app) logger(c *LogConfig) (*slog.Logger, error) {
	level, err := c.level()
	if err != nil {
		return nil, err
	}
	opts := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(a.stderr, opts)), nil
	}
	return slog.New(slog.NewTextHandler(a.stderr, opts)), nil
}

// A prefixList is a flag that takes networks, or single addresses.
type prefixList struct{ list *[]netip.Prefix }

func (p prefixList) Type() string { return "CIDR" }

func (p prefixList) String() string {
	if p.list == nil {
		return ""
	}
	return strings.Join(p.GetSlice(), ",")
}

func (p prefixList) Set(s string) error { return p.Append(s) }

func (p prefixList) Append(s string) error {
	prefix, err := parsePrefix(s)
	if err != nil {
		return err
	}
	*p.list = append(*p.list, prefix)
	return nil
}

func (p prefixList) Replace(all []string) error {
	*p.list = nil
	for _, s := range all {
		if err := p.Append(s); err != nil {
			return err
		}
	}
	return nil
}

func (p prefixList) GetSlice() []string {
	var all []string
	for _, prefix := range *p.list {
		all = append(all, prefix.String())
	}
	return all
}

func parsePrefix(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		return prefix, fmt.Errorf("%q is not a network such as 10.0.0.0/8", s)
	}
	return prefix.Masked(), nil
}

func (a *app) configCommand() *cobra.Command {
	return a.group("config", "Check and show the configuration file", a.configCheckCommand(), a.configPrintCommand())
}

func (a *app) configCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check FILE", Short: "Check a configuration file", Args: takes("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			cfg, err := a.readConfig(args[0])
			if err != nil {
				return err
			}
			if err := cfg.check(); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			a.say("%s is good", args[0])
			return nil
		},
	}
}

func (a *app) configPrintCommand() *cobra.Command {
	return &cobra.Command{
		Use: "print [FILE]", Short: "Print the configuration with all defaults, without secrets", Args: atMost("file"),
		RunE: func(_ *cobra.Command, args []string) error {
			cfg, err := a.readConfig(firstOr(args, ""))
			if err != nil {
				return err
			}
			data, err := cfg.redacted().encode()
			if err != nil {
				return err
			}
			_, err = a.stdout.Write(data)
			return err
		},
	}
}

func (a *app) readConfig(file string) (Config, error) {
	cfg := defaultConfig()
	if file == "" {
		return cfg, nil
	}
	data, err := a.readInput(file)
	if err != nil {
		return cfg, err
	}
	if err := cfg.decode(data); err != nil {
		return cfg, fmt.Errorf("%s: %w", file, err)
	}
	return cfg, nil
}

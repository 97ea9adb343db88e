package main

import (
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) restoredCommand() *cobra.Command {
	var admin adminFlags
	cmd := &cobra.Command{
		Use: "restored [FRAMES]", Short: "Tell the issuer that its database came back from a backup", Args: atMost("file"),
		Long: `Tell the issuer that its database came back from a backup. It begins a new epoch
of the revocation log, whose numbers lie above every number that was given out
before; otherwise tokens from the lost time could not be revoked.

FRAMES is a file, or - for stdin, with the signed frames since the backup, one on
a line, as counterfoil feed tail --frames printed them. What they revoked is
revoked again.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			frames, err := a.readFrames(firstOr(args, ""))
			if err != nil {
				return err
			}
			c, err := a.connect(&admin)
			if err != nil {
				return err
			}
			var out struct {
				Epoch     uint64 `json:"epoch"`
				Base      uint64 `json:"base"`
				Recovered int    `json:"recovered"`
				Unknown   int    `json:"unknown"`
			}
			if err := c.call(cmd.Context(), http.MethodPost, "/admin/restored", map[string]any{"frames": frames}, &out); err != nil {
				return err
			}
			a.say("epoch %d begins above number %d", out.Epoch, out.Base)
			if len(frames) > 0 {
				a.say("revoked again: %d, of which %d name nothing that the database knows", out.Recovered, out.Unknown)
			}
			return nil
		},
	}
	admin.register(cmd.Flags())
	return cmd
}

// readFrames reads a frame from each line, and from an event stream as it came.
func (a *app) readFrames(name string) (frames []string, err error) {
	if name == "" {
		return []string{}, nil
	}
	data, err := a.readAtMost(name, maxFrames)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "data: ")
		if strings.HasPrefix(line, "ey") {
			frames = append(frames, line)
		}
	}
	if len(frames) == 0 {
		return nil, misuse("%s holds no frames", name)
	}
	return frames, nil
}

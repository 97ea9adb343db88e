package main

import (
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// feedStatus is where the log stands, and who holds what of it.
type feedStatus struct {
	Epoch       uint64    `json:"epoch"`
	Base        uint64    `json:"base"`
	Head        uint64    `json:"head"`
	C           string    `json:"c"`
	LowWater    uint64    `json:"low_water"`
	AsOf        time.Time `json:"as_of"`
	SnapshotSeq uint64    `json:"snapshot_seq"`
	Subscribers int       `json:"subscribers"`
	Verifiers   []holder  `json:"verifiers"`
}

// holder is an instance of a verifier that acknowledges what it applied.
type holder struct {
	Credential string    `json:"credential"`
	Instance   string    `json:"instance"`
	Epoch      uint64    `json:"epoch"`
	Seq        uint64    `json:"seq"`
	C          string    `json:"c"`
	KeyID      string    `json:"kfid"`
	Keys       string    `json:"keys"`
	Heard      time.Time `json:"heard"`

	Seen       *seenState `json:"seen,omitempty"` // nil of verifiers that do not tell
	Unanswered time.Time  `json:"unanswered,omitzero"`
}

// seenState is what a verifier says of its reports of seen tokens.
type seenState struct {
	Records    int     `json:"records"`
	Evidence   int     `json:"evidence"`
	Unanswered int64   `json:"unanswered_ms"`
	Lost       uint64  `json:"lost"`
	Share      float64 `json:"share"`
	Off        bool    `json:"off,omitzero"`
}

func (a *app) feedCommand() *cobra.Command {
	return a.group("feed", "The revocation feed", a.feedStatusCommand(), a.feedTailCommand())
}

func (a *app) feedStatusCommand() *cobra.Command {
	var (
		admin   adminFlags
		machine bool
	)
	cmd := &cobra.Command{
		Use: "status", Short: "Show where the log stands and which verifiers hold what", Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect(&admin)
			if err != nil {
				return err
			}
			var s feedStatus
			if err := c.call(cmd.Context(), http.MethodGet, "/admin/feed", nil, &s); err != nil {
				return err
			}
			if machine {
				return a.printJSON(s)
			}
			a.say("epoch %d, head %d, low-water mark %d, read %s; subscribers: %d", s.Epoch, s.Head, s.LowWater, stamp(s.AsOf), s.Subscribers)
			rows := make([][]string, len(s.Verifiers))
			for i, v := range s.Verifiers {
				rows[i] = []string{printable(v.Credential), printable(v.Instance), strconv.FormatUint(v.Seq, 10), behind(&s, &v), reports(&v), distance(a.now(), v.Heard)}
			}
			return printTable(a.stdout, "VERIFIER INSTANCE SEQ BEHIND REPORTS HEARD", rows)
		},
	}
	admin.register(cmd.Flags())
	cmd.Flags().BoolVar(&machine, "json", false, "print one JSON object")
	return cmd
}

// reports says how the reports of a verifier fare.
func reports(v *holder) string {
	switch s := v.Seen; {
	case s == nil:
		return "-"
	case s.Off:
		return "off"
	case !v.Unanswered.IsZero():
		return "unanswered " + (time.Duration(s.Unanswered) * time.Millisecond).Truncate(time.Second).String()
	case s.Share < 1:
		return strconv.FormatFloat(100*s.Share, 'g', 3, 64) + "%"
	}
	return "all"
}

// behind counts the entries that a verifier has not confirmed.
func behind(s *feedStatus, v *holder) string {
	switch {
	case v.Epoch != s.Epoch:
		return "epoch " + strconv.FormatUint(v.Epoch, 10)
	case v.Seq >= s.Head:
		return "0"
	}
	return strconv.FormatUint(s.Head-v.Seq, 10)
}

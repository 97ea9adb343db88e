package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// auditRow is a row of the audit trail.
type auditRow struct {
	N       uint64    `json:"n"`
	At      time.Time `json:"at"`
	Actor   string    `json:"actor"`
	Action  string    `json:"action"`
	Subject string    `json:"subject"`
	Detail  string    `json:"detail"`
	Hash    string    `json:"hash"`
}

func (a *app) auditCommand() *cobra.Command {
	return a.group("audit", "The audit trail", a.auditListCommand(), a.auditVerifyCommand())
}

func (a *app) auditListCommand() *cobra.Command {
	var (
		admin   adminFlags
		after   uint64
		limit   int
		machine bool
	)
	cmd := &cobra.Command{
		Use: "list", Short: "List what was done, oldest first", Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 {
				return misuse("--limit is at least 1")
			}
			query := url.Values{"after": {strconv.FormatUint(after, 10)}, "limit": {strconv.Itoa(limit)}}
			list, done, err := fetchList[auditRow](cmd.Context(), a, &admin, "/admin/audit?"+query.Encode(), machine)
			if err != nil || done {
				return err
			}
			rows := make([][]string, len(list))
			for i, r := range list {
				rows[i] = []string{strconv.FormatUint(r.N, 10), stamp(r.At), orDash(r.Actor), r.Action, orDash(r.Subject), orDash(r.Detail)}
			}
			return printTable(a.stdout, "N AT ACTOR ACTION SUBJECT DETAIL", rows)
		},
	}
	admin.register(cmd.Flags())
	cmd.Flags().Uint64Var(&after, "after", 0, "only rows after this number")
	cmd.Flags().IntVar(&limit, "limit", 1000, "at most this many rows")
	cmd.Flags().BoolVar(&machine, "json", false, "print one JSON array")
	return cmd
}

// auditReport is what the issuer found in its trail.
type auditReport struct {
	OK       bool   `json:"ok"`
	Rows     uint64 `json:"rows"`
	Hash     string `json:"hash"`
	BrokenAt uint64 `json:"broken_at,omitzero"`
	Kept     uint64 `json:"kept,omitzero"` // the row that has the hash that was kept
}

func (a *app) auditVerifyCommand() *cobra.Command {
	var (
		admin   adminFlags
		kept    string
		machine bool
	)
	cmd := &cobra.Command{
		Use: "verify", Short: "Check that no row was changed, moved or taken out", Args: takes(),
		Long: `Check the chain of hashes through the audit trail, from the first row on.

The hash of the last row is printed. Keep it where the issuer cannot write, and give
it with --kept the next time: whoever can write the whole database can also cut off
the end of the trail, or write a new chain, but not one with that hash in it.`,
		Example: "counterfoil audit verify --kept $(cat last-week)",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect(&admin)
			if err != nil {
				return err
			}
			path := "/admin/audit/verify"
			if kept != "" {
				path += "?" + url.Values{"kept": {kept}}.Encode()
			}
			var report auditReport
			if err := c.call(cmd.Context(), http.MethodGet, path, nil, &report); err != nil {
				return err
			}
			if machine {
				err = a.printJSON(report)
			} else {
				_, err = fmt.Fprintln(a.stdout, report.Hash)
			}
			if err != nil {
				return err
			}
			return a.judge(&report)
		},
	}
	admin.register(cmd.Flags())
	cmd.Flags().StringVar(&kept, "kept", "", "`HASH` that an earlier verify printed")
	cmd.Flags().BoolVar(&machine, "json", false, "print the report as one JSON object")
	return cmd
}

func (a *app) judge(r *auditReport) error {
	switch {
	case r.BrokenAt != 0:
		return fmt.Errorf("the chain breaks at row %d: it was changed or moved, or one before it was taken out", r.BrokenAt)
	case !r.OK:
		return errors.New("no row has the hash that was kept: the end of the trail was cut off, or it was written anew")
	case r.Kept != 0:
		a.say("%d rows, unbroken; the hash that was kept is that of row %d", r.Rows, r.Kept)
	default:
		a.say("%d rows, unbroken", r.Rows)
	}
	return nil
}

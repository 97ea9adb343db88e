package issuer

import (
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/issuer/audit"
	"github.com/counterfoil/counterfoil/issuer/store"
)

// maxAuditRows is the most rows of the audit trail in one answer.
const maxAuditRows = 1000

// feedStatusJSON is the answer of GET /admin/feed.
type feedStatusJSON struct {
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

// feedStatus serves GET /admin/feed: where the log stands, and who holds what, as
// any node has heard it. Subscribers are those of this node.
func (i *Issuer) feedStatus(w http.ResponseWriter, r *http.Request) error {
	v, err := i.hub.fresh(r.Context())
	if err != nil {
		return unavailable(err)
	}
	out := feedStatusJSON{
		Epoch: v.head.Epoch, Base: v.head.Base, Head: v.head.Seq, C: v.head.C.String(), LowWater: v.head.LowWater,
		AsOf: v.asOf.UTC(), Subscribers: i.tail.count(),
	}
	if snap := i.hub.snaps.current(); snap != nil {
		out.SnapshotSeq = snap.ref.Seq
	}
	if _, err := i.fleet.exchange(r.Context(), false); err != nil {
		return unavailable(err)
	}
	out.Verifiers, _ = i.fleet.list()
	return serve.WriteJSON(w, http.StatusOK, out)
}

// auditJSON is one row of the audit trail.
type auditJSON struct {
	N       uint64    `json:"n"`
	At      time.Time `json:"at"`
	Actor   string    `json:"actor"`
	Action  string    `json:"action"`
	Subject string    `json:"subject"`
	Detail  string    `json:"detail"`
	Hash    string    `json:"hash"` // hex
}

// listAudit serves GET /admin/audit?after=N&limit=M.
func (i *Issuer) listAudit(w http.ResponseWriter, r *http.Request) error {
	after, errAfter := number(r.URL.Query().Get("after"), 0)
	limit, errLimit := number(r.URL.Query().Get("limit"), maxAuditRows)
	if errAfter != nil || errLimit != nil || limit == 0 {
		return badRequest("after and limit are numbers, limit at least 1")
	}
	list := items[auditJSON]{Items: []auditJSON{}}
	err := i.st.View(r.Context(), func(tx *store.Tx) error {
		rows, err := tx.Audit(after, int(min(limit, maxAuditRows)))
		for _, a := range rows {
			list.Items = append(list.Items, auditJSON{
				N: a.N, At: a.At.UTC(), Actor: a.Actor, Action: a.Action, Subject: a.Subject, Detail: a.Detail,
				Hash: hex.EncodeToString(a.Hash[:]),
			})
		}
		return err
	})
	if err != nil {
		return err
	}
	return serve.WriteJSON(w, http.StatusOK, list)
}

func number(s string, absent uint64) (uint64, error) {
	if s == "" {
		return absent, nil
	}
	return strconv.ParseUint(s, 10, 63)
}

// verifyAudit serves GET /admin/audit/verify?kept=HASH.
func (i *Issuer) verifyAudit(w http.ResponseWriter, r *http.Request) error {
	var report audit.Report
	err := i.st.View(r.Context(), func(tx *store.Tx) (err error) {
		report, err = audit.Verify(tx, r.URL.Query().Get("kept"))
		return err
	})
	if errors.Is(err, audit.ErrHash) {
		return badRequest("kept is a hash of 64 hexadecimal digits")
	}
	if err != nil {
		return err
	}
	return serve.WriteJSON(w, http.StatusOK, report)
}

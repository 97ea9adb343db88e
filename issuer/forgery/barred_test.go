package forgery_test

import (
	"database/sql"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/issuer/forgery"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/revocation"
)

// A log that takes no entry keeps nobody from hearing of a forgery. It is answered when
// the log takes one again, and the token is shown until then.
func TestThreat82LogThatTakesNoEntry(t *testing.T) {
	r := newReceiver(t)
	f := newFixture(t, forgery.Config{Webhook: r.hook()})
	db, err := sql.Open("sqlite", f.path)
	f.check(err)
	defer db.Close()
	setHead := func(seq uint64) {
		_, err := db.Exec("UPDATE log_head SET seq = ?", int64(seq))
		f.check(err)
	}
	var head store.Head
	f.check(f.store.View(t.Context(), func(tx *store.Tx) (err error) {
		head, err = tx.Head()
		return err
	}))
	kid, forged := f.active(), f.forge(1)
	setHead(revocation.MaxSeq)
	for range 3 {
		if v, err := f.desk.Evidence(t.Context(), "orders", netip.Addr{}, forged); err == nil {
			t.Fatalf("%q, as if it were answered", v)
		}
	}
	f.deliver()
	in := f.incident(kid)
	if in.State != store.IncidentNoted || in.Tokens != 1 || len(in.Traces) != 1 || !slices.Equal(f.trail(), []string{"forged"}) {
		t.Errorf("trail %v, %+v", f.trail(), in)
	}
	if !slices.Equal(r.kinds(), []forgery.Kind{"forged"}) || !strings.Contains(r.alarms[0].Next, "takes no entry") {
		t.Errorf("told %v: %s", r.kinds(), r.bodies)
	}
	setHead(head.Seq)
	f.evidence(forgery.Forged, forged)
	in = f.incident(kid)
	if in.State != store.IncidentQuarantined || in.Tokens != 1 || !slices.Equal(f.trail(), []string{"forged", "quarantined"}) {
		t.Errorf("trail %v, %+v", f.trail(), in)
	}
	if got := f.entries(kid); !slices.Equal(got, []string{"key quarantine " + kid}) {
		t.Errorf("log %v", got)
	}
}

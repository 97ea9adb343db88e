package issuer

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/issuer/account"
	"github.com/counterfoil/counterfoil/issuer/audit"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/revocation"
)

const (
	maxValue    = 256              // bytes of a value to revoke
	maxWaitFor  = 60 * time.Second // for verifiers to confirm
	maxSessions = 1000             // rows of one answer
)

// revocation is the order to revoke what value names.
func (i *Issuer) revocation(kind revocation.Kind, value string, flags revocation.Flags) store.Revocation {
	return store.Revocation{Value: value, Entry: revocation.Entry{
		Kind: kind, Flags: flags, Handle: i.keys.HandleKey().Handle(kind, i.cfg.URL, value),
	}}
}

// revoked is the answer to a revocation: it is durable, and verifiers that
// confirmed refuse what it names.
type revoked struct {
	Epoch     uint64    `json:"epoch"`
	Seq       uint64    `json:"seq"`
	Verifiers *Coverage `json:"verifiers,omitempty"` // only when asked to wait
}

// revokeRequest is the body of POST /admin/revoke.
type revokeRequest struct {
	Kind     string `json:"kind"`
	Value    string `json:"value"`
	Absolute bool   `json:"absolute"`
	Wait     int    `json:"wait"` // seconds
}

func (in *revokeRequest) check() (revocation.Kind, error) {
	kind, err := revocation.ParseKind(in.Kind)
	switch {
	case err != nil:
		return 0, badRequest("kind must be token, session, subject, device, client, tenant, key or everything")
	case (in.Value == "") != (kind == revocation.Everything) || len(in.Value) > maxValue:
		return 0, badRequest("value must name what to revoke, in at most 256 bytes; only everything has none")
	case in.Absolute && kind != revocation.Key && kind != revocation.Token:
		return 0, badRequest("only a token or a key can be revoked absolutely")
	case in.Wait < 0 || time.Duration(in.Wait)*time.Second > maxWaitFor:
		return 0, badRequest("wait must be 0 to 60 seconds")
	}
	return kind, nil
}

// revoke serves POST /admin/revoke.
func (i *Issuer) revoke(w http.ResponseWriter, r *http.Request) error {
	var in revokeRequest
	if err := serve.ReadJSON(w, r, maxAdminBody, &in); err != nil {
		return err
	}
	kind, err := in.check()
	if err != nil {
		return err
	}
	if in.Wait > 0 {
		// Other nodes hurry from before the first verifier answers. If they cannot be
		// told, they are slower.
		_, _ = i.fleet.exchange(r.Context(), true)
	}
	began := i.cfg.Now()
	var out revoked
	if kind == revocation.Key && in.Absolute {
		out, err = i.killKey(r.Context(), in.Value)
	} else {
		out, err = i.revokeValue(r.Context(), kind, in)
	}
	if err != nil {
		return err
	}
	if in.Wait > 0 {
		ctx, cancel := context.WithTimeout(r.Context(), time.Duration(in.Wait)*time.Second)
		defer cancel()
		covered := i.fleet.await(ctx, out.Epoch, out.Seq, began)
		out.Verifiers = &covered
	}
	return serve.WriteJSON(w, http.StatusOK, out)
}

func (i *Issuer) killKey(ctx context.Context, kid string) (revoked, error) {
	record, err := i.keys.Kill(ctx, kid, actor(ctx))
	if err == nil {
		// The key is gone whether or not this is written; else another round does it.
		err = i.desk.Settle(ctx, kid, actor(ctx))
	}
	return revoked{Epoch: record.Epoch, Seq: record.Seq}, err
}

func (i *Issuer) revokeValue(ctx context.Context, kind revocation.Kind, in revokeRequest) (out revoked, err error) {
	var flags revocation.Flags
	if in.Absolute {
		flags = revocation.Absolute
	}
	err = i.st.Update(ctx, func(tx *store.Tx) error {
		value, err := i.exists(tx, kind, in.Value)
		if err != nil {
			return err
		}
		record, err := tx.Revoke(i.revocation(kind, value, flags))
		if err != nil {
			return err
		}
		out = revoked{Epoch: record.Epoch, Seq: record.Seq}
		return i.record(ctx, tx, audit.Revoke, value,
			"kind="+kind.String()+" seq="+strconv.FormatUint(record.Seq, 10)+" absolute="+strconv.FormatBool(in.Absolute))
	})
	return out, err
}

// exists refuses what this issuer never knew, so that a slip of the pen does not
// pass for a revocation. A user may be named by name or id; the id is returned.
func (i *Issuer) exists(tx *store.Tx, kind revocation.Kind, value string) (string, error) {
	switch kind {
	case revocation.Subject:
		return userID(tx, value)
	case revocation.Session:
		_, err := tx.Session(value)
		return value, err
	case revocation.Client:
		_, err := tx.Client(value)
		return value, err
	case revocation.Key:
		if !slices.ContainsFunc(i.keys.Keys(), func(k keyring.Info) bool { return k.KeyID == value }) {
			return "", keyring.ErrUnknownKey
		}
	}
	return value, nil
}

func userID(tx *store.Tx, value string) (string, error) {
	u, err := tx.UserByID(value)
	if errors.Is(err, store.ErrNotFound) {
		name, invalid := account.NormalizeName(value)
		if invalid != nil {
			return "", err
		}
		u, err = tx.User(name)
	}
	if err != nil {
		return "", err
	}
	return u.ID, nil
}

// sessionJSON is a session as administration sees one.
type sessionJSON struct {
	ID        string    `json:"id"`
	UserID    string    `json:"user_id"`
	User      string    `json:"user,omitempty"` // name
	ClientID  string    `json:"client_id"`
	Tenant    string    `json:"tenant,omitempty"`
	Audience  string    `json:"audience"`
	Scope     string    `json:"scope"`
	Created   time.Time `json:"created"`
	Refreshed time.Time `json:"refreshed,omitzero"`
	Expires   time.Time `json:"expires"`
}

// listSessions serves GET /admin/sessions?user=NAME.
func (i *Issuer) listSessions(w http.ResponseWriter, r *http.Request) error {
	list := items[sessionJSON]{Items: []sessionJSON{}}
	err := i.st.View(r.Context(), func(tx *store.Tx) (err error) {
		list.Items, err = i.sessionRows(tx, r.URL.Query().Get("user"))
		return err
	})
	if err != nil {
		return err
	}
	return serve.WriteJSON(w, http.StatusOK, list)
}

// sessionRows reads the sessions of a user, or of all, the living ones only.
func (i *Issuer) sessionRows(tx *store.Tx, user string) ([]sessionJSON, error) {
	filter := store.SessionFilter{Alive: true, Limit: maxSessions}
	if user != "" {
		id, err := userID(tx, user)
		if err != nil {
			return nil, err
		}
		filter.UserID = id
	}
	rows, err := tx.Sessions(filter)
	if err != nil {
		return nil, err
	}
	list := make([]sessionJSON, 0, len(rows))
	for _, row := range rows {
		st, err := tx.Standing(store.StandingQuery{Session: row.ID})
		if err != nil {
			return nil, err
		}
		if st.Permits(row.Born) != nil { // its user, client or tenant was revoked
			continue
		}
		var name string
		if st.User != nil {
			name = st.User.Name
		}
		refreshed := row.RotatedAt
		if refreshed.After(st.Now) {
			refreshed = st.Now // its answer is owed until then
		}
		list = append(list, sessionJSON{
			ID: row.ID, UserID: row.UserID, User: name, ClientID: row.ClientID, Tenant: row.Tenant,
			Audience: row.Audience, Scope: row.Scope, Created: row.Created.UTC(), Refreshed: refreshed.UTC(),
			Expires: row.Expires.UTC(),
		})
	}
	return list, nil
}

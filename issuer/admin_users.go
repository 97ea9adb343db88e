package issuer

import (
	"context"
	"crypto/rand"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/issuer/account"
	"github.com/counterfoil/counterfoil/issuer/audit"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/revocation"
)

// userJSON is a user as administration sees one. Password is set once, when the
// issuer made it up.
type userJSON struct {
	ID       string                    `json:"id"`
	Name     string                    `json:"name"`
	Tenant   string                    `json:"tenant,omitempty"`
	Roles    []string                  `json:"roles"`
	Claims   map[string]jsontext.Value `json:"claims,omitempty"`
	Disabled bool                      `json:"disabled"`
	Created  time.Time                 `json:"created"`
	Password string                    `json:"password,omitempty"`
	Seq      uint64                    `json:"seq,omitzero"` // of the entry that the change made
}

func showUser(u *store.User) userJSON {
	roles := u.Roles
	if roles == nil {
		roles = []string{}
	}
	return userJSON{
		ID: u.ID, Name: u.Name, Tenant: u.Tenant, Roles: roles, Claims: u.Claims,
		Disabled: u.Disabled, Created: u.Created.UTC(),
	}
}

func (i *Issuer) listUsers(w http.ResponseWriter, r *http.Request) error {
	list := items[userJSON]{Items: []userJSON{}}
	err := i.st.View(r.Context(), func(tx *store.Tx) error {
		users, err := tx.Users("", 0)
		for n := range users {
			list.Items = append(list.Items, showUser(&users[n]))
		}
		return err
	})
	if err != nil {
		return err
	}
	return serve.WriteJSON(w, http.StatusOK, list)
}

// generatedPassword is the size of a made-up password: 120 random bits, 20 characters.
const generatedPassword = 15

func newPassword() string {
	var b [generatedPassword]byte
	rand.Read(b[:])
	return wire.Encode(b[:])
}

func (i *Issuer) addUser(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Name     string                    `json:"name"`
		Password string                    `json:"password"`
		Tenant   string                    `json:"tenant"`
		Roles    []string                  `json:"roles"`
		Claims   map[string]jsontext.Value `json:"claims"`
	}
	if err := serve.ReadJSON(w, r, maxAdminBody, &in); err != nil {
		return err
	}
	generated := ""
	if in.Password == "" {
		generated = newPassword()
		in.Password = generated
	}
	u, err := i.hasher.NewUser(r.Context(), account.Draft{
		Name: in.Name, Password: in.Password, Tenant: in.Tenant, Roles: in.Roles, Claims: in.Claims,
	})
	if err != nil {
		return err
	}
	if u.Created.IsZero() {
		u.Created = i.cfg.Now()
	}
	err = i.st.Update(r.Context(), func(tx *store.Tx) error {
		if err := tx.CreateUser(u); err != nil {
			return err
		}
		return i.record(r.Context(), tx, audit.UserAdd, u.ID, addedDetail(&u))
	})
	if err != nil {
		return err
	}
	out := showUser(&u)
	out.Password = generated
	return serve.WriteJSON(w, http.StatusCreated, out)
}

// addedDetail says what a new user may do. The name comes last: it may hold spaces,
// and what looks like another detail.
func addedDetail(u *store.User) string {
	var detail string
	if len(u.Roles) > 0 {
		detail += "roles=" + strings.Join(u.Roles, ",") + " "
	}
	if u.Tenant != "" {
		detail += "tenant=" + strconv.Quote(u.Tenant) + " "
	}
	return detail + "name=" + u.Name
}

// userChange is the body of PATCH /admin/users/{name}.
type userChange struct {
	Disabled         *bool  `json:"disabled"`
	Password         string `json:"password"`
	GeneratePassword bool   `json:"generate_password"`

	hash string // of Password
}

// revokes reports whether what the user holds must die with the change.
func (c *userChange) revokes() bool { return c.hash != "" || c.Disabled != nil && *c.Disabled }

// changeUser serves PATCH /admin/users/{name}. Disabling a user and giving a new
// password revoke the subject: sessions and tokens from before are worth nothing.
func (i *Issuer) changeUser(w http.ResponseWriter, r *http.Request) error {
	name, err := account.NormalizeName(r.PathValue("name"))
	if err != nil {
		return err
	}
	var change userChange
	if err := serve.ReadJSON(w, r, maxAdminBody, &change); err != nil {
		return err
	}
	generated, err := i.hashFor(r.Context(), &change)
	if err != nil {
		return err
	}
	if change.Disabled == nil && change.hash == "" {
		return badRequest("nothing to change: give disabled, password or generate_password")
	}
	var out userJSON
	err = i.st.Update(r.Context(), func(tx *store.Tx) error {
		out, err = i.applyChange(r.Context(), tx, name, &change)
		return err
	})
	if err != nil {
		return err
	}
	out.Password = generated
	return serve.WriteJSON(w, http.StatusOK, out)
}

// hashFor hashes the new password of a change, after making one up if asked to.
func (i *Issuer) hashFor(ctx context.Context, c *userChange) (generated string, err error) {
	if c.GeneratePassword {
		if c.Password != "" {
			return "", badRequest("password and generate_password exclude each other")
		}
		generated = newPassword()
		c.Password = generated
	}
	if c.Password == "" {
		return "", nil
	}
	if err := account.CheckPassword(c.Password); err != nil {
		return "", err
	}
	c.hash, err = i.hasher.Hash(ctx, c.Password)
	return generated, err
}

func (i *Issuer) applyChange(ctx context.Context, tx *store.Tx, name string, c *userChange) (out userJSON, err error) {
	u, err := tx.User(name)
	if err != nil {
		return out, err
	}
	var seq uint64
	if c.revokes() {
		record, err := tx.Revoke(i.revocation(revocation.Subject, u.ID, 0))
		if err != nil {
			return out, err
		}
		seq = record.Seq
		if u, err = tx.User(name); err != nil { // what Revoke wrote included
			return out, err
		}
	}
	if c.hash != "" {
		u.PasswordHash = c.hash
	}
	if c.Disabled != nil {
		u.Disabled = *c.Disabled
	}
	if err := tx.UpdateUser(u); err != nil {
		return out, err
	}
	out = showUser(&u)
	out.Seq = seq
	return out, i.recordChange(ctx, tx, u.ID, c, "name="+name+" seq="+strconv.FormatUint(seq, 10))
}

// recordChange writes a row for each thing that was changed.
func (i *Issuer) recordChange(ctx context.Context, tx *store.Tx, id string, c *userChange, detail string) error {
	if c.hash != "" {
		if err := i.record(ctx, tx, audit.UserPassword, id, detail); err != nil {
			return err
		}
	}
	switch {
	case c.Disabled == nil:
		return nil
	case *c.Disabled:
		return i.record(ctx, tx, audit.UserDisable, id, detail)
	}
	return i.record(ctx, tx, audit.UserEnable, id, detail)
}

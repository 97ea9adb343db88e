package keyring

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/issuer/audit"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/oauth"
)

// Defaults of [DrillOptions].
const (
	DefaultDrillLife   = 5 * time.Minute
	DefaultDrillWindow = 15 * time.Minute
)

// ErrDrill reports that a drill is under way.
var ErrDrill = errors.New("a drill is under way")

// DrillOptions say what the keys of a drill are good for. Audience is required.
type DrillOptions struct {
	Algorithm jwk.Algorithm // default: the default algorithm of the ring
	Audience  string        // the only "aud" of a token under them
	Subject   string        // the only "sub"; default: any
	Claims    []string      // the only claims; default: any
	MaxLife   time.Duration // of a token; default 5 min
	Window    time.Duration // from now on, in which tokens are issued; default 15 min
	Actor     string        // who asked, for the audit trail
}

func (o *DrillOptions) complete(k *Keyring) error {
	if o.Audience == "" {
		return errors.New("keyring: Audience is required")
	}
	if o.Algorithm == "" {
		o.Algorithm = k.cfg.Algorithms[0]
	}
	if !Signs(o.Algorithm) {
		return ErrNoActive
	}
	if o.MaxLife == 0 {
		o.MaxLife = DefaultDrillLife
	}
	o.MaxLife = min(o.MaxLife, k.cfg.MaxTokenLife)
	if o.Window == 0 {
		o.Window = DefaultDrillWindow
	}
	return nil
}

// AddDrill publishes two keys for an exercise with a stolen key, one that signs
// and its standby, and returns their ids in this order. They are good for one
// audience and for a short time, take no part in rotation, and are withdrawn by
// [Keyring.Expire] or by hand. There is one drill at a time: [ErrDrill].
func (k *Keyring) AddDrill(ctx context.Context, o DrillOptions) (kids []string, err error) {
	if err := o.complete(k); err != nil {
		return nil, err
	}
	made := make([]draft, 2)
	for i := range made {
		if made[i].key, err = jwk.Generate(params(o.Algorithm, newKeyID())); err != nil {
			return nil, err
		}
		kids = append(kids, made[i].key.KeyID())
	}
	err = k.change(ctx, o.Actor, func(c *change) error { return c.drill(o, made) })
	if err != nil {
		return nil, err
	}
	return kids, k.Reload(ctx)
}

func (c *change) drill(o DrillOptions, made []draft) error {
	if err := c.endDrills(); err != nil {
		return err
	}
	under := func(r store.KeyRow) bool { return r.Use == UseDrill && r.State == Active }
	if slices.ContainsFunc(c.rows, under) {
		return ErrDrill
	}
	if err := c.room(maxPublished, UseAccess, UseDrill); err != nil {
		return err
	}
	limits := jwk.Limits{
		Issuer: c.k.cfg.Issuer, Audiences: []string{o.Audience}, Types: []string{oauth.AccessTokenType}, Tagged: true,
		MaxLife: o.MaxLife, From: c.now.Add(-skew), Until: c.now.Add(o.Window), Subject: o.Subject, Claims: o.Claims,
	}
	for _, d := range made {
		if err := c.add(UseDrill, d, limits); err != nil {
			return err
		}
	}
	first := c.row(made[0].key.KeyID())
	if err := c.move(first, Active); err != nil {
		return err
	}
	return c.note(audit.KeyDrill, first.KID, "alg="+first.Alg+" standby="+made[1].key.KeyID())
}

// endDrills withdraws the keys of drills whose time is over.
func (c *change) endDrills() error {
	for i := range c.rows {
		row := &c.rows[i]
		if row.Use != UseDrill || row.State != Standby && row.State != Active {
			continue
		}
		key, err := c.k.publicHalf(row)
		if err != nil {
			return err
		}
		if !c.now.After(key.Limits().Until) {
			continue
		}
		to := Retired
		if row.State == Active {
			to = Retiring // until its tokens have died
		}
		if err := c.move(row, to); err != nil {
			return err
		}
	}
	return nil
}

// EndDrill withdraws the keys of a drill at once, so that the next one need not wait
// until its time is over. It is nil when there is none.
func (k *Keyring) EndDrill(ctx context.Context, actor string) error {
	err := k.change(ctx, actor, func(c *change) error {
		for i := range c.rows {
			if row := &c.rows[i]; row.Use == UseDrill {
				if err := c.retire(row); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return k.Reload(ctx)
}

// retire takes a key through what is left of its life.
func (c *change) retire(row *store.KeyRow) error {
	if row.State == Active {
		if err := c.move(row, Retiring); err != nil {
			return err
		}
	}
	if row.State == Standby || row.State == Retiring {
		return c.move(row, Retired)
	}
	return nil
}

// drillIsOver reports whether endDrills has something to do about a key.
func (k *Keyring) drillIsOver(i Info) bool {
	if i.Use != UseDrill || i.State != Standby && i.State != Active {
		return false
	}
	key, _, ok := k.Verification(i.KeyID)
	return ok && k.now().After(key.Limits().Until)
}

// DrillSigner returns the signer of the drill that is under way, or [ErrNoActive].
func (k *Keyring) DrillSigner() (*jws.Signer, error) {
	r := k.ring.Load()
	for at, s := range r.signers {
		if at.use == UseDrill {
			return s, nil
		}
	}
	return nil, ErrNoActive
}

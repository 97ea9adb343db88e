package account

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/counterfoil/counterfoil/issuer/store"
)

// Calibration aims at this time for one hash, and goes no further than
// maxCalibrated passes on a machine that is faster than its clock.
const (
	targetTime    = 60 * time.Millisecond
	maxCalibrated = 16
	samples       = 3
)

// metaParams is the store's name for the calibrated cost, so that all nodes
// and all later starts make the same hashes.
const metaParams = "argon2id"

// OpenHasher is [NewHasher] with the cost that the store remembers. When it
// remembers none, the cost is calibrated on this machine and written down.
// cfg.Params, when set, is used as it is.
func OpenHasher(ctx context.Context, st *store.Store, cfg HasherConfig) (*Hasher, error) {
	if cfg.Params != (Params{}) {
		return NewHasher(cfg)
	}
	params, err := rememberedParams(ctx, st)
	if err != nil {
		return nil, fmt.Errorf("account: cost of password hashes: %w", err)
	}
	cfg.Params = params
	return NewHasher(cfg)
}

// rememberedParams returns the cost in the store. The first node of all that
// comes by writes it.
func rememberedParams(ctx context.Context, st *store.Store) (Params, error) {
	read := func(tx *store.Tx) (params Params, err error) {
		text, err := tx.Meta(metaParams)
		if err != nil {
			return Params{}, err
		}
		return parseParams(text)
	}
	var params Params
	err := st.View(ctx, func(tx *store.Tx) (err error) {
		params, err = read(tx)
		return err
	})
	if !errors.Is(err, store.ErrNotFound) {
		return params, err
	}
	measured := Calibrate()
	err = st.Update(ctx, func(tx *store.Tx) (err error) {
		params, err = read(tx)
		if errors.Is(err, store.ErrNotFound) {
			params, err = measured, tx.SetMeta(metaParams, measured.String())
		}
		return err
	})
	return params, err
}

// Calibrate measures this machine and returns [DefaultParams] with as many passes
// as take about 60 ms, at least the two of the default.
func Calibrate() Params {
	p := DefaultParams
	best := time.Hour
	for range samples {
		start := time.Now()
		newHash(p, randomSalt(), "calibration")
		best = min(best, time.Since(start))
	}
	return p.stretched(best)
}

// stretched returns p with the passes that fit the target time, when p took d.
func (p Params) stretched(d time.Duration) Params {
	pass := max(d/time.Duration(p.Time), 1)
	p.Time = max(p.Time, uint32(min(targetTime/pass, maxCalibrated)))
	return p
}

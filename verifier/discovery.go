package verifier

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/counterfoil/counterfoil/internal/fetch"
	"github.com/counterfoil/counterfoil/oauth"
)

const (
	// metadataAge is how often metadata are read again, to notice a feed that
	// has come into being or keys that have moved.
	metadataAge = 10 * time.Minute
	// Discovery that failed is tried again after these pauses, doubling.
	minDiscoveryPause = 250 * time.Millisecond
	maxDiscoveryPause = 10 * time.Second
)

// discover reads the issuer's metadata and keeps to them until ctx ends.
func (v *Verifier) discover(ctx context.Context) {
	u, err := url.Parse(v.cfg.Issuer) // checked by Open
	if err != nil {
		return
	}
	client := v.cfg.client(u)
	pause := minDiscoveryPause
	for ctx.Err() == nil {
		body, err := v.readMetadata(ctx, client)
		if err == nil {
			err = v.adopt(ctx, body)
		}
		if ctx.Err() != nil {
			return
		}
		v.noteDiscovery(err)
		if err == nil {
			pause = minDiscoveryPause
			sleep(ctx, metadataAge*3/4+rand.N(metadataAge/4))
			continue
		}
		sleep(ctx, pause/2+rand.N(pause/2))
		pause = min(2*pause, maxDiscoveryPause)
	}
}

func (v *Verifier) noteDiscovery(err error) {
	v.mu.Lock()
	before := v.problem
	v.problem = err
	v.mu.Unlock()
	if err != nil && (before == nil || before.Error() != err.Error()) {
		v.cfg.Log.Warn("issuer metadata not read", "iss", v.cfg.Issuer, "err", err)
	}
}

// readMetadata asks at the well-known places in turn. Only 404 sends it on to
// the next: any other trouble says nothing about what the issuer has.
func (v *Verifier) readMetadata(ctx context.Context, client *http.Client) ([]byte, error) {
	places, err := oauth.WellKnownURLs(v.cfg.Issuer)
	if err != nil {
		return nil, err
	}
	for _, place := range places {
		var body []byte
		if body, err = (endpoint{base: place, client: client}).read(ctx, "", oauth.MaxMetadata); err == nil {
			return body, nil
		}
		var status *fetch.StatusError
		if !errors.As(err, &status) || status.Status != http.StatusNotFound {
			break
		}
	}
	return nil, fmt.Errorf("metadata: %w", err)
}

// adopt acts on metadata that were read from the issuer or, at the start, from
// disk. That an issuer has no feed is believed only here. Once it had one, or a
// signed key set, it has one: nobody makes a verifier forget by leaving a line out.
func (v *Verifier) adopt(ctx context.Context, body []byte) error {
	m, err := oauth.ParseMetadata(body, v.cfg.Issuer)
	if err != nil {
		return err
	}
	var now found
	if before := v.found.Load(); before != nil {
		now = *before
	}
	if err := v.mayAdopt(m, now); err != nil {
		return err
	}
	begins := m.Feed != "" && now.feed == nil
	if begins {
		if now.feed, err = newFeed(&v.cfg, m.Feed, &v.keys, v.state); err != nil {
			return err
		}
	}
	now.signed = now.feed != nil && m.SignedJWKSURI != ""
	place := keyPlace{url: m.JWKSURI}
	if now.signed {
		place = keyPlace{m.SignedJWKSURI, now.feed}
	}
	if err := v.follow(ctx, place); err != nil {
		return fmt.Errorf("jwks_uri: %w", err)
	}
	v.found.Store(&now)
	if f := now.feed; begins {
		v.work.Go(func() { f.run(ctx) })
		v.work.Go(func() { f.keep(ctx) })
		v.work.Go(func() { f.reports.run(ctx) })
	}
	return v.state.write(metadataFile, body)
}

// errNoFeed reports metadata that say less than the configuration knows. Somebody on
// the way may have left the lines out, to be believed with keys of his own.
var errNoFeed = errors.New("metadata name no revocation feed, or no signed keys, and the credential or another setting is for those: " +
	"is Issuer the right one, or does something on the way change its answers?")

// mayAdopt holds metadata against the configuration, and what those before them said.
func (v *Verifier) mayAdopt(m *oauth.Metadata, before found) error {
	if err := v.checkKeysURL(m.JWKSURI); err != nil {
		return err
	}
	if m.SignedJWKSURI != "" {
		if err := v.checkKeysURL(m.SignedJWKSURI); err != nil {
			return err
		}
	}
	switch {
	case m.Feed == "" && v.cfg.expectsFeed(), m.SignedJWKSURI == "" && v.cfg.expectsSignedKeys():
		return errNoFeed
	case before.feed != nil && m.Feed == "":
		return errors.New("metadata no longer name the revocation feed that they named before")
	case before.signed && m.SignedJWKSURI == "":
		return errors.New("metadata no longer name the signed key set that they named before")
	}
	return nil
}

// checkKeysURL keeps metadata from pointing at this machine, unless the issuer
// is on it.
func (v *Verifier) checkKeysURL(raw string) error {
	u, err := fetch.ParseURL(raw)
	if err != nil {
		return fmt.Errorf("jwks_uri: %w", err)
	}
	iss, err := url.Parse(v.cfg.Issuer)
	if err != nil || fetch.IsLoopback(u) && !fetch.IsLoopback(iss) {
		return errors.New("jwks_uri is on loopback and the issuer is not")
	}
	return nil
}

// restore starts from the metadata on disk, so that the issuer may be down.
func (v *Verifier) restore(ctx context.Context) {
	body, err := v.state.read(metadataFile, oauth.MaxMetadata)
	if err == nil && body != nil {
		err = v.adopt(ctx, body)
	}
	if err != nil {
		v.cfg.Log.Warn("saved metadata not used", "iss", v.cfg.Issuer, "err", err)
	}
}

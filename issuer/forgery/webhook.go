package forgery

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/fetch"
	"github.com/counterfoil/counterfoil/issuer/audit"
	"github.com/counterfoil/counterfoil/issuer/store"
)

const (
	secretPrefix  = "whsec_" // as Standard Webhooks writes secrets
	minSecret     = 24       // bytes, as it demands
	maxSecret     = 64
	deliverLimit  = 10 * time.Second // for one attempt
	deliverLease  = 30 * time.Second // after which another node tries, if this one died
	deliverBatch  = 16
	firstDelay    = time.Second // doubled at each attempt
	longestDelay  = 5 * time.Minute
	deliverFor    = 3 * 24 * time.Hour
	maxHookAnswer = 4 << 10 // bytes read of an answer, and thrown away
)

// A Webhook takes alarms, as Standard Webhooks describes it: a POST of an [Alarm] in
// JSON with the headers webhook-id, webhook-timestamp and webhook-signature. An alarm
// may come more than once, with the same id.
type Webhook struct {
	url    string
	secret []byte
	client *http.Client
}

// ErrSecret reports a webhook secret that is not "whsec_" and 24 to 64 bytes in base64.
var ErrSecret = errors.New(`a webhook secret is whsec_ and 24 to 64 random bytes in base64`)

// inner are the networks where a receiver may be beside the internet.
var inner = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("fc00::/7"),
}

// CheckURL returns why NewWebhook would refuse a URL, without showing it.
func CheckURL(rawURL string) error {
	_, err := parseURL(rawURL)
	return err
}

// parseURL takes a query, which fetch.ParseURL does not: receivers tell their
// senders apart by it.
func parseURL(rawURL string) (*url.URL, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Scheme != "https" && (u.Scheme != "http" || !fetch.IsLoopback(u)) {
		return nil, fetch.ErrURL
	}
	return u, nil
}

// NewWebhook returns the webhook at an https URL, or an http one on loopback. No
// redirect is followed. Its errors, [ErrSecret] among them, do not show what it was
// given.
func NewWebhook(rawURL, secret string) (*Webhook, error) {
	u, err := parseURL(rawURL)
	if err != nil {
		return nil, err
	}
	key, err := ParseSecret(secret)
	if err != nil {
		return nil, err
	}
	return &Webhook{url: u.String(), secret: key, client: fetch.NewClient(u, inner)}, nil
}

// ParseSecret reads the bytes of a secret, or is [ErrSecret].
func ParseSecret(secret string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(secret, secretPrefix)
	key, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil || len(key) < minSecret || len(key) > maxSecret {
		return nil, ErrSecret
	}
	return key, nil
}

// FormatSecret is the opposite of [ParseSecret].
func FormatSecret(key []byte) string { return secretPrefix + base64.StdEncoding.EncodeToString(key) }

// sign returns webhook-signature for a message.
func (w *Webhook) sign(id, timestamp, body string) string {
	mac := hmac.New(sha256.New, w.secret)
	io.WriteString(mac, id+"."+timestamp+"."+body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// post makes one attempt. Its error does not show the URL, which may be a secret.
func (w *Webhook) post(ctx context.Context, id, body string, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, deliverLimit)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader([]byte(body)))
	if err != nil {
		return fetch.ErrURL
	}
	timestamp := strconv.FormatInt(now.Unix(), 10)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "counterfoil")
	r.Header.Set("webhook-id", id)
	r.Header.Set("webhook-timestamp", timestamp)
	r.Header.Set("webhook-signature", w.sign(id, timestamp, body))
	resp, err := w.client.Do(r)
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	io.CopyN(io.Discard, resp.Body, maxHookAnswer) // so that the connection can be used again
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return &fetch.StatusError{Status: resp.StatusCode}
	}
	return nil
}

// deliver makes the attempts that are due. One node makes each.
func (d *Desk) deliver(ctx context.Context) error {
	for {
		var due []store.Alarm
		var now time.Time
		err := d.cfg.Store.View(ctx, func(tx *store.Tx) (err error) {
			if now, err = tx.Now(); err != nil {
				return err
			}
			due, err = tx.Alarms(deliverBatch)
			return err
		})
		for len(due) > 0 && due[len(due)-1].Due.After(now) {
			due = due[:len(due)-1]
		}
		if err != nil || len(due) == 0 {
			return err
		}
		for _, a := range due {
			if err := d.deliverOne(ctx, a, now); err != nil {
				return err
			}
		}
	}
}

// deliverOne makes an attempt, unless another node makes it.
func (d *Desk) deliverOne(ctx context.Context, a store.Alarm, now time.Time) error {
	err := d.cfg.Store.Update(ctx, func(tx *store.Tx) error { return tx.ClaimAlarm(a, now.Add(deliverLease)) })
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	if err != nil {
		return err
	}
	// Receivers refuse a timestamp that is minutes off, and a node's clock may be.
	at, err := d.storeTime(ctx)
	if err != nil {
		return err
	}
	trouble := d.cfg.Webhook.post(ctx, a.ID, a.Body, at)
	if trouble == nil {
		d.counts.alarms.Add(1)
	} else {
		d.counts.alarmsFailed.Add(1)
	}
	d.sayDelivery(a, trouble)
	return d.cfg.Store.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		now, err := tx.Now()
		switch {
		case err != nil:
			return err
		case trouble == nil:
			return tx.RemoveAlarm(a, now)
		case now.Sub(a.At) > deliverFor:
			if err := tx.RemoveAlarm(a, time.Time{}); err != nil {
				return err
			}
			return audit.Record(tx, now, audit.Event{
				Actor: issuerActor, Action: audit.ForgeryUntold, Subject: a.KeyID, Detail: fmt.Sprintf("alarm=%s tries=%d", a.ID, a.Attempts+1),
			})
		}
		return tx.DelayAlarm(a.ID, now.Add(delay(a.Attempts)), trouble.Error())
	})
}

// sayDelivery logs the first try that comes to nothing, and the one that is taken after
// such. The error shows no URL.
func (d *Desk) sayDelivery(a store.Alarm, trouble error) {
	switch {
	case trouble != nil && a.Attempts == 0:
		d.cfg.Log.Error("an alarm could not be delivered to the webhook, and is tried again for three days", "alarm", a.ID, "kid", a.KeyID, "err", trouble)
	case trouble == nil && a.Error != "":
		d.cfg.Log.Warn("the webhook has taken an alarm late", "alarm", a.ID, "kid", a.KeyID, "tries", a.Attempts+1)
	}
}

// delay is how long to wait after an attempt, of which there were some before.
func delay(before int64) time.Duration {
	wait := longestDelay
	if before < 16 {
		wait = min(firstDelay<<before, longestDelay)
	}
	return wait - rand.N(wait/4) // so that receivers that come back are not met by all at once
}

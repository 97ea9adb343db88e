package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/counterfoil/counterfoil/internal/fetch"
	"github.com/counterfoil/counterfoil/jose/jwt"
	"github.com/counterfoil/counterfoil/verifier"
)

const (
	placeTimeout   = 10 * time.Second // of one request to a place
	maxPlaceAnswer = 1 << 20          // bytes that are read of one
)

// A place is where a token can be shown. An error says that it did not tell.
type place interface {
	name() string
	accepts(ctx context.Context, token string) (bool, error)
}

// ownVerifier is the verifier of the command itself.
type ownVerifier struct{ v *verifier.Verifier }

func (ownVerifier) name() string { return "this command's verifier" }

func (o ownVerifier) accepts(ctx context.Context, token string) (bool, error) {
	_, err := o.v.Verify(ctx, token)
	if err == nil {
		return true, nil
	}
	if status, _, _ := verifier.StatusOf(err); status == http.StatusUnauthorized {
		return false, nil
	}
	return false, err
}

// urlPlace is a guard or a service.
type urlPlace struct {
	url    string
	client *http.Client
}

func parsePlaces(urls []string) (places []place, err error) {
	for _, raw := range urls {
		u, err := fetch.ParseURL(raw)
		if err != nil {
			return nil, misuse("--at: %v", err)
		}
		places = append(places, urlPlace{u.String(), fetch.WithoutRedirects(&http.Client{Timeout: placeTimeout})})
	}
	return places, nil
}

func (p urlPlace) name() string { return p.url }

// accepts sends a GET with the token (RFC 6750, Section 2.1). 401 refuses it; 403
// and 404 do not: the drill's token permits nothing, and there may be nothing there.
func (p urlPlace) accepts(ctx context.Context, token string) (bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	if err != nil {
		return false, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := p.client.Do(req)
	if err != nil {
		return false, errors.New("no answer")
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, maxPlaceAnswer))
	switch {
	case resp.StatusCode == http.StatusUnauthorized:
		return false, nil
	case resp.StatusCode < http.StatusBadRequest, resp.StatusCode == http.StatusForbidden, resp.StatusCode == http.StatusNotFound:
		return true, nil
	}
	return false, fmt.Errorf("it answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
}

// keyIDOf says which key a token names.
func keyIDOf(token string) (string, error) {
	u, err := jwt.ParseUnverified(token)
	if err != nil {
		return "", err
	}
	return u.UnverifiedHeader().KeyID, nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/guard"
	"github.com/counterfoil/counterfoil/internal/fetch"
	"github.com/counterfoil/counterfoil/jose/jwt"
	"github.com/counterfoil/counterfoil/verifier"
)

const (
	placeTimeout   = 10 * time.Second // of one request to a place
	probeTimeout   = time.Second      // of the first one
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

func parsePlaces(urls []string) (places []urlPlace, err error) {
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

// accepts shows the token. 401 refuses it; 403 and 404 do not: the drill's token
// permits nothing, and there may be nothing there.
func (p urlPlace) accepts(ctx context.Context, token string) (bool, error) {
	status, err := p.show(ctx, token)
	switch {
	case err != nil:
		return false, err
	case status == http.StatusUnauthorized:
		return false, nil
	case status < http.StatusBadRequest, status == http.StatusForbidden, status == http.StatusNotFound:
		return true, nil
	}
	return false, fmt.Errorf("it answered %s", inWords(status))
}

// show sends a GET with the token (RFC 6750, Section 2.1) and returns the status, from a
// guard the one that it means.
func (p urlPlace) show(ctx context.Context, token string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := p.client.Do(req)
	if err != nil {
		return 0, errors.New("no answer")
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, maxPlaceAnswer))
	if meant, err := strconv.Atoi(resp.Header.Get(guard.StatusHeader)); err == nil {
		return meant, nil
	}
	return resp.StatusCode, nil
}

func inWords(status int) string {
	return strings.TrimSpace(fmt.Sprint(status, " ", http.StatusText(status)))
}

// junk looks like a token, and no key of anybody has signed it.
const junk = "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.e30.AAAA"

// probe looks whether anybody checks tokens at p, before anything is made: where every
// token passes, a drill would wait in vain for the forged one to be refused.
func (p urlPlace) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	status, err := p.show(ctx, junk)
	switch {
	case err != nil:
		return hinted(fmt.Errorf("--at %s: %w", p.url, err), "is that the address? a guard and a service say in their log where they listen")
	case status == http.StatusUnauthorized:
		return nil
	case status >= http.StatusInternalServerError:
		return hinted(fmt.Errorf("--at %s: it answered %s", p.url, inWords(status)), "is it ready? a guard says so at /readyz")
	}
	return hinted(fmt.Errorf("--at %s: it answered %s to a token of nobody, and not 401: no verifier looks at tokens there", p.url, inWords(status)),
		"a guard's URL ends in /auth; of a service name a path that needs a token")
}

// keyIDOf says which key a token names.
func keyIDOf(token string) (string, error) {
	u, err := jwt.ParseUnverified(token)
	if err != nil {
		return "", err
	}
	return u.UnverifiedHeader().KeyID, nil
}

package main

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// A signal does not end the verifiers before the requests that are under way: those
// need the auditor, if a key is under quarantine, and what they show is reported.
func TestVerifiersOutliveTheSignal(t *testing.T) {
	asked := make(chan struct{}, 1)
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		select {
		case asked <- struct{}{}:
		default:
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer issuer.Close()
	ctx, signal := context.WithCancel(t.Context())
	signal()
	all, err := openVerifiers(ctx, &GuardConfig{Issuers: []string{issuer.URL}, Audience: "api"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-asked:
	case <-time.After(10 * time.Second):
		t.Error("the verifier has stopped before it was closed")
	}
	if err := closeVerifiers(all); err != nil {
		t.Error(err)
	}
}

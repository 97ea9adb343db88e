//go:build unix

package postgres_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/issuer/store/postgres"
	"github.com/counterfoil/counterfoil/issuer/store/storetest"
)

// behindRelay opens a store that has dialled every connection it keeps.
func behindRelay(t *testing.T, timeout time.Duration) (*store.Store, *relay) {
	t.Helper()
	pg := server(t)
	r := newRelay(t, pg.Socket())
	st, err := postgres.OpenWithin(t.Context(), r.url(t, pg.Database(t)), postgres.Config{Issuer: storetest.Issuer}, timeout)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.hangUp() // or to close them takes its time
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	const views = 8
	var all, inside sync.WaitGroup
	inside.Add(views)
	for range views {
		all.Go(func() {
			err := st.View(t.Context(), func(*store.Tx) error { inside.Done(); inside.Wait(); return nil })
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	lanes := st.Stats().Lanes
	inside.Add(lanes)
	for range lanes {
		entered := make(chan struct{})
		all.Go(func() {
			var once sync.Once
			err := st.Update(t.Context(), func(*store.Tx) error {
				once.Do(func() { close(entered); inside.Done() })
				inside.Wait()
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
		<-entered // or the next one would share its batch
	}
	all.Wait()
	return st, r
}

// The server's host dies, and another one has its address: no connection that is there
// ever says so. One is found out in a moment, and the others with it.
func TestConnectionsThatLeadNowhere(t *testing.T) {
	st, r := behindRelay(t, time.Minute)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r.silence()
	for i := range 20 {
		if err := st.View(ctx, func(tx *store.Tx) error { _, err := tx.Head(); return err }); err != nil {
			t.Fatalf("View %d: %v", i, err)
		}
	}
	for i := range 20 {
		if err := st.Update(ctx, func(tx *store.Tx) error { _, err := tx.Now(); return err }); err != nil {
			t.Fatalf("Update %d: %v", i, err)
		}
	}
}

// A View that nobody cancels does not wait for a server that has gone in the middle,
// also where all that is left to say is that it is over.
func TestViewHasABound(t *testing.T) {
	own := errors.New("the caller's")
	for name, test := range map[string]struct {
		rest func(*store.Tx) error
		want []error
	}{
		"a query": {func(tx *store.Tx) error { _, err := tx.Head(); return err }, []error{store.ErrUnavailable, context.DeadlineExceeded}},
		"nothing": {func(*store.Tx) error { return nil }, nil},
		"no more": {func(*store.Tx) error { return own }, []error{own}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st, r := behindRelay(t, 2*time.Second)
			ended := make(chan error, 1)
			go func() {
				ended <- st.View(context.WithoutCancel(t.Context()), func(tx *store.Tx) error {
					r.silence()
					return test.rest(tx)
				})
			}()
			select {
			case err := <-ended:
				for _, want := range test.want {
					if !errors.Is(err, want) {
						t.Errorf("%v, want %v", err, want)
					}
				}
			case <-time.After(20 * time.Second):
				t.Error("it waits")
				r.hangUp()
			}
		})
	}
}

package session_test

import (
	"net/http"
	"sync"
	"testing"
)

// A refresh through HTTP, signature and a file, without waiting for the disk:
// what it costs the processor.
func BenchmarkRefresh(b *testing.B) {
	f := newFixture(b, nil)
	const clients = 64
	tokens := make([]string, clients)
	for i := range tokens {
		tokens[i] = f.signIn(laptop).RefreshToken
	}
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for i := range tokens {
		wg.Go(func() {
			for range b.N / clients {
				a := f.refresh(laptop, tokens[i])
				if a.Status != http.StatusOK {
					b.Error(a.Status, a.Error)
					return
				}
				tokens[i] = a.RefreshToken
			}
		})
	}
	wg.Wait()
}

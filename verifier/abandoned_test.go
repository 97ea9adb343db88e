package verifier_test

import (
	"bytes"
	"context"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/verifier"
)

// Whoever takes the context of Open for a limit of the start is told that nothing is
// followed any more; whoever closes is told nothing.
func TestContextOfTheStart(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		for _, closed := range []bool{false, true} {
			var log bytes.Buffer
			cfg := o.config()
			cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			v, err := verifier.Open(ctx, cfg)
			if err != nil {
				t.Fatal(err)
			}
			pass(time.Second)
			if closed {
				v.Close()
			}
			log.Reset()
			cancel()
			pass(time.Second)
			if told := strings.Contains(log.String(), "level=WARN msg=\"verifier stopped\""); told == closed {
				t.Errorf("closed %v: %s", closed, &log)
			}
			if err := v.Status().LastError; !closed && (err == nil || !strings.Contains(err.Error(), "given to Open")) {
				t.Errorf("LastError %v", err)
			}
			v.Close()
		}
	})
}

// The issuer would refuse each acknowledgement under such a name.
func TestInstanceThatNobodyTakes(t *testing.T) {
	for _, name := range []string{strings.Repeat("a", 65), "a\nb"} {
		if _, err := verifier.Open(t.Context(), verifier.Config{Issuer: "https://id.example", Audience: audience, Instance: name}); err == nil {
			t.Errorf("%q taken", name)
		}
	}
}

// A token that was cut out of something large does not keep that in memory.
func TestRememberedTokenIsAllThatIsKept(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		v := o.ready(t, nil)
		heap := func() uint64 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		before := heap()
		for n := range 64 {
			token := o.token(t, claims{"n": n})
			message := token + strings.Repeat(" ", 1<<20)
			if err := verify(t, v, message[:len(token)]); err != nil {
				t.Fatal(err)
			}
		}
		if after := heap(); after > before+16<<20 {
			t.Errorf("%d MiB are kept for 64 tokens", (after-before)>>20)
		}
	})
}

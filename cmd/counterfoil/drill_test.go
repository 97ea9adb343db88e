package main

import (
	"bytes"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/testbubble"
	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// Of several nodes that are asked in turn, one has not read yet which key signs. The
// drill's client asks again, as long as it has patience.
func TestDrillRenewsAtANodeThatIsBehind(t *testing.T) {
	tokens := map[string]string{}
	for _, kid := range []string{"stolen", "standby"} {
		key, err := jwk.Generate(jwk.Params{Algorithm: jwk.ES256, KeyID: kid})
		if err != nil {
			t.Fatal(err)
		}
		if tokens[kid], err = jws.Sign(key, jws.Header{}, []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		behind int // of the answers
		ok     bool
	}{{0, true}, {2, true}, {1 << 20, false}} {
		testbubble.Test(t, func(t *testing.T) {
			asked := 0
			nodes := answers(func() any {
				if asked++; asked <= tt.behind {
					return map[string]string{"token": tokens["stolen"]}
				}
				return map[string]string{"token": tokens["standby"]}
			})
			d := &drill{
				a: &app{now: time.Now}, admin: &adminClient{http: &http.Client{Transport: nodes}, base: "http://counterfoil"},
				flags: &drillFlags{patience: time.Second}, state: drillState{KeyID: "stolen", Standby: "standby"},
			}
			_, _, err := d.renewHonest(t.Context())
			if (err == nil) != tt.ok || tt.ok && asked != tt.behind+1 {
				t.Errorf("behind %d times: asked %d times: %v", tt.behind, asked, err)
			}
		})
	}
}

// answers answer each request with what they return.
type answers func() any

func (a answers) RoundTrip(*http.Request) (*http.Response, error) {
	body, err := wire.Marshal(a())
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(body))}, err
}

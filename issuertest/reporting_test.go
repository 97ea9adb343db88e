package issuertest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuertest"
	"github.com/counterfoil/counterfoil/verifier"
)

// What a verifier says of its reports is what the issuer reads.
func TestFleetViewShowsHowReportsFare(t *testing.T) {
	iss := issuertest.New(t)
	iss.VerifierWith(t, verifier.Config{SeenShare: 0.25, Instance: "a quarter"})
	var feed struct {
		Verifiers []struct {
			Instance string `json:"instance"`
			Seen     *struct {
				Share float64 `json:"share"`
			} `json:"seen"`
		} `json:"verifiers"`
	}
	for end := time.Now().Add(10 * time.Second); len(feed.Verifiers) == 0 && time.Now().Before(end); {
		iss.Admin(t, http.MethodGet, "/admin/feed", nil, &feed)
	}
	if len(feed.Verifiers) != 1 || feed.Verifiers[0].Seen == nil || feed.Verifiers[0].Seen.Share != 0.25 {
		t.Errorf("%+v", feed)
	}
}

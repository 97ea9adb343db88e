package remote_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/notary/remote"
)

// Whatever comes, the notary answers it or refuses it, and is not at fault.
func FuzzHandler(f *testing.F) {
	s := &remote.Server{Notary: notary.NewLocal(secret), Escrow: newEscrow(f), Log: slogDiscard}
	handler := s.Handler()
	key, err := s.Escrow.ReleaseKey(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	sealed, err := notary.SealFor(key, "k1", "inner")
	if err != nil {
		f.Fatal(err)
	}
	report, err := notary.AppendReport(nil, []notary.Record{{KeyID: "k1"}, {KeyID: "k2"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(byte(0), []byte(`{"kid":"k1","digest":"AAAAAAAAAAAAAAAAAAAAAA"}`))
	f.Add(byte(0), []byte(`{"kid":"k1","sum":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`))
	f.Add(byte(1), report)
	f.Add(byte(2), []byte(`{"kid":"k1","sealed":"`+sealed+`"}`))
	f.Fuzz(func(t *testing.T, which byte, body []byte) {
		path, media := [...]string{"/tag", "/check", "/release"}[which%3], "application/json"
		if path == "/check" {
			media = notary.ReportType
		}
		r := httptest.NewRequest("POST", path, bytes.NewReader(body))
		r.Header.Set("Content-Type", media)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != http.StatusOK && (w.Code < 400 || w.Code >= 500) {
			t.Errorf("%s %q: %d %s", path, body, w.Code, w.Body)
		}
		if records, err := notary.ParseReport(body); path == "/check" && w.Code == http.StatusOK && (err != nil || w.Body.Len() != len(records)) {
			t.Errorf("%d answers for %d records, %v", w.Body.Len(), len(records), err)
		}
	})
}

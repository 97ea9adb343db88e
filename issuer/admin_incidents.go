package issuer

import (
	"net/http"

	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/issuer/forgery"
)

// listIncidents serves GET /admin/incidents.
func (i *Issuer) listIncidents(w http.ResponseWriter, r *http.Request) error {
	list, err := i.desk.Incidents(r.Context())
	if err != nil {
		return err
	}
	return serve.WriteJSON(w, http.StatusOK, items[forgery.Incident]{Items: list})
}

// showIncident serves GET /admin/incidents/{kid}.
func (i *Issuer) showIncident(w http.ResponseWriter, r *http.Request) error {
	incident, err := i.desk.Incident(r.Context(), r.PathValue("kid"))
	if err != nil {
		return err
	}
	return serve.WriteJSON(w, http.StatusOK, incident)
}

// closeIncident serves POST /admin/incidents/{kid}/close.
func (i *Issuer) closeIncident(w http.ResponseWriter, r *http.Request) error {
	if err := i.desk.Close(r.Context(), r.PathValue("kid"), actor(r.Context())); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

package postgres_test

import (
	"errors"
	"testing"

	"github.com/counterfoil/counterfoil/issuer/store/postgres"
)

func TestServerIsVerified(t *testing.T) {
	t.Setenv("PGSSLMODE", "")
	for url, want := range map[string]bool{
		"postgres://u@db.example/x":                                          false, // TLS with anybody, or none
		"postgres://u@db.example/x?sslmode=disable":                          false,
		"postgres://u@db.example/x?sslmode=allow":                            false,
		"postgres://u@db.example/x?sslmode=prefer":                           false,
		"postgres://u@db.example/x?sslmode=require":                          false,
		"postgres://u@db.example/x?sslmode=verify-ca":                        false, // of any name
		"postgres://u@db.example/x?sslmode=verify-full":                      true,
		"host=db.example user=u sslmode=require":                             false,
		"host=db.example user=u sslmode=verify-full":                         true,
		"postgres://u@192.0.2.1/x":                                           false,
		"postgres://u@[2001:db8::1]/x":                                       false,
		"postgres://u@127.0.0.1/x":                                           true,
		"postgres://u@[::1]/x?sslmode=disable":                               true,
		"postgres://u@localhost/x":                                           true,
		"postgres://u@localhost.example/x":                                   false,
		"postgres:///x?host=/var/run/postgresql&user=u":                      true,
		"postgres://u@127.0.0.1,db.example/x":                                false,
		"postgres://u@db.example,127.0.0.1/x":                                false,
		"postgres://u@db.example,127.0.0.1/x?sslmode=verify-full":            true,
		"postgres://u@a.example,b.example/x?sslmode=verify-full":             true,
		"postgres:///x?host=/var/run/postgresql,db.example&port=1,2&user=u":  false,
		"postgres://u@db.example/x?sslmode=require&target_session_attrs=any": false,
	} {
		got, err := postgres.Verified(url)
		if err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", url, got, err, want)
		}
	}
	if ok, err := postgres.Verified("postgres://u@a.example,b.example/x"); ok || err != nil {
		t.Errorf("two hosts: %v, %v", ok, err)
	}
	t.Setenv("PGSSLMODE", "verify-full")
	if ok, err := postgres.Verified("postgres://u@db.example/x"); !ok || err != nil {
		t.Errorf("by the environment: %v, %v", ok, err)
	}
}

// Nothing is sent to a server that anybody could be.
func TestUnverifiedServerIsRefused(t *testing.T) {
	t.Setenv("PGSSLMODE", "")
	_, err := postgres.Open(t.Context(), "postgres://u:password@192.0.2.1/x", postgres.Config{Issuer: "https://id.example"})
	if !errors.Is(err, postgres.ErrUnverified) {
		t.Error(err)
	}
}

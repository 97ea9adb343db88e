package postgres

import "github.com/jackc/pgx/v5"

// OpenWithin is Open with another longest life of a batch and of a View.
var OpenWithin = open

// Verified reports whether Open connects to url as it is.
func Verified(url string) (bool, error) {
	c, err := pgx.ParseConfig(url)
	return err == nil && verified(&c.Config), err
}

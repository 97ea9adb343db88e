package store

import "time"

// A Client is a program that knows its own name, and maybe a secret.
type Client struct {
	ID         string
	Kind       string // "verifier", "confidential" or "public"
	SecretHash []byte // SHA-256 of a random secret of 32 bytes; nil for a public client
	Disabled   bool
	Created    time.Time // milliseconds

	// ValidFrom is the seq of the last entry that revoked the client, 0 if
	// none, also when it was removed and added again. Only [Tx.Revoke]
	// changes it.
	ValidFrom uint64
}

const clientColumns = `c.id, c.kind, c.secret, c.disabled, c.created,
	(SELECT v.seq FROM valid_from v WHERE v.kind = 5 AND v.value = c.id)`

func (c *Client) dest() []any {
	return []any{
		text{&c.ID}, text{&c.Kind}, bytes{&c.SecretHash}, flag{&c.Disabled}, millis{&c.Created}, number{&c.ValidFrom},
	}
}

// CreateClient adds a client. [ErrExists] means that the ID is taken.
func (tx *Tx) CreateClient(c Client) error {
	n, err := tx.exec(`INSERT INTO clients (id, kind, secret, disabled, created) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT DO NOTHING`, c.ID, c.Kind, c.SecretHash, bit(c.Disabled), toMillis(c.Created))
	return one(n, err, ErrExists)
}

// UpdateClient writes c over the client with its ID. Created and ValidFrom stay.
func (tx *Tx) UpdateClient(c Client) error {
	n, err := tx.exec("UPDATE clients SET kind = $2, secret = $3, disabled = $4 WHERE id = $1",
		c.ID, c.Kind, c.SecretHash, bit(c.Disabled))
	return one(n, err, ErrNotFound)
}

// RemoveClient deletes a client and its sessions. Revoke the client in the same
// transaction: that ends its tokens and the sign-ins under way.
func (tx *Tx) RemoveClient(id string) error {
	n, err := tx.exec("DELETE FROM clients WHERE id = $1", id)
	if err := one(n, err, ErrNotFound); err != nil {
		return err
	}
	_, err = tx.exec("DELETE FROM sessions WHERE client_id = $1", id)
	return err
}

// Client returns the client with an ID.
func (tx *Tx) Client(id string) (Client, error) {
	var c Client
	err := tx.row("SELECT "+clientColumns+" FROM clients c WHERE c.id = $1", []any{id}, c.dest()...)
	return c, err
}

// Clients returns all clients by ID.
func (tx *Tx) Clients() ([]Client, error) {
	return list(tx, "SELECT "+clientColumns+" FROM clients c ORDER BY c.id", nil, (*Client).dest)
}

package store

// Meta returns a value that SetMeta kept, or [ErrNotFound]. The names "issuer"
// and "identity" are the store's own.
func (tx *Tx) Meta(name string) (string, error) {
	var v string
	err := tx.row("SELECT value FROM meta WHERE name = $1", []any{name}, text{&v})
	return v, err
}

// SetMeta keeps a value under a name.
func (tx *Tx) SetMeta(name, value string) error {
	_, err := tx.exec(`INSERT INTO meta (name, value) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value)
	return err
}

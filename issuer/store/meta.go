package store

// Meta returns a value that SetMeta kept, or [ErrNotFound]. The names "issuer",
// "identity", "restored" and "keys.of_backup" are the store's own.
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

// KeepMeta keeps a value under a name that has none, and returns the one in force:
// of several nodes that come at once the first wins.
func (tx *Tx) KeepMeta(name, value string) (string, error) {
	_, err := tx.exec("INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING", name, value)
	if err != nil {
		return "", err
	}
	return tx.Meta(name)
}

// LockMeta is [Tx.Meta] and keeps the row to this Update until it ends: other
// Updates that lock it wait, and then read what was written here. It needs an
// Update.
func (tx *Tx) LockMeta(name string) (string, error) {
	if !tx.t.write {
		return "", errReadOnly
	}
	var v string
	err := tx.row("SELECT value FROM meta WHERE name = $1{lock}", []any{name}, text{&v})
	return v, err
}

package store

import "time"

// An Alarm waits for the webhook.
type Alarm struct {
	ID       string // never used again
	KeyID    string // what it is about; empty: the notary
	Body     string
	At       time.Time
	Due      time.Time // of the next attempt
	Attempts int64
	Error    string // of the last one
}

const alarmColumns = "id, kid, body, at, due, attempts, error"

func (a *Alarm) dest() []any {
	return []any{text{&a.ID}, text{&a.KeyID}, text{&a.Body}, millis{&a.At}, millis{&a.Due}, signed{&a.Attempts}, text{&a.Error}}
}

// InsertAlarm adds an alarm. With MaxAlarms waiting it is [ErrExists].
func (tx *Tx) InsertAlarm(a Alarm) error {
	n, err := tx.exec("INSERT INTO alarms ("+alarmColumns+`) SELECT $1, $2, $3, $4, $5, $6, $7
		WHERE (SELECT count(*) FROM alarms) < $8 ON CONFLICT DO NOTHING`,
		a.ID, a.KeyID, a.Body, toMillis(a.At), toMillis(a.Due), a.Attempts, a.Error, int64(MaxAlarms))
	return one(n, err, ErrExists)
}

// Alarms returns up to limit alarms, in the order in which they are due.
func (tx *Tx) Alarms(limit int) ([]Alarm, error) {
	return list(tx, "SELECT "+alarmColumns+" FROM alarms ORDER BY due, at, id LIMIT $1", []any{all(limit)}, (*Alarm).dest)
}

// ClaimAlarm counts an attempt and puts the next one off until due, or is
// [ErrConflict] when another node has counted one since a was read.
func (tx *Tx) ClaimAlarm(a Alarm, due time.Time) error {
	n, err := tx.exec("UPDATE alarms SET attempts = attempts + 1, due = $3 WHERE id = $1 AND attempts = $2",
		a.ID, a.Attempts, toMillis(due))
	return one(n, err, ErrConflict)
}

// DelayAlarm says why an attempt came to nothing, and when to make the next.
func (tx *Tx) DelayAlarm(id string, due time.Time, reason string) error {
	_, err := tx.exec("UPDATE alarms SET due = $2, error = $3 WHERE id = $1", id, toMillis(due), reason)
	return err
}

// RemoveAlarm forgets an alarm: the webhook took it at the given time, or never
// will, if that is zero. The first one taken of an incident is noted there.
func (tx *Tx) RemoveAlarm(a Alarm, taken time.Time) error {
	if _, err := tx.exec("DELETE FROM alarms WHERE id = $1", a.ID); err != nil || taken.IsZero() {
		return err
	}
	_, err := tx.exec("UPDATE incidents SET alarmed = $2 WHERE kid = $1 AND alarmed = 0", a.KeyID, toMillis(taken))
	return err
}

// Undelivered tells of the alarms about a key that the webhook has refused so far.
type Undelivered struct {
	Alarms uint64
	Since  time.Time // of the oldest
	Tries  int64     // of the one that was tried most often
	Error  string    // of the newest try
}

// Undelivered returns what there is to tell of a key: all zero for nothing.
func (tx *Tx) Undelivered(kid string) (u Undelivered, err error) {
	err = tx.row("SELECT count(*), min(at), max(attempts) FROM alarms WHERE kid = $1 AND error <> ''", []any{kid},
		number{&u.Alarms}, millis{&u.Since}, signed{&u.Tries})
	if err != nil || u.Alarms == 0 {
		return Undelivered{}, err
	}
	err = tx.row("SELECT error FROM alarms WHERE kid = $1 AND error <> '' ORDER BY due DESC, id LIMIT 1", []any{kid}, text{&u.Error})
	return u, err
}

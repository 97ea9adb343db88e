package store

import (
	"errors"
	"fmt"

	"github.com/counterfoil/counterfoil/revocation"
)

// What a caller branches on.
var (
	// ErrNotFound reports that no such row exists.
	ErrNotFound = errors.New("store: not found")

	// ErrExists reports that a name or number is taken.
	ErrExists = errors.New("store: exists already")

	// ErrConflict reports a compare-and-swap that lost: the row has changed
	// since it was read, or its session has been revoked.
	ErrConflict = errors.New("store: changed meanwhile")

	// ErrClosed reports an Update or View after Close.
	ErrClosed = errors.New("store: closed")

	// ErrUncertain reports a commit that the database did not answer. What the
	// transaction wrote may be there or not.
	ErrUncertain = errors.New("store: commit not confirmed")

	// ErrUnavailable is what every error is that says nothing about the question:
	// the database did not answer, or not in time, or with an error of its own, or
	// the Store is closed. [ErrClosed] and [ErrUncertain] are, and the error of a
	// context that ended first. An error without it is a refusal, of this package
	// or of the function that Update or View ran.
	ErrUnavailable = errors.New("store: unavailable")

	// ErrText reports a text that no database can keep: with a NUL in it, or
	// not UTF-8.
	ErrText = errors.New("store: text with NUL or invalid UTF-8")

	// ErrAhead reports a position that no log can have reached by now.
	ErrAhead = errors.New("store: the position is more than a day ahead of the clock")

	// ErrIssuer reports a store that belongs to another issuer.
	ErrIssuer = errors.New("store: belongs to another issuer")

	// ErrNewer reports a schema written by a later version of this program.
	ErrNewer = errors.New("store: schema is newer than this program")
)

// Why [Standing.Permits] refuses.
var (
	// ErrRevoked is what every [*RevokedError] is.
	ErrRevoked = errors.New("store: revoked")

	// ErrDisabled reports a user or client that is switched off.
	ErrDisabled = errors.New("store: disabled")

	// ErrExpired reports a session past its end.
	ErrExpired = errors.New("store: session expired")

	// ErrKeyInactive reports a signing key that does not sign now.
	ErrKeyInactive = errors.New("store: signing key is not active")
)

// A RevokedError says what was revoked after the grant was born.
type RevokedError struct {
	Kind revocation.Kind
	Seq  uint64 // the entry that did it
}

// Error implements error.
func (e *RevokedError) Error() string {
	return fmt.Sprintf("store: %v revoked at %d", e.Kind, e.Seq)
}

// Is reports whether target is [ErrRevoked].
func (e *RevokedError) Is(target error) bool { return target == ErrRevoked }

// trouble makes err an [ErrUnavailable] and leaves its text alone.
func trouble(err error) error {
	if err == nil {
		return nil
	}
	return &troubleError{err}
}

type troubleError struct{ err error }

func (e *troubleError) Error() string        { return e.err.Error() }
func (e *troubleError) Unwrap() error        { return e.err }
func (e *troubleError) Is(target error) bool { return target == ErrUnavailable }

package pkcs11

import (
	"errors"
	"log/slog"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

var (
	// ErrNotBuilt reports that this program cannot load modules.
	ErrNotBuilt = errors.New("this build cannot load PKCS #11 modules: go build -tags pkcs11, with cgo, makes one that can")
	// ErrNoToken reports that no slot, or more than one, has the token that the URI
	// names. It is a [jwk.ErrUnavailable]: a token can be put back.
	ErrNoToken error = &unavailableError{errors.New("pkcs11: not exactly one token fits the URI")}
	// ErrSilent reports a module that did not answer in time: it hangs, or the way to its
	// token does. It is a [jwk.ErrUnavailable].
	ErrSilent error = &unavailableError{errors.New("pkcs11: the module does not answer")}
	// ErrPIN reports a PIN that the token refused. It is not tried again: a token
	// locks itself after a few.
	ErrPIN = errors.New("pkcs11: the token refused the PIN")
	// ErrClosed reports a token after [Token.Close].
	ErrClosed = errors.New("pkcs11: the token is closed")
	// ErrWeak reports a key that does not have the attributes that keep it inside.
	ErrWeak = errors.New("pkcs11: the key can leave its token")
	// ErrAmbiguous reports that several keys fit one name.
	ErrAmbiguous = errors.New("pkcs11: several keys fit the name")
)

const (
	// DefaultSessions is how many sessions a [Token] has open at most.
	DefaultSessions = 16
	// DefaultTimeout is how long a module may take for what is asked of it.
	DefaultTimeout = 10 * time.Second
)

// Config says which token to open. URI is required.
type Config struct {
	URI *URI // token and module; object and id name the key of [Token.KEK]

	// PIN returns the user's PIN, which is asked for at each login and not kept.
	// Default: none, for a token that needs no login.
	PIN func() (string, error)

	Sessions int           // at most; each call to the module needs one; default [DefaultSessions]
	Timeout  time.Duration // of all that is asked of the module but a new key; default [DefaultTimeout]
	Log      *slog.Logger  // default slog.Default
}

// Whether [Token.KEK] may make the key that it is asked for.
type Existence bool

const (
	Find Existence = false // the key is there, or it is an error
	Make Existence = true  // the key is made when it is not there
)

// An unavailableError is trouble with the module or the token, which says nothing
// about what was asked of it.
type unavailableError struct{ err error }

func (e *unavailableError) Error() string        { return e.err.Error() }
func (e *unavailableError) Unwrap() error        { return e.err }
func (e *unavailableError) Is(target error) bool { return target == jwk.ErrUnavailable }

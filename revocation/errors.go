package revocation

import "errors"

// What a verifier branches on. None of them carries a byte of a token.
var (
	// ErrFormat reports a frame, manifest, trust statement, snapshot or table
	// file that is not one, is damaged, or exceeds a bound.
	ErrFormat = errors.New("malformed revocation data")

	// ErrIssuer reports data of another issuer than the one asked for.
	ErrIssuer = errors.New("revocation data of another issuer")

	// ErrFeedKey reports a signature by a key that may not sign this.
	ErrFeedKey = errors.New("not signed by a feed key")

	// ErrGap reports that entries are missing between what is held and what
	// came, or that it belongs to a later epoch: resynchronize.
	ErrGap = errors.New("revocation entries are missing in between")

	// ErrStale reports a position below the one that is held. It is refused.
	ErrStale = errors.New("revocation data older than what is held")

	// ErrFork reports two different histories: the same seq with another
	// chain, or a new epoch that does not number above the old one. Raise an
	// alarm. The rules of both sides stay in force.
	ErrFork = errors.New("revocation log has two histories")

	// ErrChain reports a frame whose entries do not lead from c0 to c1.
	ErrChain = errors.New("revocation entries do not chain")
)

// formatError says which part of something is not as it must be.
type formatError string

func errFormat(part string) error { return formatError(part) }

func (e formatError) Error() string   { return ErrFormat.Error() + ": " + string(e) }
func (e formatError) Is(t error) bool { return t == ErrFormat }

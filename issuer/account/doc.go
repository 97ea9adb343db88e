// Package account turns what a person types into an answer to one question:
// is this the password of that account?
//
//	hasher, err := account.OpenHasher(ctx, store, account.HasherConfig{})
//	ok, stale, err := hasher.Verify(ctx, user.PasswordHash, password)
//
// A [Hasher] computes Argon2id on a bounded number of cores behind a bounded
// queue; for an account that does not exist it does the same work. A [Throttle]
// bounds attempts for each account and address in memory that does not grow.
// The rules for names, passwords, roles and claims are here too.
//
// What it does not promise: the buckets of a [Throttle] belong to one process,
// so that n nodes together allow n times the attempts, and a restart forgets.
package account

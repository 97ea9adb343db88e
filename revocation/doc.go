// Package revocation is the paper on which an issuer cancels tokens: numbered
// log entries, signed frames of them, and the table in which a verifier looks
// up whether a token is still good.
//
//	verdict := table.Check(revocation.Query{RSQ: rsq, Targets: targets})
//	if verdict.Revoked {
//		return errRevoked
//	}
//
// Both ends share it, so it is pure: it knows no clock but the one in the
// frames, does no I/O and starts no goroutine. It promises that a token is never
// less revoked than the applied frames say. It does not promise that the frames
// are recent; [Table.AsOf] tells how old they are.
package revocation

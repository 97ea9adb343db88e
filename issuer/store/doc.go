// Package store keeps what an issuer must not forget: users, clients, sessions,
// the revocation log, sealed keys and the audit trail. All SQL is here; packages
// sqlite and postgres open a database and hand it over.
//
//	err := st.Update(ctx, func(tx *store.Tx) error {
//		now, err := tx.Standing(store.StandingQuery{Session: sid, KeyID: kid})
//		if err != nil {
//			return err
//		}
//		if err := now.Permits(now.Session.Born); err != nil {
//			return err
//		}
//		return tx.RotateSession(next)
//	})
//
// When [Store.Update] has returned nil, what it wrote survives a crash of the
// machine. Concurrent Updates share a commit.
//
// The rule that keeps revocation whole: whoever is about to mint reads the head
// of the log and every row the decision rests on in one statement,
// [Tx.Standing], and puts [Standing.Head] into the token as rsq. No other way to
// read a head is meant for that.
//
// The store hashes and compares nothing that is secret and seals nothing: it
// keeps what it is given, and it does not notice that a SQLite file was
// restored from a copy; see [Tx.NewEpoch].
package store

// Package forgery finds out that a signing key is in other hands, and answers it.
//
// Verifiers show the desk what they have seen in use: a record of each token, and
// the token itself where the auditor does not find the tag right. A token with a
// valid signature and a wrong tag was made by somebody who has the signing key and
// not the notary's secret. Then, without anybody being asked, the token and its key
// go into the revocation log, another key signs, and the old one is given up as
// soon as no session needs it.
//
//	desk, err := forgery.Open(ctx, forgery.Config{Issuer: url, Store: st, Keyring: ring, Notary: local})
//	go desk.Run(ctx)
//	verdict, err := desk.Evidence(ctx, "guard-7", addr, token)
//
// How far an answer has come is in the store, and every node takes the next step
// when it is due: none is taken twice. Before a step the notary has to find its own
// tags right, and those of all nodes that live tokens may have; else the secrets
// disagree, honest tokens look forged, and that is the alarm.
//
// What a forged token says of itself is the thief's choice. So nothing that it names
// is revoked but its own jti and its key. A [Trace] keeps the rest for a person, out of
// logs and alarms, and not for ever.
package forgery

// Package remote is a notary in a process of its own, both ends of it. Whoever
// takes over the issuer can then ask for tags as long as he is there, and cannot
// take the secret away with him.
//
//	server := &remote.Server{Notary: local, Escrow: escrow, Log: log}
//	err := server.Serve(ctx, listener)
//
//	client, err := remote.Open(remote.Config{URLs: []string{"unix:/run/counterfoil/notary.sock"}})
//	jti, err := client.Tag(ctx, kid, digest)
//
// They speak HTTP over a unix socket, whose mode says who may ask, or over TLS 1.3
// with a certificate at either end. The server takes part in no other connection.
// It is asked for tags, with or without a witness, for the tags of tokens seen in
// use, and for standby keys that were sealed to it; nothing else leaves it, and it
// never sees a signing key or a token.
package remote

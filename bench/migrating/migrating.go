// Package migrating holds nothing itself. The packages below it are one program
// four times: it signs a token, verifies one with a key set, encrypts and
// decrypts, with golang-jwt, go-jose, jwx and with Counterfoil. docs/migrating.md
// shows them side by side, and the tests here hold the page to what they do.
package migrating

// Package pkcs11 keeps keys of an issuer in a token of PKCS #11: a hardware
// security module, a card, or SoftHSM. Signing keys are made there and never leave
// it; a key-encryption key there opens the keyring.
//
//	uri, err := pkcs11.ParseURI("pkcs11:token=issuer;object=kek?module-path=/usr/lib/softhsm/libsofthsm2.so")
//	token, err := pkcs11.Open(ctx, pkcs11.Config{URI: uri, PIN: pin})
//	kek, err := token.KEK(ctx, pkcs11.Find)
//
// Only a build with cgo and the tag pkcs11 can load a module; in any other one
// [Open] answers [ErrNotBuilt]. Whoever controls this process can still use the
// keys while he does: a token keeps them from being copied, not from being used.
package pkcs11

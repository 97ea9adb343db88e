// Package contrib holds nothing itself. The packages below it have the algorithms
// that need a dependency of their own, each as an Extension of package jwk, in
// force for the calls that are given it and for no others:
// [github.com/counterfoil/counterfoil/contrib/es256k] has ES256K (RFC 8812),
// [github.com/counterfoil/counterfoil/contrib/ed448] has Ed448 (RFC 8037).
package contrib

// Package oauth is the protocol on paper: metadata documents, answers, error
// codes and scopes, as RFC 6749, RFC 6750, RFC 8414 and OpenID Connect write
// them. The issuer fills these structs and a verifier reads them; nothing here
// opens a connection.
//
//	meta, err := oauth.ParseMetadata(body, "https://id.example")
//
// A metadata document is believed for the issuer it was asked of, and for no
// other: ParseMetadata refuses a document with another "issuer".
package oauth

package verifier

import (
	"context"

	"github.com/counterfoil/counterfoil/jose/jwt"
)

// ReadEvents is the parser of the stream, for its fuzz test.
var ReadEvents = readEvents

// Lookup is what a check does beyond the token itself, for its benchmark.
func Lookup(ctx context.Context, v *Verifier, tok *jwt.Token[Access]) error {
	return v.feed().check(ctx, &checked{Token: tok}, Route{})
}

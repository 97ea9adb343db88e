package issuer

import "context"

// Trim runs what maintenance does once a minute.
func Trim(i *Issuer, ctx context.Context) error { return i.trim(ctx) }

// WaitingFor is the gate of a rotation.
func (i *Issuer) WaitingFor(ctx context.Context, kid string) ([]string, error) {
	return i.waitingFor(ctx, kid)
}

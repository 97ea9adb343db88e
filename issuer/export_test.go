package issuer

import "context"

// Trim runs what maintenance does once a minute.
func Trim(i *Issuer, ctx context.Context) error { return i.trim(ctx) }

//go:build !race

package revocation_test

const modelSteps = 12_000 // times about 20 checks of live tokens

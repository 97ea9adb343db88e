//go:build !race

package verifier_test

const slowness = 1

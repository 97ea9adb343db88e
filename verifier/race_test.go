//go:build race

package verifier_test

// slowness is by how much the race detector slows down what one goroutine does,
// where it finds nothing. Tests of many tokens take that much fewer.
const slowness = 10

//go:build race

package revocation_test

// The model runs in one goroutine, where the race detector finds nothing and
// makes everything twenty times slower.
const modelSteps = 1_000

const tinyLength = 3 // steps in every order: 11 to this power

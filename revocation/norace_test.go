//go:build !race

package revocation_test

const modelSteps = 12_000 // times about 20 checks of live tokens

const tinyLength = 5 // steps in every order: 11 to this power

//go:build !race

package testbubble

const watched = false

//go:build !linux

package main

import "log/slog"

// protectMemory does nothing on this system.
func protectMemory(*slog.Logger) {}

package main

import (
	"log/slog"

	"golang.org/x/sys/unix"
)

// protectMemory keeps the keys in this process out of core files and away from
// debuggers of the same user.
func protectMemory(log *slog.Logger) {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		log.Warn("core files stay enabled", "err", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		log.Warn("memory stays open to debuggers", "err", err)
	}
}

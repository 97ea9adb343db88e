package main

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// protectMemory keeps the keys of this process out of core files, and its memory
// from other processes of the same user: no core at any limit, whatever
// core_pattern says, no debugger, no /proc/PID/mem. It reads back what it has set,
// since a sandbox may take a call and ignore it, and fails when that is something
// else.
func protectMemory() error {
	hint := "the system, a sandbox perhaps, must allow setrlimit and prctl(PR_SET_DUMPABLE)"
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return hinted(fmt.Errorf("core files stay enabled: %w", err), hint)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return hinted(fmt.Errorf("memory stays open to debuggers: %w", err), hint)
	}
	if err := memoryProtected(); err != nil {
		return hinted(err, hint)
	}
	return nil
}

// memoryProtected asks the kernel.
func memoryProtected() error {
	core := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY} // a call that does nothing leaves it so
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &core); err != nil || core.Cur != 0 || core.Max != 0 {
		return errors.Join(errors.New("core files stay enabled: the limit was not taken"), err)
	}
	dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	if err != nil || dumpable != 0 {
		return errors.Join(errors.New("memory stays open to debuggers: PR_SET_DUMPABLE was not taken"), err)
	}
	return nil
}

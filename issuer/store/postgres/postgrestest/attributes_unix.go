//go:build unix && !linux

package postgrestest

import "syscall"

// attributes makes a child that runs as owner.
func attributes(owner *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: owner, Setpgid: true}
}

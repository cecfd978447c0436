//go:build !linux

package frontproxy

import "syscall"

func processAttributes() *syscall.SysProcAttr { return nil }

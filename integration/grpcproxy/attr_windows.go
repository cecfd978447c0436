package grpcproxy

import "syscall"

func processAttributes() *syscall.SysProcAttr { return nil }

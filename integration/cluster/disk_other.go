//go:build !linux

package cluster

import (
	"errors"
	"runtime"
)

// DisksSupported returns nil if Config.Disks works on this system, and otherwise
// the reason why it does not.
func DisksSupported() error {
	return errors.New("cluster: disks that can be stalled need seccomp_unotify(2), which " + runtime.GOOS + " does not have")
}

func (*memberSpec) become(int) error { return DisksSupported() }

func runDisk() error { return DisksSupported() }

func startDisk(bool) (func(stalled bool), error) { return nil, DisksSupported() }

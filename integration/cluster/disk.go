package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// ErrNoDisk is the error of StallDisk and HealDisk without Config.Disks.
var ErrNoDisk = errors.New("cluster: the cluster has no disks of its own: set Config.Disks")

// diskSocket is the UNIX socket, in a member's working directory, on which the
// member receives commands for its disk.
const diskSocket = "disk"

// The commands, and the response to a command that was carried out. Each is one
// byte.
const (
	diskStall = 's'
	diskHeal  = 'h'
	diskDone  = '.'
)

// diskTimeout limits a command, which takes no time unless the member is paused.
const diskTimeout = 5 * time.Second

// StallDisk makes every fsync and fdatasync of the member wait until HealDisk:
// nothing that it writes reaches its disk. The process lives and its connections
// stay. But from the first write on, it can neither acknowledge anything to its
// peers nor notice that time passes. Once the database waits as well, it answers
// hardly any client, since that blocks reads, too. StallDisk needs Config.Disks.
// If the member is killed and restarted, its disk is healthy. Heal the disk
// before Terminate, or the member is killed after a while.
func (m *Member) StallDisk(ctx context.Context) error {
	return m.orderDisk(ctx, "stall the disk of", diskStall)
}

// HealDisk undoes StallDisk: pending disk calls continue.
func (m *Member) HealDisk(ctx context.Context) error {
	return m.orderDisk(ctx, "heal the disk of", diskHeal)
}

func (m *Member) orderDisk(ctx context.Context, operation string, order byte) error {
	if !m.c.cfg.Disks {
		return ErrNoDisk
	}
	m.op.Lock()
	defer m.op.Unlock()
	if _, err := m.live(operation); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, diskTimeout)
	defer cancel()
	if err := orderDisk(ctx, m.socket(diskSocket), order); err != nil {
		return fmt.Errorf("cluster: cannot %s %s: %w", operation, m.name, err)
	}
	m.c.cfg.Logger.Debug("ordered a disk", "member", m.name, "order", string(order))
	return nil
}

// orderDisk sends a command and waits until it is carried out.
func orderDisk(ctx context.Context, socket string, order byte) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // nothing depends on this error
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	if _, err := conn.Write([]byte{order}); err != nil {
		return err
	}
	answer := make([]byte, 1)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return err
	}
	if answer[0] != diskDone {
		return fmt.Errorf("the member answered %q", answer)
	}
	return nil
}

// serveDisk serves diskSocket in the working directory, as long as the process
// lives.
func serveDisk(set func(stalled bool)) error {
	// The member's previous process may have left its socket behind.
	if err := os.Remove(diskSocket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: diskSocket})
	if err != nil {
		return err
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				time.Sleep(checkInterval) // out of file descriptors
				continue
			}
			order := make([]byte, 1)
			if _, err := io.ReadFull(conn, order); err == nil {
				set(order[0] == diskStall)
				_, _ = conn.Write([]byte{diskDone}) // it does not matter if the caller has left
			}
			_ = conn.Close()
		}
	}()
	return nil
}

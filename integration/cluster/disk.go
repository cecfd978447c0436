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

// ErrNoDisk is what StallDisk and HealDisk return without Config.Disks.
var ErrNoDisk = errors.New("cluster: the cluster has no disks of its own: set Config.Disks")

// diskSocket is the UNIX socket, in a member's working directory, on which it
// takes orders about its disk.
const diskSocket = "disk"

// The orders, and the answer to one that was carried out. Each is a byte.
const (
	diskStall = 's'
	diskHeal  = 'h'
	diskDone  = '.'
)

// diskTimeout bounds an order, which takes no time unless the member is paused.
const diskTimeout = 5 * time.Second

// StallDisk makes every fsync and fdatasync of the member wait, from now until
// HealDisk: what it writes does not get to its disk. The process lives and its
// connections stay, but from the first write on it can acknowledge nothing to its
// peers, nor notice that time passes; and once the database waits too, it answers
// hardly any client, since that locks out reads. It needs Config.Disks. A member that is killed and
// started again has a healthy disk; one that is to be terminated must be healed
// first, or else it is killed after a while.
func (m *Member) StallDisk(ctx context.Context) error {
	return m.orderDisk(ctx, "stall the disk of", diskStall)
}

// HealDisk undoes StallDisk: what waits for the disk goes on.
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

// orderDisk gives an order and waits until it is carried out.
func orderDisk(ctx context.Context, socket string, order byte) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // the answer came, or did not
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

// serveDisk serves diskSocket in the working directory, for as long as the
// process lives.
func serveDisk(set func(stalled bool)) error {
	// The member's last life may have left its socket behind.
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
				_, _ = conn.Write([]byte{diskDone}) // whoever asked and left is no concern
			}
			_ = conn.Close()
		}
	}()
	return nil
}

package session

import (
	"errors"
	"fmt"

	"github.com/getcd/getcd/internal/closed"
	"github.com/getcd/getcd/internal/holder"
)

var (
	// ErrLost is the cause when the lease can no longer be proven to live: it was
	// not renewed in time, or is gone. errors.Is finds the lease's cause besides:
	// lease.ErrExpired, lease.ErrRevoked, rpctypes.ErrLeaseNotFound and so on.
	ErrLost = errors.New("session: lost")
	// ErrClosed is the cause after Close.
	ErrClosed = closed.New("session: closed")
	// ErrOrphaned is the cause after Orphan.
	ErrOrphaned = errors.New("session: orphaned")
)

func lost(cause error) error { return fmt.Errorf("%w: %w", ErrLost, cause) }

var kind = &holder.Kind{Package: "session"}

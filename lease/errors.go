package lease

import (
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/internal/closed"
)

var (
	// ErrExpired is a keeper's cause when the time to live, counted from the
	// sending of the last acknowledged renewal and less the margin, ran out:
	// the lease may still exist, but that can no longer be proven.
	ErrExpired = errors.New("lease: no renewal was acknowledged in time")
	// ErrRevoked is a keeper's cause when this client asked to revoke the lease.
	ErrRevoked = errors.New("lease: revoked by this client")
	// ErrClosed is a keeper's cause after its Close or the client's, and what
	// Keep and KeepAlive return after Close.
	ErrClosed = closed.New("lease: closed")
)

func errNoLease(call string) error {
	return fmt.Errorf("lease: %s: the lease ID is 0, which means no lease; use the ID of a granted one: %w", call, rpctypes.ErrLeaseNotFound)
}

func errNilOption(call string, i int) error {
	return fmt.Errorf("lease: %s: option %d is nil; leave it out", call, i+1)
}

func checkTTL(call string, ttl int64) error {
	switch {
	case ttl < 1:
		return fmt.Errorf("lease: %s: the TTL is %d s; it must be from 1 s to %d s", call, ttl, int64(MaxTTL))
	case ttl > MaxTTL:
		return fmt.Errorf("lease: %s: the TTL is %d s; it must be from 1 s to %d s: %w", call, ttl, int64(MaxTTL), rpctypes.ErrLeaseTTLTooLarge)
	}
	return nil
}

func errNotFound(id ID) error {
	return fmt.Errorf("lease %016x: %w", uint64(id), rpctypes.ErrLeaseNotFound)
}

// because adds the last failure of the streams, if there was one, to a cause.
func because(cause, last error) error {
	if last == nil {
		return cause
	}
	return fmt.Errorf("%w (last failure: %w)", cause, last)
}

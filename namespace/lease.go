package namespace

import (
	"bytes"
	"context"
	"slices"

	"github.com/getcd/getcd/lease"
)

// NewLease returns leases with TimeToLive listing only the attached keys that begin
// with prefix, without it. All else is the same, since leases have no keys for
// names: revoking one deletes its keys of every namespace.
func NewLease(leases lease.Lease, prefix string) lease.Lease {
	return &prefixedLease{leases, space(prefix)}
}

type prefixedLease struct {
	lease.Lease
	p space
}

func (l *prefixedLease) TimeToLive(ctx context.Context, id lease.ID, opts ...lease.Option) (*lease.TimeToLiveResponse, error) {
	resp, err := l.Lease.TimeToLive(ctx, id, opts...)
	if err != nil {
		return nil, err
	}
	resp.Keys = slices.DeleteFunc(resp.Keys, func(key []byte) bool { return !bytes.HasPrefix(key, []byte(l.p)) })
	for i, key := range resp.Keys {
		resp.Keys[i] = l.p.strip(key)
	}
	return resp, nil
}

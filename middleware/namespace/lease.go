package namespace

import (
	"context"

	"github.com/getcd/getcd/lease"
)

// NewLease returns leases with TimeToLive listing only the attached keys that begin
// with prefix, without it. All else is the same, since leases have no keys for
// names: revoking one deletes its keys of every namespace.
func NewLease(leases lease.Lease, prefix string) lease.Lease {
	if leases == nil {
		leases = lease.New(nil) // whose calls say so
	}
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
	resp.Keys = l.p.stripKeys(resp.Keys)
	return resp, nil
}

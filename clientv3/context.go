package clientv3

import (
	"context"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/metadata"
)

// WithRequireLeader makes requests, watches and keepers with ctx fail with
// rpctypes.ErrNoLeader if no member has a leader: if all reachable members have
// said so for a second. A Client's connection always asks for a member with a
// leader, but without WithRequireLeader it waits until there is one.
func WithRequireLeader(ctx context.Context) context.Context {
	md, _ := metadata.FromOutgoingContext(ctx)
	md = md.Copy() // others may use it, too
	if md == nil {
		md = metadata.MD{}
	}
	md.Set(rpctypes.MetadataRequireLeaderKey, rpctypes.MetadataHasLeader)
	return metadata.NewOutgoingContext(ctx, md)
}

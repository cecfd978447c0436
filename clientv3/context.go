package clientv3

import (
	"context"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/metadata"
)

// WithRequireLeader makes requests, watches and keepers with ctx fail with
// rpctypes.ErrNoLeader when no member has a leader: when all that can be reached have
// said so for a second. The connection of a Client asks for a member with a leader
// anyway, but waits until there is one.
func WithRequireLeader(ctx context.Context) context.Context {
	md, _ := metadata.FromOutgoingContext(ctx)
	md = md.Copy() // it may be anybody's
	if md == nil {
		md = metadata.MD{}
	}
	md.Set(rpctypes.MetadataRequireLeaderKey, rpctypes.MetadataHasLeader)
	return metadata.NewOutgoingContext(ctx, md)
}

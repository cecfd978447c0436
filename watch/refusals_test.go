package watch_test

import (
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
)

// A watch whose creations are refused, as one of somebody who is known by a certificate is
// while users and roles change, is asked for again; not for ever.
func TestRefusedCreations(t *testing.T) {
	for name, c := range map[string]struct {
		reason         error
		refusals, sent int // sent: creations, when it ends
	}{
		"users change":          {rpctypes.ErrGRPCAuthOldRevision, 20, 0},
		"users change for ever": {rpctypes.ErrGRPCAuthOldRevision, 1000, 33},
		"new tokens":            {rpctypes.ErrGRPCInvalidAuthToken, 5, 0},
		"no token will do":      {rpctypes.ErrGRPCInvalidAuthToken, 1000, 6},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, cluster, store := single(t)
				created := 0
				tap(cluster.Member(0), nil, func(r *pb.WatchResponse) error {
					if !r.Created {
						return nil
					}
					if created++; created <= c.refusals {
						r.Canceled, r.WatchId, r.CancelReason = true, -1, c.reason.Error()
					}
					return nil
				})
				events := w.Watch(t.Context(), "k")
				if c.sent > 0 {
					wantIs(t, "the watch", ending(t, events), rpctypes.Error(c.reason))
					if created != c.sent {
						t.Errorf("it was asked for %d times, want %d", created, c.sent)
					}
					return
				}
				time.Sleep(time.Minute) // the bubble's clock
				put(t, store, "k", "v")
				collect(t, events, 1)
			})
		})
	}
}

// So is one whose streams end with the refusal, on a plain connection and on the client's.
func TestRefusedStreamsOfAChangingUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := etcdtest.Start(t, 1)
		refused := 0
		tap(cluster.Member(0), func(*pb.WatchRequest) error {
			if refused++; refused <= 20 {
				return rpctypes.ErrGRPCAuthOldRevision
			}
			return nil
		}, nil)
		for _, conn := range []grpc.ClientConnInterface{cluster.Conn(t), dial(t, cluster).Conn()} {
			refused = 0
			events := service(t, conn).Watch(t.Context(), "k")
			time.Sleep(time.Minute) // the bubble's clock
			put(t, kv.New(conn), "k", "v")
			collect(t, events, 1)
		}
	})
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/internal/measure"
)

// stage is the cluster, as the parent sees it.
type stage struct {
	*cluster.Cluster
	kv     pb.KVClient
	leases pb.LeaseClient
	conn   *grpc.ClientConn
	scale  float64
	during time.Duration
	size   int // the row's, scaled
}

func newStage(ctx context.Context, r row, cfg config) (*stage, error) {
	c, err := cluster.Start(ctx, cluster.Config{Size: max(1, r.members), QuotaBytes: 8 << 30})
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient("passthrough:///"+c.Endpoints()[0], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return &stage{Cluster: c, kv: pb.NewKVClient(conn), leases: pb.NewLeaseClient(conn), conn: conn, scale: cfg.scale, during: cfg.during}, nil
}

func (s *stage) close() error { return errors.Join(s.conn.Close(), s.Stop()) }

// scaled returns at least 1.
func (s *stage) scaled(n int) int { return max(1, int(float64(n)*s.scale)) }

// member returns the leader, or a follower.
func (s *stage) member(ctx context.Context, leads bool) (*cluster.Member, error) {
	leader, err := s.Leader(ctx)
	if err != nil || leads {
		return leader, err
	}
	for _, m := range s.Members() {
		if m != leader {
			return m, nil
		}
	}
	return nil, errors.New("there is no follower")
}

// clear revokes what leases a process has left, so that the next one does not pay for them.
func (s *stage) clear(ctx context.Context) error {
	left, err := s.leases.LeaseLeases(ctx, &pb.LeaseLeasesRequest{}, grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	return each(ctx, len(left.Leases), 32, func(ctx context.Context, i int) error {
		// It may have expired by itself.
		_, _ = s.leases.LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: left.Leases[i].ID})
		return ctx.Err()
	})
}

// run measures a row with a client, in a process of its own.
func (s *stage) run(ctx context.Context, r row, client string, stderr io.Writer) ([]figure, error) {
	if s.size = r.size; !r.fixed {
		s.size = s.scaled(r.size)
	}
	if err := s.WaitHealthy(ctx); err != nil {
		return nil, err
	}
	if err := s.clear(ctx); err != nil {
		return nil, err
	}
	if r.prepare != nil {
		if err := r.prepare(ctx, s); err != nil {
			return nil, fmt.Errorf("preparing: %w", err)
		}
	}
	t := task{Row: r.name, Client: client, Size: s.size, For: s.during, Endpoints: s.Endpoints()}
	var during func(context.Context, func(string) error) error
	if r.during != nil {
		during = func(ctx context.Context, say func(string) error) error { return r.during(ctx, s, say) }
	}
	return measure.Process[task, []figure](ctx, name, t, stderr, during)
}

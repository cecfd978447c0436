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

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/internal/measure"
)

// stage is the cluster, as the parent sees it.
type stage struct {
	*cluster.Cluster
	admin  *client.Client
	kv     pb.KVClient // admin's
	user   string
	scale  float64
	flag   time.Duration // of the flags
	during time.Duration // the row's
	size   int           // the row's, scaled
}

func newStage(ctx context.Context, r row, cfg config) (_ *stage, err error) {
	c, err := cluster.Start(ctx, cluster.Config{Size: max(1, r.members), QuotaBytes: 8 << 30})
	if err != nil {
		return nil, err
	}
	s := &stage{Cluster: c, scale: cfg.scale, flag: cfg.during}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Stop())
		}
	}()
	admin := client.Config{Endpoints: c.Endpoints()}
	if r.secure {
		if err := secure(ctx, c.Endpoints()[0]); err != nil {
			return nil, err
		}
		s.user, admin.Username, admin.Password = rootUser, rootUser, rootPassword
	}
	if s.admin, err = client.New(admin); err != nil {
		return nil, err
	}
	s.kv = pb.NewKVClient(s.admin.Conn())
	return s, nil
}

const (
	rootUser     = "root"
	rootPassword = "scalebench"
)

// secure makes clients log in from now on.
func secure(ctx context.Context, endpoint string) error {
	conn, err := grpc.NewClient("passthrough:///"+endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	auth := pb.NewAuthClient(conn)
	_, err = auth.UserAdd(ctx, &pb.AuthUserAddRequest{Name: rootUser, Password: rootPassword})
	if err == nil {
		_, err = auth.UserGrantRole(ctx, &pb.AuthUserGrantRoleRequest{User: rootUser, Role: rootUser})
	}
	if err == nil {
		_, err = auth.AuthEnable(ctx, &pb.AuthEnableRequest{})
	}
	if err != nil {
		err = fmt.Errorf("enabling authentication: %w", err)
	}
	return errors.Join(err, conn.Close())
}

func (s *stage) close() error { return errors.Join(s.admin.Close(), s.Stop()) }

// fits reports whether the row can run on the stage.
func (s *stage) fits(r row) bool {
	return len(s.Members()) == max(1, r.members) && (s.user != "") == r.secure
}

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
	left, err := s.admin.Leases(ctx)
	if err != nil {
		return err
	}
	return each(ctx, len(left.Leases), 32, func(ctx context.Context, i int) error {
		_, _ = s.admin.Revoke(ctx, left.Leases[i].ID) // it may have expired by itself
		return ctx.Err()
	})
}

// run measures a row with a client, in a process of its own.
func (s *stage) run(ctx context.Context, r row, name string, stderr io.Writer) (_ []figure, err error) {
	if s.size = r.size; !r.fixed {
		s.size = s.scaled(r.size)
	}
	if s.during = s.flag; r.lasts > 0 {
		s.during = time.Duration(float64(r.lasts) * s.scale)
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
	if r.after != nil {
		defer func() { err = errors.Join(err, r.after(ctx, s)) }()
	}
	t := task{Row: r.name, Client: name, Size: s.size, For: s.during, Endpoints: s.Endpoints()}
	if s.user != "" {
		t.User, t.Password = rootUser, rootPassword
	}
	var during func(context.Context, func(string) error) error
	if r.during != nil {
		during = func(ctx context.Context, say func(string) error) error { return r.during(ctx, s, say) }
	}
	return measure.Process[task, []figure](ctx, program, t, stderr, during)
}

package main

import (
	"context"
	"errors"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/metadata"
)

// fleetRow is what happens to a cluster of three with 500 clients.
func fleetRow(name, text string, fault func(ctx context.Context, s *stage) error) row {
	return row{
		name: "fleet-" + name, text: "%d clients: " + text, size: 500, members: 3, secure: true, measure: fleet,
		during: func(ctx context.Context, s *stage, say func(string) error) error {
			return s.ticking(ctx, func(ctx context.Context) error {
				if err := wait(ctx, s.during/5); err != nil {
					return err
				}
				if err := say("now"); err != nil {
					return err
				}
				return errors.Join(fault(ctx, s), wait(ctx, s.during))
			})
		},
		notes: "A client watches a key that changes five times a second, keeps a lease, and makes a linearizable read each\n" +
			"second. It is not well while it has no news, or no answer, for a second.",
		after: func(ctx context.Context, s *stage) error {
			for _, m := range s.Members() {
				if !m.Running() {
					if err := m.Restart(ctx); err != nil {
						return err
					}
				}
			}
			return nil
		},
	}
}

// fleetRows are the faults.
var fleetRows = []row{
	fleetRow("member", "a follower is killed", func(ctx context.Context, s *stage) error { return s.kill(ctx, false) }),
	fleetRow("leader", "the leader is killed", func(ctx context.Context, s *stage) error { return s.kill(ctx, true) }),
	fleetRow("election", "another member is made the leader", func(ctx context.Context, s *stage) error {
		follower, err := s.member(ctx, false)
		if err != nil {
			return err
		}
		leader, err := s.member(ctx, true)
		if err != nil {
			return err
		}
		token, err := pb.NewAuthClient(leader.Control()).Authenticate(ctx, &pb.AuthenticateRequest{Name: rootUser, Password: rootPassword})
		if err != nil {
			return err
		}
		ctx = metadata.AppendToOutgoingContext(ctx, rpctypes.TokenFieldNameGRPC, token.Token)
		_, err = pb.NewMaintenanceClient(leader.Control()).MoveLeader(ctx, &pb.MoveLeaderRequest{TargetID: follower.ID()})
		return err
	}),
	fleetRow("restart", "all members are killed and start again", func(ctx context.Context, s *stage) error {
		return errors.Join(s.Kill(), s.Restart(ctx))
	}),
	fleetRow("tokens", "all tokens end", func(ctx context.Context, s *stage) error {
		// AuthDisable makes every member forget all tokens: etcd's server/auth/store.go.
		if _, err := s.admin.AuthDisable(ctx); err != nil {
			return err
		}
		_, err := s.admin.AuthEnable(ctx)
		return err
	}),
}

func (s *stage) kill(ctx context.Context, leads bool) error {
	m, err := s.member(ctx, leads)
	if err != nil {
		return err
	}
	return m.Kill()
}

// ticking changes the key that the fleet watches, while f runs.
func (s *stage) ticking(ctx context.Context, f func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var puts sync.WaitGroup
	defer puts.Wait()
	defer cancel()
	puts.Go(func() {
		for ctx.Err() == nil {
			puts.Go(func() {
				call, cancel := context.WithTimeout(ctx, late)
				defer cancel()
				_, _ = s.admin.Put(call, tickKey, "")
			})
			_ = wait(ctx, tickTime)
		}
	})
	return f(ctx)
}

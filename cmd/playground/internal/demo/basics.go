package demo

import (
	"context"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/kv"
)

func (s *stage) connect(ctx context.Context) error {
	if s.local != nil {
		s.say("the client is given nothing but %s", s.local.URI())
		for _, r := range s.local.Records() {
			s.say("  %s", r)
		}
	}
	start := time.Now()
	c, err := s.dial(ctx)
	if err != nil {
		return err
	}
	s.client = c
	if err := c.WaitReady(ctx); err != nil {
		return err
	}
	s.say("connected in %v", round(time.Since(start)))
	members, err := pb.NewClusterClient(c.Conn()).MemberList(ctx, &pb.MemberListRequest{})
	if err != nil {
		return err
	}
	s.endpoints()
	if s.local == nil {
		return nil
	}
	if got, want := len(members.Members), len(s.local.Members.Members()); got != want || len(c.Endpoints()) != want {
		return fmt.Errorf("the cluster has %d members, the client knows %d endpoints, and there are %d", got, len(c.Endpoints()), want)
	}
	return nil
}

// endpoints tells what the client knows of each endpoint.
func (s *stage) endpoints() {
	for _, e := range s.client.Endpoints() {
		s.say("%s is %s", e.Address, e.Role)
	}
}

func (s *stage) putAndGet(ctx context.Context) error {
	key, value := s.prefix+"foo", "Hello World!"
	start := time.Now()
	put, err := s.client.Put(ctx, key, value)
	if err != nil {
		return err
	}
	s.say("put %s = %q: revision %d, %v", key, value, put.Header.Revision, round(time.Since(start)))
	start = time.Now()
	got, err := s.client.Get(ctx, key)
	if err != nil {
		return err
	}
	if len(got.Kvs) != 1 || string(got.Kvs[0].Value) != value {
		return fmt.Errorf("got %v, want %q", got.Kvs, value)
	}
	s.say("get %s = %q, %v", key, got.Kvs[0].Value, round(time.Since(start)))
	return nil
}

func (s *stage) getPrefix(ctx context.Context) error {
	for _, name := range []string{"web1", "web2", "web3"} {
		if _, err := s.client.Put(ctx, s.prefix+name, "up"); err != nil {
			return err
		}
	}
	got, err := s.client.Get(ctx, s.prefix+"web", kv.WithPrefix())
	if err != nil {
		return err
	}
	if got.Count != 3 {
		return fmt.Errorf("got %d keys, want 3", got.Count)
	}
	s.say("get %sweb --prefix: %d keys, from %s to %s", s.prefix, got.Count, got.Kvs[0].Key, got.Kvs[2].Key)
	return nil
}

func (s *stage) transaction(ctx context.Context) error {
	key := s.prefix + "web1"
	swap := func(from, to string) (bool, error) {
		resp, err := s.client.Txn(ctx).
			If(kv.Compare(kv.Value(key), "=", from)).
			Then(kv.OpPut(key, to)).
			Commit()
		if err != nil {
			return false, err
		}
		s.say("if %s = %q then put %q: succeeded = %v", key, from, to, resp.Succeeded)
		return resp.Succeeded, nil
	}
	first, err := swap("up", "down")
	if err != nil {
		return err
	}
	second, err := swap("up", "sideways")
	if err != nil {
		return err
	}
	if !first || second {
		return fmt.Errorf("the first swap: %v, the second, which came too late: %v", first, second)
	}
	return nil
}

func (s *stage) remove(ctx context.Context) error {
	resp, err := s.client.Delete(ctx, s.prefix+"web", kv.WithPrefix())
	if err != nil {
		return err
	}
	if resp.Deleted != 3 {
		return fmt.Errorf("%d keys were deleted, want 3", resp.Deleted)
	}
	s.say("del %sweb --prefix: %d keys", s.prefix, resp.Deleted)
	return nil
}

// sweep removes from the user's cluster what the demo has put there.
func (s *stage) sweep(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if _, err := s.client.Delete(ctx, s.prefix, kv.WithPrefix()); err != nil {
		s.say("keys below %s may be left: %v", s.prefix, err)
	}
}

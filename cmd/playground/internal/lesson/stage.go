package lesson

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/cmd/playground/internal/local"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/resolver"
	"github.com/getcd/getcd/wire"
)

// stage is what a lesson is given: three members, a DNS server, and a screen.
type stage struct {
	cluster *local.Cluster
	screen  *screen
	tracers []*wire.Tracer
	closers []func() error
}

func newStage(ctx context.Context, out io.Writer, raw bool) (*stage, error) {
	c, err := local.Start(ctx, cluster.Config{Links: true})
	if err != nil {
		return nil, err
	}
	s := &stage{cluster: c, screen: newScreen(out, raw)}
	if err := s.lead(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	for i, m := range c.Members.Members() {
		s.screen.names.member(i+1, m.ID())
		s.screen.names.replace(m.Endpoint(), fmt.Sprintf("m%d:2379", i+1))
	}
	return s, nil
}

// lead makes the last member the leader, so that the first one, which clients use, is a
// follower in each run.
func (s *stage) lead(ctx context.Context) error {
	members := s.cluster.Members.Members()
	last := members[len(members)-1]
	leader, err := s.cluster.Members.Leader(ctx)
	if err != nil || leader == last {
		return err
	}
	_, err = pb.NewMaintenanceClient(leader.Control()).MoveLeader(ctx, &pb.MoveLeaderRequest{TargetID: last.ID()})
	return err
}

// endpoints are those of the members.
func (s *stage) endpoints() []string { return s.cluster.Members.Endpoints() }

// m1 is the first member, a follower.
func (s *stage) m1() *cluster.Member { return s.cluster.Members.Members()[0] }

// config is the configuration of a client that knows m1 alone. So each call is one
// attempt, and a lesson prints the same on a machine that is so busy that a client would
// ask a second member.
func (s *stage) config() client.Config {
	return client.Config{Endpoints: s.endpoints()[:1], OneMember: true}
}

// connect returns a client that is traced on the screen. It is closed with the stage.
func (s *stage) connect(ctx context.Context) (*client.Client, error) {
	cfg := s.config()
	cfg.Trace = s.tracer()
	return s.dial(ctx, cfg)
}

// connectSilently is connect without the trace.
func (s *stage) connectSilently(ctx context.Context) (*client.Client, error) {
	return s.dial(ctx, s.config())
}

// connectToAll is connect for a client that knows all members, and uses m1 first.
func (s *stage) connectToAll(ctx context.Context) (*client.Client, error) {
	return s.dial(ctx, client.Config{
		Endpoints: s.endpoints(), Resolver: resolver.Options{KeepOrder: true}, Trace: s.tracer(),
	})
}

// connectThroughLinks returns a client whose links can be cut; trace may be nil.
func (s *stage) connectThroughLinks(ctx context.Context, trace *wire.Tracer) (*client.Client, local.Links, error) {
	links, err := s.cluster.Links()
	if err != nil {
		return nil, nil, err
	}
	s.closers = append(s.closers, links.Close)
	for i, e := range links.Endpoints() {
		s.screen.names.replace(e, fmt.Sprintf("m%d:2379", i+1))
	}
	c, err := s.dial(ctx, client.Config{
		Endpoints: links.Endpoints(), Resolver: resolver.Options{KeepOrder: true}, Trace: trace,
	})
	return c, links, err
}

// dial returns a client that uses the first endpoint, if the endpoints have an order.
func (s *stage) dial(ctx context.Context, cfg client.Config) (*client.Client, error) {
	for {
		c, err := client.Dial(ctx, cfg)
		if err != nil {
			return nil, err
		}
		if !cfg.Resolver.KeepOrder || s.active(c) == cfg.Endpoints[0] {
			s.closers = append(s.closers, c.Close)
			return c, nil
		}
		_ = c.Close() // another member was quicker; has no error to return
	}
}

// active returns the endpoint that the client uses.
func (s *stage) active(c *client.Client) string {
	for _, e := range c.Endpoints() {
		if e.Role == balancer.Active {
			return e.Address
		}
	}
	return ""
}

// tracer returns a tracer that shows on the screen the calls of a client, message by
// message. It is the one line of a client.Config that makes the protocol visible.
func (s *stage) tracer() *wire.Tracer {
	t := wire.New(s.screen.view(), wire.Options{Format: wire.Messages})
	s.tracers = append(s.tracers, t)
	return t
}

// say prints words, after all that has happened so far.
func (s *stage) say(format string, args ...any) {
	s.flush()
	s.screen.say(fmt.Sprintf(format, args...))
}

// show chooses which methods' calls are shown from now on; none is all.
func (s *stage) show(methods ...string) {
	s.flush()
	s.screen.show(methods)
}

func (s *stage) flush() {
	for _, t := range s.tracers {
		t.Flush(-1)
	}
}

// close ends the clients and the cluster. What they say in the end is not shown.
func (s *stage) close() error {
	s.flush()
	s.screen.end()
	var errs []error
	for _, c := range slices.Backward(s.closers) {
		errs = append(errs, c())
	}
	return errors.Join(append(errs, s.cluster.Close(), s.screen.err)...)
}

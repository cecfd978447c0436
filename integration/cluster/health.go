package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

const (
	// checkTimeout limits one health check, so that a member that hangs is asked
	// again.
	checkTimeout = 2 * time.Second
	// checkInterval is the pause between two checks.
	checkInterval = 25 * time.Millisecond
)

// dialControl prepares a connection to a member's control socket. It connects
// when it is first used, and again soon after the member has come back.
func dialControl(path string) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///control",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		}),
		grpc.WithNoProxy(),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: checkInterval, Multiplier: 1, MaxDelay: checkInterval},
			MinConnectTimeout: checkTimeout,
		}))
}

// Control returns a connection to this member alone, for etcd's generated stubs.
// It does not use the member's client port: TLS, client certificates and faults
// on links do not apply to it, but authentication does. The cluster closes it.
func (m *Member) Control() grpc.ClientConnInterface { return m.control }

// WaitHealthy waits until every member answers a linearizable read, which needs a
// leader and a quorum, and the member list has its current address. It fails if
// ctx ends, and at once if a member is not running.
func (c *Cluster) WaitHealthy(ctx context.Context) error {
	return c.each(func(m *Member) error { return m.waitHealthy(ctx) })
}

// WaitHealthy waits like Cluster.WaitHealthy, for one member.
func (m *Member) WaitHealthy(ctx context.Context) error { return m.waitHealthy(ctx) }

func (m *Member) waitHealthy(ctx context.Context) error {
	p, err := m.live("wait for")
	if err != nil {
		return fmt.Errorf("%w%s", err, m.logSuffix())
	}
	ticker := time.NewTicker(checkInterval)
	defer ticker.Stop()
	for {
		err := m.check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("cluster: %s is not healthy: %w (last check: %w)%s", m.name, context.Cause(ctx), err, m.logSuffix())
		case <-p.exited:
			return fmt.Errorf("cluster: %s exited before it was healthy: %w%s", m.name, p.err, m.logSuffix())
		case <-ticker.C:
		}
	}
}

// check asks the member for a linearizable read and for its own entry in the
// member list, and a learner for what it can serve.
func (m *Member) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if m.Learner() {
		_, err := etcdserverpb.NewKVClient(m.control).Range(ctx, &etcdserverpb.RangeRequest{Key: []byte("health"), CountOnly: true, Serializable: true})
		if needsAuthentication(err) {
			return nil
		}
		return err
	}
	ctx = metadata.AppendToOutgoingContext(ctx, rpctypes.MetadataRequireLeaderKey, rpctypes.MetadataHasLeader)
	read := etcdserverpb.RangeRequest{Key: []byte("health"), CountOnly: true}
	answer, err := etcdserverpb.NewKVClient(m.control).Range(ctx, &read)
	if needsAuthentication(err) {
		// The read waited for the quorum before the server refused it.
		return nil
	}
	if err != nil {
		return err
	}
	list, err := etcdserverpb.NewClusterClient(m.control).MemberList(ctx, &etcdserverpb.MemberListRequest{})
	if needsAuthentication(err) {
		return nil
	}
	if err != nil {
		return err
	}
	id := answer.GetHeader().GetMemberId()
	for _, listed := range list.GetMembers() {
		if listed.GetID() != id {
			continue
		}
		if want := m.ClientURL(); !slices.Equal(listed.GetClientURLs(), []string{want}) {
			return fmt.Errorf("the member list has the client URLs %q, not yet %q", listed.GetClientURLs(), want)
		}
		m.mu.Lock()
		m.id = id
		m.mu.Unlock()
		return nil
	}
	return fmt.Errorf("the member list lacks member %x", id)
}

// needsAuthentication reports whether err is the server's response to a request
// without a token while authentication is on.
func needsAuthentication(err error) bool {
	err = rpctypes.Error(err)
	return errors.Is(err, rpctypes.ErrUserEmpty) ||
		errors.Is(err, rpctypes.ErrPermissionDenied) ||
		errors.Is(err, rpctypes.ErrInvalidAuthToken)
}

// errNoLeader is the reason why Leader keeps asking.
var errNoLeader = errors.New("no member is the leader of a quorum")

// Leader returns the member that a quorum of members follows, and waits for one
// until ctx ends. A leader that is cut off from the others counts until an
// election timeout has passed. It works while authentication is on.
func (c *Cluster) Leader(ctx context.Context) (*Member, error) {
	ticker := time.NewTicker(checkInterval)
	defer ticker.Stop()
	for {
		if leader := c.leaderNow(ctx); leader != nil {
			return leader, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("cluster: %w: %w", errNoLeader, context.Cause(ctx))
		case <-ticker.C:
		}
	}
}

// leaderNow asks every member once and returns the leader, or nil.
func (c *Cluster) leaderNow(ctx context.Context) *Member {
	ctx, cancel := context.WithTimeout(ctx, 10*checkInterval)
	defer cancel()
	members := slices.DeleteFunc(c.Members(), func(m *Member) bool { return m.Learner() })
	states := make([]raftState, len(members))
	var wg sync.WaitGroup
	for i, m := range members {
		wg.Go(func() {
			// A member that does not answer does not count.
			if state, err := m.state(ctx); err == nil {
				states[i] = state
			}
		})
	}
	wg.Wait()
	type vote struct{ leader, term uint64 }
	votes := make(map[vote]int)
	for _, s := range states {
		votes[vote{s.Leader, s.Term}]++
	}
	for i, s := range states {
		// Followers believe in a dead leader for an election timeout. The
		// leader's own response proves that it lives.
		if s.Leader != 0 && s.Leader == s.Member && votes[vote{s.Leader, s.Term}] >= c.quorum() {
			return members[i]
		}
	}
	return nil
}

// quorum returns the number of voting members that make a majority.
func (c *Cluster) quorum() int {
	n := 0
	for _, m := range c.Members() {
		if !m.Learner() {
			n++
		}
	}
	return n/2 + 1
}

// quorumRuns reports whether enough members to elect a leader are running and not
// paused.
func (c *Cluster) quorumRuns() bool {
	n := 0
	for _, m := range c.Members() {
		m.mu.Lock()
		if m.proc != nil && m.proc.running() && !m.paused && !m.learner {
			n++
		}
		m.mu.Unlock()
	}
	return n >= c.quorum()
}

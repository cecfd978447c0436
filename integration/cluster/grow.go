package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// removedTimeout is how long a removed member has to exit by itself. etcd takes a
// second for it, and then finishes its clients' requests as in Terminate.
const removedTimeout = 20 * time.Second

// AddLearner adds a member that does not vote (a learner), starts it, and returns
// it when it serves what a learner can serve: serializable reads and its status.
// Its client port is port, which may be that of a removed member, or any free one
// if port is 0. The request goes through via, which is some member's Control
// unless authentication is on; nil means the first member's Control. etcd refuses
// the request if members were disconnected a moment ago; AddLearner then repeats
// it until ctx ends. If AddLearner fails, the cluster is unchanged, unless the
// error says otherwise.
func (c *Cluster) AddLearner(ctx context.Context, via grpc.ClientConnInterface, port uint16) (_ *Member, err error) {
	c.growing.Lock()
	defer c.growing.Unlock()
	if err := c.vacate(port); err != nil {
		return nil, err
	}
	m, err := newMember(c, fmt.Sprintf("m%d", c.named+1), port)
	if err != nil {
		return nil, err
	}
	c.named++
	m.learner, m.joins = true, true
	if err := c.linkMember(m, c.Members()); err != nil {
		return nil, errors.Join(err, c.unlinkMember(m), m.close())
	}
	if via == nil {
		via = c.Members()[0].control
	}
	members := etcdserverpb.NewClusterClient(via)
	var id uint64
	err = again(ctx, func(ctx context.Context, doubt bool) error {
		added, err := members.MemberAdd(ctx, &etcdserverpb.MemberAddRequest{PeerURLs: []string{m.peerURL()}, IsLearner: true})
		id = added.GetMember().GetID()
		if doubt && errors.Is(rpctypes.Error(err), rpctypes.ErrPeerURLExist) {
			id, err = listed(ctx, members, m.peerURL())
		}
		return err
	})
	if err != nil {
		err = fmt.Errorf("cluster: adding %s: %w", m.name, err)
		return nil, errors.Join(err, forget(ctx, members, m.peerURL()), c.unlinkMember(m), m.close())
	}
	m.mu.Lock()
	m.id = id
	m.mu.Unlock()
	c.mu.Lock()
	c.members = append(c.members, m)
	c.mu.Unlock()
	err = m.startServing(ctx)
	if err == nil {
		err = m.waitHealthy(ctx)
	}
	if err != nil {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), removedTimeout)
		defer cancel()
		return nil, errors.Join(err, c.remove(undo, via, m))
	}
	return m, nil
}

// vacate frees the port if it belongs to a removed member.
func (c *Cluster) vacate(port uint16) error {
	c.mu.Lock()
	i := slices.IndexFunc(c.former, func(m *Member) bool { return port != 0 && m.Port() == int(port) })
	if i < 0 {
		c.mu.Unlock()
		return nil
	}
	m := c.former[i]
	c.former = slices.Delete(c.former, i, i+1)
	c.mu.Unlock()
	return errors.Join(c.unlinkMember(m), m.close())
}

// forget removes the member with that peer URL, if it was added but the response
// was lost.
func forget(ctx context.Context, members etcdserverpb.ClusterClient, peerURL string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
	defer cancel()
	id, err := listed(ctx, members, peerURL)
	if err != nil {
		return fmt.Errorf("cluster: checking whether it was added nevertheless: %w", err)
	}
	if id == 0 {
		return nil
	}
	_, err = members.MemberRemove(ctx, &etcdserverpb.MemberRemoveRequest{ID: id})
	return err
}

// listed returns the ID of the member with that peer URL; 0 if there is none.
func listed(ctx context.Context, members etcdserverpb.ClusterClient, peerURL string) (uint64, error) {
	list, err := members.MemberList(ctx, &etcdserverpb.MemberListRequest{Linearizable: true})
	if err != nil {
		return 0, err
	}
	for _, one := range list.GetMembers() {
		if slices.Contains(one.GetPeerURLs(), peerURL) {
			return one.GetID(), nil
		}
	}
	return 0, nil
}

// Learner reports whether the member is a learner: AddLearner has added it, and
// it was not promoted.
func (m *Member) Learner() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.learner
}

// Promote makes a learner a voting member. It returns when the member votes, for
// which it has to catch up with the leader. See AddLearner about via.
func (m *Member) Promote(ctx context.Context, via grpc.ClientConnInterface) error {
	c := m.c
	c.growing.Lock()
	defer c.growing.Unlock()
	if via == nil {
		via = c.Members()[0].control
	}
	members := etcdserverpb.NewClusterClient(via)
	err := again(ctx, func(ctx context.Context, doubt bool) error {
		_, err := members.MemberPromote(ctx, &etcdserverpb.MemberPromoteRequest{ID: m.ID()})
		if doubt && errors.Is(rpctypes.Error(err), rpctypes.ErrMemberNotLearner) {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("cluster: promoting %s: %w", m.name, err)
	}
	m.mu.Lock()
	m.learner = false
	m.mu.Unlock()
	return m.waitHealthy(ctx)
}

// Remove removes the member from the cluster permanently, and returns when its
// process is gone: a removed member serves for about a second more and then exits
// by itself. From then on its endpoint refuses connections, as long as the
// cluster lives. See AddLearner about via; nil means the first other member's
// Control.
func (m *Member) Remove(ctx context.Context, via grpc.ClientConnInterface) error {
	c := m.c
	c.growing.Lock()
	defer c.growing.Unlock()
	if via == nil {
		for _, other := range c.Members() {
			if other != m {
				via = other.control
				break
			}
		}
	}
	if via == nil {
		return fmt.Errorf("cluster: %s is the only member and can't be removed", m.name)
	}
	return c.remove(ctx, via, m)
}

// remove is Remove. The caller must hold growing.
func (c *Cluster) remove(ctx context.Context, via grpc.ClientConnInterface, m *Member) error {
	m.op.Lock()
	defer m.op.Unlock()
	p := m.beginEnd() // it may exit from now on
	members := etcdserverpb.NewClusterClient(via)
	err := again(ctx, func(ctx context.Context, _ bool) error {
		_, err := members.MemberRemove(ctx, &etcdserverpb.MemberRemoveRequest{ID: m.ID()})
		if errors.Is(rpctypes.Error(err), rpctypes.ErrMemberNotFound) {
			return nil // an earlier request did it, but its response was lost
		}
		return err
	})
	if err != nil {
		m.mu.Lock()
		m.ending = false
		m.mu.Unlock()
		return fmt.Errorf("cluster: removing %s: %w", m.name, err)
	}
	if p != nil {
		timeout := time.NewTimer(removedTimeout)
		defer timeout.Stop()
		select {
		case <-p.watched:
		case <-timeout.C:
			err = fmt.Errorf("cluster: %s did not exit within %v of its removal and was killed", m.name, removedTimeout)
		case <-ctx.Done():
			err = fmt.Errorf("cluster: waiting for the end of %s, which was removed: %w", m.name, context.Cause(ctx))
		}
		p.kill()
		<-p.watched
	}
	c.mu.Lock()
	c.members = slices.DeleteFunc(slices.Clone(c.members), func(one *Member) bool { return one == m })
	c.former = append(c.former, m) // its port stays reserved
	c.mu.Unlock()
	return err
}

// changeTimeout limits one request for a change. raft drops a request that is passed on to a
// leader that leads no more, and etcd does not limit how long it waits for what was dropped.
const changeTimeout = 5 * time.Second

// again repeats f as long as etcd says that the cluster is not ready for a change, or does not
// answer. doubt says that an earlier request was not answered, and so may have been applied.
func again(ctx context.Context, f func(ctx context.Context, doubt bool) error) error {
	tick := time.NewTicker(4 * checkInterval)
	defer tick.Stop()
	for doubt := false; ; {
		one, cancel := context.WithTimeout(ctx, changeTimeout)
		err := f(one, doubt)
		cancel()
		unanswered := (status.Code(err) == codes.DeadlineExceeded || timedOut(err)) && ctx.Err() == nil
		if !notReady(err) && !unanswered {
			return err
		}
		doubt = doubt || unanswered
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

// timedOut reports whether a member has given up waiting for its own request's fate.
func timedOut(err error) bool {
	err = rpctypes.Error(err)
	return errors.Is(err, rpctypes.ErrTimeout) ||
		errors.Is(err, rpctypes.ErrTimeoutDueToLeaderFail) ||
		errors.Is(err, rpctypes.ErrTimeoutDueToConnectionLost)
}

// notReady reports whether err may go away soon: members were disconnected, a
// learner is behind, or another membership change is in progress.
func notReady(err error) bool {
	err = rpctypes.Error(err)
	return errors.Is(err, rpctypes.ErrUnhealthy) ||
		errors.Is(err, rpctypes.ErrMemberNotEnoughStarted) ||
		errors.Is(err, rpctypes.ErrMemberLearnerNotReady) ||
		errors.Is(err, rpctypes.ErrNoLeader) ||
		errors.Is(err, rpctypes.ErrLeaderChanged)
}

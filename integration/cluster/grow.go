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
)

// removedTimeout is how long a removed member has to exit by itself. etcd takes a
// second, and then finishes its clients' requests as in Terminate.
const removedTimeout = 20 * time.Second

// AddLearner adds a member that does not vote to the cluster (a learner), starts
// it, and returns it when it serves its clients what a learner can: serializable
// reads and its status. Its client port is the given one, which may be that of a
// member that was removed, or any free one when that is 0. It asks for that through via, which is some member's
// Control unless authentication is on; nil means the first member's. etcd refuses
// while members were apart a moment ago: AddLearner then asks again until ctx
// ends. When it fails the cluster is as before, unless the error says otherwise.
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
	var added *etcdserverpb.MemberAddResponse
	err = again(ctx, func() error {
		added, err = members.MemberAdd(ctx, &etcdserverpb.MemberAddRequest{PeerURLs: []string{m.peerURL()}, IsLearner: true})
		return err
	})
	if err != nil {
		err = fmt.Errorf("cluster: adding %s: %w", m.name, err)
		return nil, errors.Join(err, forget(ctx, members, m.peerURL()), c.unlinkMember(m), m.close())
	}
	m.mu.Lock()
	m.id = added.GetMember().GetID()
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

// vacate makes the port free if a member had it that was removed.
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

// forget removes the member with that peer URL if it was added without an answer
// that says so.
func forget(ctx context.Context, members etcdserverpb.ClusterClient, peerURL string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
	defer cancel()
	list, err := members.MemberList(ctx, &etcdserverpb.MemberListRequest{Linearizable: true})
	if err != nil {
		return fmt.Errorf("cluster: looking whether it was added all the same: %w", err)
	}
	for _, one := range list.GetMembers() {
		if slices.Contains(one.GetPeerURLs(), peerURL) {
			_, err := members.MemberRemove(ctx, &etcdserverpb.MemberRemoveRequest{ID: one.GetID()})
			return err
		}
	}
	return nil
}

// Learner says that the member does not vote: it came by AddLearner, and was not
// promoted.
func (m *Member) Learner() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.learner
}

// Promote makes a learner a voting member, and returns when it is one, which takes
// until it has caught up with the leader. About via see AddLearner.
func (m *Member) Promote(ctx context.Context, via grpc.ClientConnInterface) error {
	c := m.c
	c.growing.Lock()
	defer c.growing.Unlock()
	if via == nil {
		via = c.Members()[0].control
	}
	members := etcdserverpb.NewClusterClient(via)
	err := again(ctx, func() error {
		_, err := members.MemberPromote(ctx, &etcdserverpb.MemberPromoteRequest{ID: m.ID()})
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

// Remove removes the member from the cluster for good, and returns when its
// process is gone: a removed member serves for about a second more, and then exits
// by itself. Its endpoint refuses connections from then on, as long as the cluster
// lives. About via see AddLearner; nil means the first other member's.
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

// remove is Remove; the caller holds growing.
func (c *Cluster) remove(ctx context.Context, via grpc.ClientConnInterface, m *Member) error {
	m.op.Lock()
	defer m.op.Unlock()
	p := m.beginEnd() // it may exit from now on
	members := etcdserverpb.NewClusterClient(via)
	err := again(ctx, func() error {
		_, err := members.MemberRemove(ctx, &etcdserverpb.MemberRemoveRequest{ID: m.ID()})
		if errors.Is(rpctypes.Error(err), rpctypes.ErrMemberNotFound) {
			return nil // asked before, and not answered
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
	c.former = append(c.former, m) // its port stays its own
	c.mu.Unlock()
	return err
}

// again repeats f while etcd says that the cluster is not ready for a change.
func again(ctx context.Context, f func() error) error {
	tick := time.NewTicker(4 * checkInterval)
	defer tick.Stop()
	for {
		err := f()
		if !notReady(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

// notReady says whether err is an answer that may be another one soon: members
// were apart, a learner lags behind, a change of the membership is under way.
func notReady(err error) bool {
	err = rpctypes.Error(err)
	return errors.Is(err, rpctypes.ErrUnhealthy) ||
		errors.Is(err, rpctypes.ErrMemberNotEnoughStarted) ||
		errors.Is(err, rpctypes.ErrMemberLearnerNotReady) ||
		errors.Is(err, rpctypes.ErrNoLeader) ||
		errors.Is(err, rpctypes.ErrLeaderChanged)
}

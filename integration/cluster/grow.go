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
	list, err := members.MemberList(ctx, &etcdserverpb.MemberListRequest{Linearizable: true})
	if err != nil {
		return fmt.Errorf("cluster: checking whether it was added nevertheless: %w", err)
	}
	for _, one := range list.GetMembers() {
		if slices.Contains(one.GetPeerURLs(), peerURL) {
			_, err := members.MemberRemove(ctx, &etcdserverpb.MemberRemoveRequest{ID: one.GetID()})
			return err
		}
	}
	return nil
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
	err := again(ctx, func() error {
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

// again repeats f as long as etcd says that the cluster is not ready for a
// change.
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

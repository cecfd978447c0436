package etcdtest

import (
	"maps"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// Backup is the cluster's keys and leases at one moment.
type Backup struct {
	rev, compactRev int64
	history         map[string][]*mvccpb.KeyValue
	events          []*mvccpb.Event
	leases          map[int64]int64 // their times to live in seconds
}

// Backup takes a backup, for Restore.
func (c *Cluster) Backup() *Backup {
	s := c.store
	s.mu.Lock()
	defer s.mu.Unlock()
	b := &Backup{rev: s.rev, compactRev: s.compactRev, events: slices.Clone(s.events)}
	b.history = make(map[string][]*mvccpb.KeyValue, len(s.history))
	for key, kvs := range s.history {
		b.history[key] = slices.Clone(kvs)
	}
	b.leases = make(map[int64]int64, len(s.leases))
	for id, l := range s.leases {
		b.leases[id] = l.ttl
	}
	return b
}

// Restore puts the cluster back to a backup, in raft term 2, as a restored
// cluster begins. Its ID stays, which is what happens when the members and the
// cluster token are the same as before. A lease has all of its time to live again.
// Kill all members first: a process does not see its data go back.
func (c *Cluster) Restore(b *Backup) {
	if b == nil {
		panic("etcdtest: Restore: the backup is nil; Cluster.Backup takes one")
	}
	s := c.store
	s.mu.Lock()
	s.rev, s.compactRev = b.rev, b.compactRev
	s.events = slices.Clone(b.events)
	s.history = maps.Clone(b.history)
	for key, kvs := range s.history {
		s.history[key] = slices.Clone(kvs)
	}
	s.forgetLeasesLocked()
	for id, ttl := range b.leases {
		s.beginLeaseLocked(id, ttl)
	}
	for key := range s.history {
		if kv := s.atLocked(key, s.rev); kv != nil {
			s.attachLocked(kv.Lease, key)
		}
	}
	s.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.term = 2
}

// ClusterID returns the cluster's ID, as response headers carry it.
func (c *Cluster) ClusterID() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.id
}

// SetClusterID makes the members answer with another cluster's ID from now on.
func (c *Cluster) SetClusterID(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.id = id
}

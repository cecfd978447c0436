// Package etcdtest is a small etcd v3 cluster in memory, for tests.
//
// Its members implement etcd's generated gRPC services over one shared store,
// and are reached through in-memory connections, so that a test needs no port,
// no disk and no wall clock: it also runs inside a testing/synctest bubble.
//
//	c := etcdtest.NewCluster(3)
//	defer c.Close()
//	conn, err := grpc.NewClient("passthrough:///"+c.Member(0).Addr(),
//		grpc.WithContextDialer(c.Dialer()), ...)
//
// What it answers, errors included, is what etcd 3.7 answers; where the two
// differ, the difference is written at the code. There is no raft: every member
// sees every write at once, and leadership is what the test says it is.
//
// Not served, but for Intercept and InterceptStream: changes of members, all of
// Maintenance but Status, and Election. They are Unimplemented.
//
// # Faults
//
// Each Member can be killed and started again (Kill, Start), frozen below
// HTTP/2 as a stopped process is (Freeze, Thaw), made to take requests without
// answering (Hang, Resume), cut off from its leader (SetNoLeader), made a
// learner (SetLearner) or not serving (SetServing), or scripted call by call
// (Intercept, InterceptStream) and message by message (Tap). The Cluster's data
// can be put back to an earlier state (Backup, Restore) and its ID changed
// (SetClusterID), and how watches are answered be varied (SetWatchBatch,
// SetWatchFragment, SetProgressInterval). Faults are set from the test's
// goroutine and take effect before the method returns, which makes tests
// deterministic. Calls and Messages count what a member has received.
//
// Files: cluster.go and member.go hold the lifecycle, faults.go and backup.go
// the faults, interceptor.go the place where they act and tap.go the hook for
// messages; rotation.go a simple failover connection; store.go the
// revisions, and kv.go, txn.go, lease.go, watch.go, lock.go, auth.go and
// maintenance.go one service each.
package etcdtest

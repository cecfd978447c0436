// Package etcdtest is an etcd v3 cluster in memory, for tests, as net/http/httptest is a
// web server.
//
//	func TestGreeting(t *testing.T) {
//		c := etcdtest.Start(t, 3) // three members; the test's end closes them
//		cl, err := client.New(client.Config{Endpoints: c.Addrs(), DialOptions: c.DialOptions()})
//		...
//		c.Leader().Kill() // what does the program do now?
//	}
//
// Members implement etcd's generated gRPC services over one shared store. They are
// reached through connections in memory, and so need no port, no disk and no wall clock:
// a cluster starts in less than a millisecond, and runs inside a testing/synctest bubble,
// where leases expire and timeouts pass in virtual time. Any gRPC client can use it:
// getcd's client, etcd's own clientv3 (both have Endpoints and DialOptions in their
// configurations), or a generated stub on Cluster.Conn.
//
// # What it is, and what it is not
//
// What it answers, errors included, is what etcd 3.7 answers, and
// integration/etcdtest_test.go sends both the same requests; where the two differ, the
// difference is written at the code. Served are KV, Watch, Lease, Auth, Lock, the health
// service, MemberList of Cluster and Status of Maintenance. With authentication on, users
// may do what their roles permit.
//
// Not served, but for Intercept and InterceptStream: changes of members, all of
// Maintenance but Status, and Election. They are Unimplemented.
//
// There is no raft. Every member sees every write at once, leadership is what the test
// says it is, and a cluster with one member left goes on serving. Nothing is written to
// disk: a member that is killed and started again has all its data. So it is good for
// testing what a program does, and what it does about faults; it is no proof that a
// program is right about etcd's consensus, and no measure of etcd's speed. For these run
// etcd itself.
//
// # Faults
//
// Each Member can be
//
//   - killed and started again (Kill, Start), and moved (SetAddr),
//   - frozen below HTTP/2, as a stopped process is (Freeze, Thaw),
//   - made to take requests without answering (Hang, Resume),
//   - cut off from its leader (SetNoLeader), made a learner (SetLearner), or not serving
//     (SetServing),
//   - scripted call by call (Intercept, InterceptStream) and message by message (Tap).
//
// The Cluster's data can be put back to an earlier state (Backup, Restore), its ID can be
// changed (SetClusterID), its leader (Elect), and its tokens can expire (ExpireTokens). How
// watches are answered can be varied within what etcd may do (SetWatchBatch,
// SetWatchFragment, SetProgressInterval).
//
// Faults are set from the test's goroutine and take effect before the method returns,
// which makes tests deterministic. Calls, Messages and LastMetadata tell what a member has
// received.
//
// # Misuse
//
// Start and Conn fail the test. What has neither a test nor an error to return panics, and
// says what would be right, as httptest.NewServer does: NewCluster, Member, Elect and
// Restore.
//
// # Stability
//
// Names and meanings stay within a major version of this module. Answers do not: they
// follow etcd's, and a difference from etcd is a bug. What is Unimplemented today may be
// served tomorrow.
package etcdtest

// Package etcdtest is an etcd v3 cluster in memory, for tests. It is to etcd what
// net/http/httptest is to a web server.
//
//	func TestGreeting(t *testing.T) {
//		c := etcdtest.Start(t, 3) // three members; they stop when the test ends
//		cl, err := client.New(client.Config{Endpoints: c.Addrs(), DialOptions: c.DialOptions()})
//		...
//		c.Leader().Kill() // what does the program do now?
//	}
//
// The members implement etcd's generated gRPC services over one shared store. Clients
// reach them through connections in memory, so a test needs no port, no disk and no real
// time. A cluster starts in less than a millisecond. It also runs inside a
// testing/synctest bubble, where leases expire and timeouts pass in virtual time.
//
// Any gRPC client can use a cluster: getcd's client and etcd's own clientv3, which both
// have Endpoints and DialOptions in their configurations, or a generated stub on the
// connection that Cluster.Conn returns.
//
// # What it is, and what it is not
//
// Members serve KV, Watch, Lease, Auth, Lock, the health service, MemberList of Cluster, and
// Status of Maintenance. When authentication is on, users may do what their roles permit.
// Changes of members, the rest of Maintenance, and Election are Unimplemented, unless a
// test answers them itself (Intercept, InterceptStream).
//
// Answers, errors included, are those of etcd 3.7. The tests of this module send the same
// requests to etcd and compare (integration/etcdtest_test.go). Where the two differ on
// purpose, a comment in the code says so.
//
// There is no raft. Every member sees every write at once, the test decides who leads, and
// a cluster of which one member is left still serves. Nothing is written to disk: a member
// that is killed and started again has all its data. So the package shows what a program
// does, and how it copes with faults. It cannot show that a program is right about etcd's
// consensus, nor how fast etcd is. For that, run etcd itself.
//
// # Faults
//
// A test can do the following to each Member:
//
//   - kill it and start it again (Kill, Start), or move it (SetAddr);
//   - freeze it below HTTP/2, like a stopped process (Freeze, Thaw);
//   - let it accept requests without answering them (Hang, Resume);
//   - cut it off from its leader (SetNoLeader), make it a learner (SetLearner), or have it
//     say that it is not serving (SetServing);
//   - script its calls (Intercept, InterceptStream) and the messages of its streams (Tap).
//
// A test can put the Cluster's data back to an earlier state (Backup, Restore), change its
// leader (Elect) or its ID (SetClusterID), and let all tokens expire (ExpireTokens). It can
// also vary how watches are answered, within what etcd may do (SetWatchBatch,
// SetWatchFragment, SetProgressInterval).
//
// A fault has taken effect when its method returns, which makes tests deterministic. Calls,
// Messages and LastMetadata tell what a member has received.
//
// # Misuse
//
// Start and Conn fail the test. NewCluster, Member, Elect and Restore have neither a test to
// fail nor an error to return: like httptest.NewServer, they panic. The text says what would
// be right.
//
// # Stability
//
// Names and their meanings stay the same within a major version of this module. Answers
// follow etcd's: a difference from etcd is a bug, and is mended. What is Unimplemented now
// may be served later.
package etcdtest

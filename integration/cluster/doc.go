// Package cluster runs real etcd clusters for tests and demonstrations. Each
// member is a separate process, so it can be killed, paused and restarted as if
// it had its own machine. There is no binary to download: the program that uses
// this package starts itself again, and [Main] turns the copy into a member. With
// the environment variable GETCD_TEST_CHILD another program becomes the members, such as
// one without the race detector; see command integration/child.
//
//	func TestMain(m *testing.M) {
//		cluster.Main() // must come first
//		os.Exit(m.Run())
//	}
//
//	func TestSomething(t *testing.T) {
//		c, err := cluster.Start(t.Context(), cluster.Config{})
//		if err != nil {
//			t.Fatal(err)
//		}
//		defer c.Stop()
//		useEtcd(c.Endpoints())
//		c.Members()[0].Kill()
//		...
//	}
//
// # Other versions of etcd
//
// Config.Server, or the environment variable GETCD_ETCD, names an etcd binary
// that members run instead of the built-in server. Everything below works with
// such a binary, too. It was tried with etcd 3.4 and later.
//
// # What can be done to a member
//
// [Member.Kill] is a crash, [Member.Terminate] a clean shutdown, [Member.Pause]
// and [Member.Continue] a machine that hangs and recovers. With Config.Disks,
// [Member.StallDisk] and [Member.HealDisk] are a disk that hangs.
// [Member.Restart] restarts a member with its data on the same ports,
// [Member.RestartOn] and [Cluster.Move] on other ports. Nothing here needs root.
//
// # Members that come and go
//
// [Cluster.AddLearner] adds a member that does not vote, [Member.Promote] lets it
// vote, and [Member.Remove] removes a member.
//
// # What can be done to the network
//
// With Config.Links there is a proxy in this process in front of every member's
// client port and between every two members. Each proxy can delay or swallow
// bytes, or cut the connections:
//
//	m.ClientLink().Blackhole()               // from its clients
//	m.CutPeers()                             // from all other members
//	c.PeerLink(a, b).SetDelay(time.Second, 0) // what a dials to b
//	c.Heal()
//
// Peers then communicate over UNIX sockets, and the member list has peer URLs
// like unix://m1:2380; links.go explains why. Package proxy documents how
// realistic the faults are. Health checks, [Cluster.Leader] and [Member.Control]
// do not use the links, and work whatever the links do. Without Config.Links all
// connections are direct; use that to measure performance.
//
// # No member outlives its program
//
// A member exits when its standard input, a pipe from the program, ends. That
// happens however the program dies. A paused member cannot notice it, and neither
// can an etcd binary. On Linux the kernel then kills the member (Pdeathsig). On
// other systems a paused member stays until somebody continues it.
//
// # Ports
//
// All ports are loopback ports that were free when the cluster started. On Linux
// they stay reserved while a member is down (see package loopback). On other
// systems Start tries again if a port is taken.
package cluster

// Package cluster runs real etcd clusters for tests and demonstrations. Each
// member is a process of its own, so that it can be killed, paused and
// restarted as on a machine of its own, and there is no binary to download:
// the program that uses this package starts itself again, and [Main] makes the
// copy a member.
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
// Config.Server, or the environment variable GETCD_ETCD, names an etcd binary that
// members run instead of the built-in server. All of the below can be done to them
// too. Etcd 3.4 and later were tried.
//
// # What can be done to a member
//
// [Member.Kill] is a crash, [Member.Terminate] a clean shutdown,
// [Member.Pause] and [Member.Continue] a machine that hangs and recovers.
// With Config.Disks, [Member.StallDisk] and [Member.HealDisk] are a disk that hangs.
// [Member.Restart] brings a member back with its data on the same ports,
// [Member.RestartOn] and [Cluster.Move] on others. None of it needs root.
//
// # Members that come and go
//
// [Cluster.AddLearner] makes the cluster larger by a member that does not vote,
// [Member.Promote] lets it vote, and [Member.Remove] takes any member away.
//
// # What can be done to the network
//
// With Config.Links a proxy in this process stands in front of every member's
// client port and between every two members, and each can delay, swallow or
// cut what passes it:
//
//	m.ClientLink().Blackhole()               // from its clients
//	m.CutPeers()                             // from all other members
//	c.PeerLink(a, b).SetDelay(time.Second, 0) // what a dials to b
//	c.Heal()
//
// Peers then speak over UNIX sockets, and the member list shows peer URLs like
// unix://m1:2380; links.go tells why. Package proxy tells how faithful the
// faults are. Health checks, [Cluster.Leader] and [Member.Control] go another
// way and work whatever the links do. Without Config.Links every byte takes
// the direct way, which is what to measure performance with.
//
// # No member outlives its program
//
// A member exits when its standard input, a pipe from the program, ends, which
// it does however the program dies. A paused member cannot notice that, nor can
// one that is another binary; on Linux the kernel kills it (Pdeathsig), on other
// systems a paused one stays until somebody continues it.
//
// # Ports
//
// All ports are loopback ports that were free when the cluster started. On
// Linux they stay the cluster's own while a member is down (see package
// loopback), elsewhere Start tries again when it finds one taken.
package cluster

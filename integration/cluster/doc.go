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
// # What can be done to a member
//
// [Member.Kill] is a crash, [Member.Terminate] a clean shutdown,
// [Member.Pause] and [Member.Continue] a machine that hangs and recovers.
// [Member.Restart] brings a member back with its data on the same ports,
// [Member.RestartOn] and [Cluster.Move] on others. None of it needs root.
//
// # No member outlives its program
//
// A member exits when its standard input, a pipe from the program, ends, which
// it does however the program dies. A paused member cannot notice that; on
// Linux the kernel kills it (Pdeathsig), on other systems it stays until
// somebody continues it.
//
// # Ports
//
// All ports are loopback ports that were free when the cluster started. On
// Linux they stay the cluster's own while a member is down (see package
// loopback), elsewhere Start tries again when it finds one taken.
package cluster

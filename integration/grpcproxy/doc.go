// Package grpcproxy runs etcd's own gRPC proxy, "etcd grpc-proxy start", for tests
// and benches. It is a process of its own, which can be killed and started again,
// and there is no binary to download: the program that uses this package starts
// itself again, and [Main] makes the copy a proxy.
//
//	func TestMain(m *testing.M) {
//		cluster.Main()
//		grpcproxy.Main() // must come before anything else, too
//		os.Exit(m.Run())
//	}
//
//	func TestSomething(t *testing.T) {
//		c := startCluster(t)
//		p, err := grpcproxy.Start(t.Context(), grpcproxy.Config{Endpoints: c.Endpoints()})
//		if err != nil {
//			t.Fatal(err)
//		}
//		defer p.Stop()
//		useEtcd(p.Endpoint())
//	}
//
// What the proxy does otherwise than a member, in etcd 3.7.3: it answers creations
// of watches out of order, with IDs of its own and sometimes with a header that it
// has made up; it leaves progress requests unanswered; a watch that was compacted
// has to be cancelled, or else the next one of the same keys gets nothing; it
// renews leases at its own pace, so that the answer to a renewal may come a third of
// the TTL later, and speaks of one that was sent before.
package grpcproxy

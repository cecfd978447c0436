// Package grpcproxy runs etcd's own gRPC proxy, "etcd grpc-proxy start", for
// tests and benches. The proxy is a separate process, which can be killed and
// restarted. There is no binary to download: the program that uses this package
// starts itself again, and [Main] turns the copy into a proxy. As in package
// cluster, GETCD_TEST_CHILD names another program for it.
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
// The proxy of etcd 3.7.3 differs from a member. It confirms new watches out of
// order, with its own IDs and sometimes with an invented header. It does not
// answer progress requests. If a watch ends because of a compaction, the client
// has to cancel it, or the next watch of the same keys gets nothing. The proxy
// renews leases at its own pace: the response to a renewal may come a third of
// the TTL later, and be that of an earlier renewal.
package grpcproxy

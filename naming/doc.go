// Package naming is a registry of services: who serves one puts an address under
// the service's name, and who uses it follows the addresses. gRPC can do so by
// itself, with NewBuilder.
//
//	web, err := naming.New(c, "web") // c is a client
//	s, err := session.New(ctx, c)    // when the program ends or dies, so does the address
//	err = web.Add(ctx, "web/host-1", naming.Endpoint{Addr: "10.0.0.1:443"}, kv.WithLease(s.ID()))
//
// and elsewhere
//
//	b, err := naming.NewBuilder(c)
//	conn, err := grpc.NewClient("etcd:///web", grpc.WithResolvers(b), ...)
//
// The endpoints of a service are the keys that begin with its name and a slash, and
// each value is JSON: {"Op":0,"Addr":"10.0.0.1:443","Metadata":null}. That is
// clientv3's layout, so programs with either find each other.
//
// A value that is no such JSON is no endpoint: it is left out, and logged.
package naming

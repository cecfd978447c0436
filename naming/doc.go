// Package naming is a service registry. Each server of a service stores its
// address under the service's name, and clients of the service follow the
// addresses. With NewBuilder, gRPC resolves such services itself.
//
//	web, err := naming.New(c, "web") // c is a client
//	r, err := web.Register(ctx, c, "web/host-1", naming.Endpoint{Addr: "10.0.0.1:443"})
//	defer r.Close(ctx)
//
// and elsewhere
//
//	b, err := naming.NewBuilder(c)
//	conn, err := grpc.NewClient("etcd:///web", grpc.WithResolvers(b), ...)
//
// A [Registration] has a lease, so the address is removed when the program ends or
// crashes. When the lease is lost because the cluster could not be reached, it registers
// again.
//
// Each endpoint is a key that begins with the service's name and a slash. Its
// value is JSON: {"Op":0,"Addr":"10.0.0.1:443","Metadata":null}. This is
// clientv3's layout, so programs that use either package find each other.
//
// Values that do not have this form are ignored, and logged if WithLogger is set.
package naming

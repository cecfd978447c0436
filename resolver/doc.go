// Package resolver finds the current addresses of the cluster's members.
//
// A [Source] turns one endpoint URI into addresses and says how long they are
// valid. A [Registry] maps each URI scheme to its kind of source. It belongs to
// one client, so a program can add schemes without affecting other clients. A
// [Resolver] runs the sources of one client, merges their addresses, orders them
// as RFC 2782 requires, and reports them to gRPC.
//
// # Endpoints
//
//	10.0.0.1:2379            host and port, used as is
//	etcd1.example            the default port is 2379
//	:2379                    the local host
//	[2001:db8::1]:2379       IPv6 needs brackets before a port
//	http://host:port         plain; a path, query or fragment is ignored
//	https://host:port        TLS; likewise
//	a:2379,b:2379            several of these, in one string; the scheme of an
//	                         address without one is that of the address before
//	ip:///a:2379,b:2379      the same, as jetcd writes it
//	unix:///run/etcd.sock    a Unix domain socket; unix:relative/path, and
//	                         unix://relative/path as in members' own URLs
//	unixs:///run/etcd.sock   the same with TLS; for a file called name:port the
//	                         certificate's name is name, otherwise localhost
//	dns:///host:port         every A and AAAA record of host
//	dns://server:port/host   the same, from that DNS server
//	dns+srv:///name          SRV records, see below
//	dns+srv://server/name    the same, from that DNS server
//	dns+srv:///name?name=x   the services of the cluster x, like etcdctl's
//	                         --discovery-srv-name
//
// Empty endpoints are ignored.
//
// A host name without the scheme dns is looked up through the system, as in other
// programs on the machine, with the hosts file and the search list. This happens
// at startup, every 30 s (the system does not report a TTL), and when connections
// fail. If the name has several addresses, the Resolver reports each of them,
// with the address families in RFC 6724's order. In all other cases the name is
// left to the dialer, which looks it up for every connection: if it has one
// address, if it is localhost in both families, if the system does not know it,
// or if the user has given the grpc.ClientConn a dialer.
//
// Names under dns and dns+srv are looked up at the name servers in resolv.conf,
// with its search list and its options ndots and use-vc. So etcd.db.svc means the
// same as in other programs of a Kubernetes pod. A trailing dot makes a name fully
// qualified. For names under dns and for the targets of SRV records, the hosts
// file takes precedence. If the URI names a server, that server is asked for
// exactly the given name.
//
// If [Config].Proxied says that a proxy connects to a name, the name is left to
// the proxy.
//
// The :authority of requests is the host and port of the endpoint, see
// [Address.Authority]; the name for TLS is the host alone.
//
// One list may have endpoints with different schemes; their addresses are merged.
//
// If a name under dns+srv starts with an underscore, its own SRV records are
// used. For any other name, the Resolver queries _etcd-client-ssl._tcp.name,
// which means TLS, and _etcd-client._tcp.name, which means no TLS. If neither
// exists, it uses the SRV records of the name itself. With ?name=x it queries
// only _etcd-client-ssl-x._tcp.name and _etcd-client-x._tcp.name.
//
// # TLS
//
// A client uses TLS for all of its addresses or for none. http and an
// _etcd-client answer mean no TLS; https and an _etcd-client-ssl answer mean TLS.
// Everything else follows the client's own configuration ([Config].TLS). If the
// list of endpoints contradicts itself, [New] returns an error. If only DNS
// reveals the contradiction, that endpoint has an error.
//
// DNS is not authenticated. Therefore it cannot turn TLS off unless
// [Config].InsecureDiscovery allows it. For the same reason the certificate of
// an SRV target is checked against the queried domain, not against the target
// that DNS named, unless [Options].VerifyTargetNames is set. If a connection is
// plain only because of DNS, its [Address].PlainByDNS is set.
//
// # When names are resolved again
//
// Names are resolved at startup, when the TTL of an answer expires (30 s for bare
// host names), and when gRPC asks for it because connections fail. All requests
// that arrive during a resolution cause one more resolution. There is a minimum
// interval between resolutions. After a failure the last good addresses stay in
// use, and the resolution is retried with growing pauses. The failure of one
// endpoint does not affect the addresses of the others.
//
// # Concurrency
//
// A Resolver may be used by several goroutines at once. A Source is called by one
// goroutine at a time.
package resolver

// Package resolver answers one question: at which addresses are the members of
// the cluster now?
//
// A [Source] turns one endpoint URI into addresses and says for how long they
// are valid. A [Registry] knows which scheme is served by which kind of source;
// it belongs to one client, so that a program can add its own schemes without
// touching anybody else's. A [Resolver] runs the sources of one client, merges
// what they say, orders it as RFC 2782 asks, and reports it to gRPC.
//
// # Endpoints
//
//	10.0.0.1:2379            host and port, as it is
//	etcd1.example            the port is 2379 when there is none
//	:2379                    the local host
//	[2001:db8::1]:2379       IPv6 wears brackets when a port follows
//	http://host:port         plain; a path, query or fragment is ignored
//	https://host:port        TLS; likewise
//	unix:///run/etcd.sock    a Unix domain socket; unix:relative/path, and
//	                         unix://relative/path as members tell their URLs
//	unixs:///run/etcd.sock   the same with TLS, for the name before the colon of a
//	                         file called name:port, else for localhost
//	dns:///host:port         every A and AAAA record of host
//	dns://server:port/host   the same, asked of that DNS server
//	dns+srv:///name          SRV records, see below
//	dns+srv://server/name    the same, asked of that DNS server
//	dns+srv:///name?name=x   the services of the cluster x, as etcdctl's
//	                         --discovery-srv-name
//
// Empty endpoints are passed over.
//
// A host name without the scheme dns is looked up as the machine's other programs
// do, with its hosts file and search list: at start, every 30 s (the system tells
// no TTL) and when connections fail. A name with several addresses becomes these,
// in RFC 6724's order of families. Any other name is left to the dialer, which looks
// it up anew for every connection: a name with one address, localhost in both
// families, a name that the system does not know, and every name when the
// grpc.ClientConn has a dialer of its user's.
//
// Names under dns and dns+srv are asked of resolv.conf's name servers, with its
// search list and ndots: etcd.db.svc is what it is to the other programs of a
// Kubernetes pod. A final dot makes a name complete. The hosts file comes first for
// names under dns and for the targets of SRV records. When the URI names a server,
// that is asked, for the name as it is.
//
// What [Config].Proxied says a proxy connects to is left to the proxy as a name.
//
// The :authority of requests is the host and port of the endpoint, see
// [Address.Authority]; the name for TLS is the host alone.
//
// Endpoints of different schemes may stand in one list; their addresses merge.
//
// A name under dns+srv that starts with an underscore is asked for as it is.
// Any other name is asked for as _etcd-client-ssl._tcp.name, whose answer means
// TLS, and as _etcd-client._tcp.name, whose answer means no TLS; when neither
// exists, the SRV records of the name itself are used. With ?name=x it is
// _etcd-client-ssl-x._tcp.name, _etcd-client-x._tcp.name, and nothing else.
//
// # TLS
//
// A client is wholly TLS or wholly plain. http and an _etcd-client answer are
// plain, https and an _etcd-client-ssl answer are TLS, and everything else
// follows the client's own configuration ([Config].TLS). What contradicts that
// in the list of endpoints is an error from [New]; what only DNS reveals is an
// error of that endpoint. DNS is not authenticated, therefore it can never turn
// TLS off unless [Config].InsecureDiscovery says so, and the certificate of an SRV target is checked against the domain
// that was asked for, not against the target that DNS named, unless
// [Options].VerifyTargetNames says otherwise. Where DNS alone made a connection
// plain, [Address].PlainByDNS says so.
//
// # When names are resolved again
//
// At start, when the time to live of an answer has run out (30 s for bare host
// names), and when gRPC asks
// because connections fail. Requests that come while a resolution runs become
// one more resolution, and a minimum interval holds. A failure keeps the last
// good addresses and is tried again after a growing pause. The failure of one
// endpoint leaves the addresses of the others alone.
//
// # Concurrency
//
// A Resolver may be used by several goroutines at once. A Source is called by
// one goroutine at a time.
package resolver

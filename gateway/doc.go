// Package gateway carries etcd's RPCs where only HTTP passes: through etcd's JSON gateway,
// which every member serves beside gRPC (--enable-grpc-gateway, on unless switched off).
//
// A Conn is a grpc.ClientConnInterface, so the service packages, and etcd's generated
// stubs, run on it unchanged:
//
//	func main() {
//		conn, err := gateway.New([]string{"https://etcd.example.com:2379"}, gateway.Options{})
//		if err != nil {
//			log.Fatal(err)
//		}
//		defer conn.Close()
//		resp, err := kv.New(conn).Get(context.Background(), "greeting")
//		fmt.Println(resp, err)
//	}
//
// Most programs want a client.Client instead, which adds what is decided for each call:
// other endpoints when one fails (reads always, writes only when it is certain that they
// were not proposed), tokens, and errors that say whether a write may have been applied:
//
//	client.New(client.Config{Endpoints: []string{"gateway+https://etcd.example.com:2379"}})
//
// # How a call becomes HTTP
//
// A method's path is the google.api.http option in its descriptor: POST /v3/kv/put. A
// server that doesn't know it is asked for its version, once: etcd 3.3 has /v3beta, 3.2
// /v3alpha. Messages are JSON as protobuf defines it: bytes in base64, 64-bit integers as
// strings. Metadata are headers, "Grpc-Metadata-" before their names; a token is the
// header Authorization, and the call's deadline is Grpc-Timeout.
//
// # Streams
//
// The gateway answers a streamed request only when its body has ended (etcd issue 8237).
// So each watch of a Watch stream is an HTTP request of its own, and so is each renewal of
// a lease. Over HTTP/1.1 a watch takes up a connection for its life; over HTTPS etcd
// speaks HTTP/2, and one connection carries them all. When one watch's request breaks, the
// whole stream ends, as with gRPC, and package watch resumes all of it.
//
// A progress request can't be sent on a watch that is under way: its answer has no
// revision, and claims nothing (package watch says then that it is of no use).
//
// # Errors
//
// The server's errors have the codes and texts that they have over gRPC. What a proxy
// answers by itself (502, 504, 413, a page) is a status with gRPC's code for it (see
// doc/http-grpc-status-mapping.md of gRPC), and tells the HTTP status, the content type
// and the first line. Nothing is sent twice by this package, nor by net/http.
//
// # Limits
//
// The certificate of a client opens the door to the gateway, and no more: etcd does not
// take the name in it for that of a user, as it does over gRPC. RangeStream has no path, and HashKV none before etcd 3.5.
// Proxies must not buffer answers, or watches are late (nginx: proxy_buffering off), and
// end watches that are silent for longer than they allow (proxy_read_timeout), which are
// resumed then. Call options that have no meaning over HTTP are errors of the call.
package gateway

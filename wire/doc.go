// Package wire makes the protocol visible: it lists the bytes of a live
// connection next to their meaning.
//
// To trace a client, add one line to its configuration:
//
//	c, err := client.New(client.Config{
//		Endpoints: []string{"127.0.0.1:2379"},
//		Trace:     wire.New(os.Stderr, wire.Options{}),
//	})
//
// To trace any other grpc.ClientConn, use the tracer's dial options:
//
//	tracer := wire.New(os.Stderr, wire.Options{Format: wire.Messages})
//	cc, err := grpc.NewClient(addr, tracer.DialOptions(insecure.NewCredentials())...)
//
// A part of the listing of a put:
//
//	# 12:00:00.000000 call 1, /etcdserverpb.KV/Put, attempt 1, to 127.0.0.1:2379, connection 1, stream 7: OK, after 1ms
//	> 0000014e  00 00 0f 00 01 00 00 00 07                        DATA  stream 7, length 15, END_STREAM
//	> 00000157  00 00 00 00 0a                                      message: etcdserverpb.PutRequest, not compressed, length 10
//	> 0000015c  0a 03 66 6f 6f                                        key: "foo"  @0  1 LEN
//	> 00000161  12 03 62 61 72                                        value: "bar"  @5  2 LEN
//
// On the left are the direction, from the client (>) or to it (<), the offset of
// the first byte in that direction of the connection, and the bytes. On the right
// is their meaning: frames of HTTP/2 (RFC 9113), the header fields in them
// (HPACK, RFC 7541), gRPC's prefix of each message, and the fields of the
// message. For each field it shows the name and the value, the offset in the
// message, the number and the wire type.
//
// # What belongs together
//
// A connection interleaves the frames of many calls. The listing shows the frames
// of one call together, when the call has ended, and those of a watch or another
// stream when a message is complete. The offsets show the order on the
// connection: sorted by them, the bytes are exactly what the connection carried
// or, with TLS, what was carried inside TLS.
//
// One call of the client may take several attempts, if it is retried or hedged.
// Each attempt is an HTTP/2 stream. The listing shows its number and the outcomes
// of the earlier attempts. Requests that the client makes by itself, to learn
// about its members, are marked as such.
//
// # How an attempt is found
//
// gRPC reports attempts (package stats), and the connection shows streams, but
// nothing says which attempt is which stream. The tracer matches them by the
// connection, the method and the first message. So if two calls with the same
// request run at the same time, the frames of one may be listed as those of the
// other. The tracer adds nothing to what is sent.
//
// # Recorded bytes
//
// DecodeMessage, DecodeGRPC and DecodeHTTP2 list bytes that were recorded
// elsewhere. Tracer.Record lists a connection whose bytes arrive piece by piece in
// both directions, as from a packet capture. getcd wire decode uses all of them.
//
// # What it costs
//
// Without a tracer there is no cost: a call allocates no more than it did before tracers
// existed (TestOffItCostsNothing). With one, the goroutines that send and receive copy and
// parse each byte, but never wait for the writer. A put of 100 bytes, with the client and
// the server in one process, takes
//
//	off        166 allocations   10 KB    30 µs of processor time
//	Frames     939               60 KB   134 µs
//	Messages   523               35 KB    87 µs
//	JSON       572               60 KB   137 µs
//	Curl       378               27 KB    72 µs
//	Grpcurl    377               27 KB    70 µs
//
// These are the medians of seven rounds. Each round makes 2,000 puts with each format in
// turn (BenchmarkPut), on a busy virtual machine with two processors. Options.Memory limits
// how many bytes may wait for the writer or for the end of their call. Whatever does not fit
// is left out, and the listing says so.
//
// # What is hidden
//
// Passwords, tokens, header fields whose names tell of a secret (cookie, x-api-key),
// database snapshots, and the values of keys that Options.HideValues names are shown
// as ** and (hidden). So are bytes that might be any of these: all that cannot be
// decoded, unless it belongs to a known method or message type that has no secrets;
// header fields in a frame that is cut off; and HTTP/1 after its first line. Their
// lengths are visible. Options.Secrets shows all but the values of Options.HideValues
// and what might be one.
package wire

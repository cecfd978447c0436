// Package wire makes the protocol visible: it lists the bytes of a live connection with
// their meaning beside them.
//
// A program traces its client with one line of its configuration:
//
//	c, err := client.New(client.Config{
//		Endpoints: []string{"127.0.0.1:2379"},
//		Trace:     wire.New(os.Stderr, wire.Options{}),
//	})
//
// and any other grpc.ClientConn with its dial options:
//
//	tracer := wire.New(os.Stderr, wire.Options{Format: wire.Messages})
//	cc, err := grpc.NewClient(addr, tracer.DialOptions(insecure.NewCredentials())...)
//
// What a put looks like then, beside much else:
//
//	# 12:00:00.000000 call 1, /etcdserverpb.KV/Put, attempt 1, to 127.0.0.1:2379, connection 1, stream 7: OK, after 1ms
//	> 0000014e  00 00 0f 00 01 00 00 00 07                        DATA  stream 7, length 15, END_STREAM
//	> 00000157  00 00 00 00 0a                                      message: etcdserverpb.PutRequest, not compressed, length 10
//	> 0000015c  0a 03 66 6f 6f                                        key: "foo"  @0  1 LEN
//	> 00000161  12 03 62 61 72                                        value: "bar"  @5  2 LEN
//
// On the left is the direction, from the client (>) or to it (<), the offset of the
// first byte in that direction of the connection, and the bytes; on the right what they
// are: frames of HTTP/2 (RFC 9113), the header fields in them (HPACK, RFC 7541), gRPC's
// prefix of each message, and the message, field by field: its name and value, and where
// it is in the message, its number and its wire type.
//
// # What belongs together
//
// A connection interleaves the frames of many calls. They are listed call by call, when
// a call has ended; those of a watch, or of another stream, when a whole message has
// come. The offsets tell the order on the connection: joined in it, the bytes are what
// the connection carried. Where it is secured with TLS that is what TLS carried.
//
// One call of the client's may be several attempts: it is sent again, or hedged. Each is
// a stream of HTTP/2, with its number, and says what became of those before it. What the
// client asks for by itself, to know its members, says so.
//
// # How an attempt is found
//
// gRPC tells of attempts (package stats), and a connection of streams, but not which is
// which. An attempt is the stream on its connection that has its method and its first
// message. So of two calls that are under way at the same time, with the same request,
// one's frames may be listed as the other's. Nothing is added to what is sent.
//
// # Recorded bytes
//
// DecodeMessage, DecodeGRPC and DecodeHTTP2 list bytes that were recorded elsewhere, and
// Tracer.Record lists connections of which both directions come piece by piece, as from a
// packet capture: getcd wire decode is made of them.
//
// # What it costs
//
// Without a tracer nothing is looked at, and nothing allocated. With one, each byte is
// copied and parsed in the goroutines that send and receive it, which never wait for the
// writer: a put of 100 bytes, which allocates 172 times on a client and a server in
// memory, allocates 883 times with Frames, 529 with Messages, 548 with JSON and 390 with
// Curl (BenchmarkPut). What waits to be written, or for the end of its call, is bounded by
// Options.Memory; what does not fit is left out, and the listing says so.
//
// # What is hidden
//
// Passwords, tokens, database snapshots, and the values of keys that Options.HideValues
// names, are shown as ** and (hidden), and so are bytes that could be any of them. Their
// lengths are shown. Options.Secrets shows the first three.
package wire

// Package proxy puts a fault between a client and a server. A [Link] listens on a
// loopback TCP port or a UNIX socket and forwards each connection to one target,
// byte for byte. On request it delays or swallows the bytes, or cuts the
// connections. It runs in the test's own process and needs no privileges.
//
//	link, err := proxy.New(proxy.Config{Target: "127.0.0.1:2379"})
//	...
//	defer link.Close()
//	use(link.Address())
//	link.Blackhole() // connections stay, and nothing arrives any more
//	link.Heal()
//
// # How realistic a fault is
//
// As TCP promises, no byte is ever lost or reordered: bytes that a black hole
// swallows arrive after Heal, as if the network came back in time for TCP to
// retransmit them. A delay makes bytes arrive later, but does not add time
// between them. So it does not limit throughput by itself, up to 256 chunks in
// flight.
//
// A [Line] limits throughput. Its links have socket buffers of 64 KiB and read
// small pieces, each only when the previous one was taken and the line is free.
// So TCP's backpressure slows a sender down after 64 KiB, as on a real line, and
// not after megabytes that have vanished into this process. As on a real line,
// the sender's own kernel buffers data, too. If there is a delay as well, up to
// 256 pieces are in flight.
//
// A black hole differs from a machine without power in one respect: this
// process's kernel still handles the transport. So connections are established,
// and bytes are acknowledged that nobody will ever read.
package proxy

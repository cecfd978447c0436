// Package proxy puts a fault between a client and a server. A [Link] listens,
// on a loopback TCP port or a UNIX socket, and forwards each connection to one
// target, byte for byte, until it is told to delay them, to swallow them or to
// cut the line. It runs in the test's own process and needs no privileges.
//
//	link, err := proxy.New(proxy.Config{Target: "127.0.0.1:2379"})
//	...
//	defer link.Close()
//	use(link.Address())
//	link.Blackhole() // connections stay, and nothing arrives any more
//	link.Heal()
//
// # How faithful a fault is
//
// No byte is ever lost or reordered, as TCP promises: what a black hole
// swallows arrives after Heal, as after a network came back in time for TCP to
// send it again. A delay adds to the time that bytes take and not to the time
// between them, so it does not limit throughput by itself, up to 256 chunks in flight.
//
// A [Line] limits throughput. Its links read in small pieces, each when its turn
// has come and the one before was taken, and have socket buffers of 64 KiB: a
// sender feels the slow line by TCP's backpressure within that, as on a real one,
// and not after megabytes that vanished into this process. What the sender's own
// kernel buffers is the sender's affair, as in life. With a delay as well, up to
// 256 pieces are under way.
//
// A black hole differs from a machine without power in one respect: the kernel
// under this process still answers for the transport, so connections are
// established and bytes acknowledged that nobody will ever read.
package proxy

// Package loopback reserves TCP ports of 127.0.0.1 for servers that come and go
// during a test.
//
// The usual way is to listen on port 0, close the listener, and use the number
// later. That loses the port sooner or later: while the server is down, some
// outgoing connection on the same machine gets that number as its source port,
// and the server cannot come back. This happens in tests that restart servers
// under load.
//
// Therefore, on Linux, a [Port] keeps a socket that is bound to the port but does
// not listen. Connections to the port are refused, as they should be while the
// server is down, and the kernel does not assign the port to anybody else. A
// server that sets SO_REUSEADDR, as every listener of package net does, can
// listen on it at any time, in this process or another. On other systems Reserve
// only finds a port that is free at the moment, so a caller should be ready to
// try again.
package loopback

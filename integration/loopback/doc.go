// Package loopback reserves TCP ports of 127.0.0.1 for servers that come and
// go during a test.
//
// The usual way, to listen on port 0, close, and use the number later, loses
// the port sooner or later: while the server is down, some outgoing connection
// on the same machine is given that number as its source port, and the server
// cannot come back. A test that restarts servers under load meets this.
//
// On Linux a [Port] therefore keeps a socket that is bound to the port and
// does not listen: connections to it are refused, as they should be while the
// server is down, the kernel gives the number to nobody who asks for any port,
// and a server that sets SO_REUSEADDR, as every listener of package net does,
// can listen on it at any time, in this process or another. Elsewhere Reserve
// only finds a port that is free at the moment, so a caller should be ready to
// try again.
package loopback

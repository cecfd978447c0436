package client

import (
	"fmt"
	"slices"

	"google.golang.org/grpc"
)

// Middleware makes a connection of another one, to see or to change what passes. All
// that getcd has, and every generated stub, is written against
// grpc.ClientConnInterface: a service neither knows nor cares what it stands on. So
// what lies between the services and the cluster is a function of this type, such as
// namespace.Of("jobs/").
//
// What it returns must
//
//   - be safe for concurrent use, and need no closing: it ends with the connection
//     below, on which all calls fail with ErrClosed then;
//   - pass the context on, or one made of it, and return errors from below as they
//     are or wrapped (%w). The context has what client and services tell each other
//     of a call; without it, every failed write is ambiguous;
//   - leave the caller's requests as they are, and change a copy.
//
// It sees each call once, before the client repeats it, hedges it or adds a token.
// The client's own logins, heartbeats and questions to members do not pass through it.
type Middleware = func(grpc.ClientConnInterface) grpc.ClientConnInterface

// wrap puts the middleware on conn, the first one outermost.
func (c Config) wrap(conn *Conn) (grpc.ClientConnInterface, error) {
	var cc grpc.ClientConnInterface = conn
	for i, m := range slices.Backward(c.Middleware) {
		if cc = m(cc); cc == nil {
			return nil, fmt.Errorf("client: Config.Middleware[%d] returned nil: it must return a connection, if only the one that it was given", i)
		}
	}
	return cc, nil
}

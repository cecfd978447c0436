package client

import (
	"fmt"
	"io"
	"reflect"
	"slices"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/middleware/namespace"
)

// Middleware wraps a connection in another one, which sees all calls and may change them.
// Every service of getcd, and every generated stub, is written against
// grpc.ClientConnInterface: it neither knows nor cares what kind of connection it has. So
// anything that is to lie between the services and the cluster is a function of this type.
// namespace.Of("jobs/") is one.
//
// The connection that it returns
//
//   - must be safe for concurrent use. If it is an io.Closer, the client's Close closes it,
//     once, while the connection below still works: it ends what it has begun, and must not
//     take long. After that all calls on the connection below fail with ErrClosed;
//   - must pass on the context, or one derived from it. The client and the services use it
//     to tell each other about the call; without it, every failed write is ambiguous;
//   - must return errors as they are, or wrapped (%w);
//   - must not change the caller's request. It may send a changed copy.
//
// A middleware sees each call once: before the client sends it again, hedges it or adds a
// token. The client's own logins, heartbeats and probes do not pass through it.
type Middleware = func(grpc.ClientConnInterface) grpc.ClientConnInterface

// wrap puts the namespace and the middleware on conn, the first one outermost.
func (c Config) wrap(conn *Conn) (grpc.ClientConnInterface, error) {
	var cc grpc.ClientConnInterface = conn
	if c.Namespace != "" {
		cc = namespace.NewConn(cc, c.Namespace)
	}
	for i, m := range slices.Backward(c.Middleware) {
		below := cc
		if cc = m(cc); cc == nil {
			return nil, fmt.Errorf("client: Config.Middleware[%d] returned nil: it must return a connection, if only the one that it was given", i)
		}
		if closer, ok := cc.(io.Closer); ok && (!reflect.ValueOf(cc).Comparable() || cc != below) {
			conn.above = append([]io.Closer{closer}, conn.above...)
		}
	}
	return cc, nil
}

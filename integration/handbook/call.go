package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	_ "go.etcd.io/etcd/api/v3/etcdserverpb" // for its descriptors, as those below
	_ "go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	_ "go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/getcd/getcd/wire"
)

// callLimit bounds a call. It does not go over the connection as a deadline.
const callLimit = 30 * time.Second

// buffer is written to by a tracer.
type buffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// line is a connection to the scene's member, of its own, and its trace.
type line struct {
	cc     *grpc.ClientConn
	tracer *wire.Tracer
	out    buffer
}

func (s *scene) dial(o wire.Options) (*line, error) {
	if s.cluster == nil {
		return nil, errors.New(`there is no cluster: call {{cluster 1}} before`)
	}
	l := &line{}
	l.tracer = wire.New(&l.out, o)
	target, shown := s.member.Endpoint(), shownEndpoint(s.index())
	opts := append([]grpc.DialOption{
		// gRPC's own window, but a fixed one: else the client sends pings to measure how large it
		// should be, and where their answers come among the others is a matter of chance.
		grpc.WithStaticStreamWindowSize(64<<10 - 1),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", target)
			if err != nil {
				return nil, err
			}
			return s.names.Conn(conn, shown), nil
		}),
	}, l.tracer.DialOptions(insecure.NewCredentials())...)
	var err error
	l.cc, err = grpc.NewClient("passthrough:///"+shown, opts...)
	return l, err
}

// close returns the trace.
func (l *line) close() (string, error) {
	if err := l.cc.Close(); err != nil {
		return "", err
	}
	if !l.tracer.Flush(callLimit) {
		return "", errors.New("the trace was not written in time")
	}
	return l.out.String(), nil
}

// context is for one call. Its limit does not go over the connection: gRPC would send
// what is left of it, which differs from run to run.
func (s *scene) context() (context.Context, func()) {
	ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(context.WithoutCancel(s.ctx), s.md))
	timer := time.AfterFunc(callLimit, cancel)
	stop := context.AfterFunc(s.ctx, cancel)
	return ctx, func() { timer.Stop(); stop(); cancel() }
}

// answered is what became of a call.
type answered struct {
	path   string
	trace  string
	err    error
	answer []proto.Message
}

// invoke makes a call on a connection of its own. A stream gets one request.
func (s *scene) invoke(method, request string, o wire.Options) (*answered, error) {
	m, err := findMethod(method)
	if err != nil {
		return nil, err
	}
	req, err := newMessage(m.Input(), request)
	if err != nil {
		return nil, err
	}
	l, err := s.dial(o)
	if err != nil {
		return nil, err
	}
	ctx, done := s.context()
	defer done()
	a := &answered{path: pathOf(m)}
	if m.IsStreamingClient() || m.IsStreamingServer() {
		a.answer, a.err = drain(ctx, l.cc, m, req)
	} else {
		resp, err := newMessage(m.Output(), "")
		if err != nil {
			return nil, err
		}
		a.err = l.cc.Invoke(ctx, a.path, req, resp)
		a.answer = []proto.Message{resp}
	}
	a.trace, err = l.close()
	return a, err
}

// drain sends one request and reads all answers.
func drain(ctx context.Context, cc *grpc.ClientConn, m protoreflect.MethodDescriptor, req proto.Message) ([]proto.Message, error) {
	st, err := cc.NewStream(ctx, &grpc.StreamDesc{ClientStreams: m.IsStreamingClient(), ServerStreams: true}, pathOf(m))
	if err != nil {
		return nil, err
	}
	if err := st.SendMsg(req); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err := st.CloseSend(); err != nil {
		return nil, err
	}
	var out []proto.Message
	for {
		resp, err := newMessage(m.Output(), "")
		if err != nil {
			return nil, err
		}
		if err := st.RecvMsg(resp); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return out, err
		}
		out = append(out, resp)
	}
}

// findMethod finds a method by a name such as "KV/Put", "Lock/Lock" or "Health/Check".
func findMethod(name string) (protoreflect.MethodDescriptor, error) {
	service, method, _ := strings.Cut(name, "/")
	for _, s := range services() {
		if string(s.Name()) == service {
			if m := s.Methods().ByName(protoreflect.Name(method)); m != nil {
				return m, nil
			}
		}
	}
	return nil, fmt.Errorf("there is no method %q", name)
}

// services are those of which the handbook tells.
func services() []protoreflect.ServiceDescriptor {
	var out []protoreflect.ServiceDescriptor
	for _, name := range []protoreflect.FullName{
		"etcdserverpb.KV", "etcdserverpb.Watch", "etcdserverpb.Lease", "etcdserverpb.Cluster", "etcdserverpb.Maintenance", "etcdserverpb.Auth",
		"v3lockpb.Lock", "v3electionpb.Election", "grpc.health.v1.Health",
	} {
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
		if err != nil {
			panic(err) // it is linked in
		}
		out = append(out, d.(protoreflect.ServiceDescriptor))
	}
	return out
}

// short is a method's name as the pages write it.
func short(m protoreflect.MethodDescriptor) string {
	return string(m.Parent().Name()) + "/" + string(m.Name())
}

func pathOf(m protoreflect.MethodDescriptor) string {
	return "/" + string(m.Parent().FullName()) + "/" + string(m.Name())
}

// newMessage makes a message from protobuf's text format.
func newMessage(d protoreflect.MessageDescriptor, text string) (proto.Message, error) {
	t, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		return nil, err
	}
	m := t.New().Interface()
	if err := prototext.Unmarshal([]byte(text), m); err != nil {
		return nil, fmt.Errorf("%s: %w", d.FullName(), err)
	}
	return m, nil
}

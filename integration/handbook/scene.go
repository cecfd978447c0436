package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	_ "go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb" // for its descriptors, as those below
	_ "go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/handbook/internal/canon"
	"github.com/getcd/getcd/wire"
)

// scene is the cluster of a page, and who calls it.
type scene struct {
	ctx     context.Context //nolint:containedctx // of the page, which is one call
	names   *canon.Names
	cluster *cluster.Cluster
	member  *cluster.Member // to whom calls go
	md      metadata.MD     // that calls carry
	dir     string          // for files; empty until there is one
}

// callLimit bounds a call. It does not go over the connection as a deadline.
const callLimit = 30 * time.Second

// begin stops the cluster that there is, and starts another one.
func (s *scene) begin(cfg cluster.Config) error {
	if err := s.stop(); err != nil {
		return err
	}
	if cfg.ElectionTimeout == 0 {
		cfg.ElectionTimeout, cfg.HeartbeatInterval = 500*time.Millisecond, 50*time.Millisecond
	}
	c, err := cluster.Start(s.ctx, cfg)
	if err != nil {
		return err
	}
	s.cluster, s.names, s.md = c, canon.New(), nil
	s.member = c.Members()[0]
	if err := s.lead(); err != nil {
		return err
	}
	for i, m := range c.Members() {
		s.names.Member(m.ID())
		s.names.Text(m.Endpoint(), shownEndpoint(i))
	}
	return s.namePeers()
}

// lead makes the first member the leader.
func (s *scene) lead() error {
	leader, err := s.cluster.Leader(s.ctx)
	if err != nil || leader == s.member {
		return err
	}
	cc, err := grpc.NewClient("passthrough:///"+leader.Endpoint(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { _ = cc.Close() }() // nothing depends on it
	_, err = pb.NewMaintenanceClient(cc).MoveLeader(s.ctx, &pb.MoveLeaderRequest{TargetID: s.member.ID()})
	return err
}

// namePeers gives the members' addresses for each other their names.
func (s *scene) namePeers() error {
	cc, err := grpc.NewClient("passthrough:///"+s.member.Endpoint(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { _ = cc.Close() }() // nothing depends on it
	list, err := pb.NewClusterClient(cc).MemberList(s.ctx, &pb.MemberListRequest{Linearizable: true})
	if err != nil {
		return err
	}
	for _, listed := range list.GetMembers() {
		for i, m := range s.cluster.Members() {
			if m.ID() == listed.GetID() {
				shown := strings.TrimSuffix(shownEndpoint(i), "79") + "80"
				s.names.Text(strings.TrimPrefix(listed.GetPeerURLs()[0], "http://"), shown)
			}
		}
	}
	return nil
}

// grow adds a member that does not vote.
func (s *scene) grow() error {
	m, err := s.cluster.AddLearner(s.ctx, nil, 0)
	if err != nil {
		return err
	}
	s.names.Member(m.ID())
	s.names.Text(m.Endpoint(), shownEndpoint(len(s.cluster.Members())-1))
	return s.namePeers()
}

// shownEndpoint is where the pages say that the i-th member is.
func shownEndpoint(i int) string {
	return fmt.Sprintf("127.0.0.1:%s2379", strings.Repeat(fmt.Sprint(i+1), min(i, 1)))
}

func (s *scene) stop() error {
	if s.cluster == nil {
		return nil
	}
	c := s.cluster
	s.cluster = nil
	return c.Stop()
}

// temporary makes a file that is there as long as the page is made.
func (s *scene) temporary(name string, content []byte) (string, error) {
	if s.dir == "" {
		var err error
		if s.dir, err = os.MkdirTemp("", "handbook-"); err != nil {
			return "", err
		}
	}
	path := filepath.Join(s.dir, name)
	return path, os.WriteFile(path, content, 0o600)
}

// end stops the cluster, and removes what was made for it.
func (s *scene) end() error {
	err := s.stop()
	if s.dir != "" {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}

// index is the place of the member to whom calls go.
func (s *scene) index() int {
	for i, m := range s.cluster.Members() {
		if m == s.member {
			return i
		}
	}
	return 0
}

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

package etcdtest

import (
	"net"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"github.com/getcd/getcd/internal/memconn"
)

// Member is one server of a Cluster: Cluster.Member returns it. It is safe for concurrent
// use.
type Member struct {
	c          *Cluster
	id         uint64
	name       string
	serverOpts []grpc.ServerOption

	servers   sync.WaitGroup // accept loops, and servers that are being stopped
	receivers sync.WaitGroup // streams' receive loops; all are added by handlers, which servers joins

	mu        sync.Mutex // guards what follows
	addr      string
	lis       *memconn.Listener // nil while down
	srv       *grpc.Server
	health    *health.Server
	conns     map[*faultConn]struct{}
	closed    bool
	learner   bool
	unhealthy bool
	hung      chan struct{} // non-nil while hung, closed by Resume
	frozen    chan struct{} // likewise, Freeze and Thaw
	noLeader  chan struct{} // likewise, SetNoLeader
	leaderly  map[*serverStream]struct{}
	unary     UnaryHook
	streaming StreamHook
	calls     map[string]int
	messages  map[string]int
	lastMD    map[string]map[string][]string
}

// Name returns the member's name, such as "member-1".
func (m *Member) Name() string { return m.name }

// ID returns the member's ID, as response headers carry it.
func (m *Member) ID() uint64 { return m.id }

// Addr returns the address under which the cluster's Dialer finds the member.
func (m *Member) Addr() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.addr
}

// SetAddr moves the member to another address, at which new connections find it.
// Open connections stay; Kill it first to move it as a restart would.
func (m *Member) SetAddr(addr string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.addr = addr
}

// Start runs the member again after Kill. On a running or closed one it does
// nothing.
func (m *Member) Start() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || m.srv != nil {
		return
	}
	opts := append([]grpc.ServerOption{
		// What etcd allows: one ping in five seconds, also without streams.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second}),
		grpc.UnaryInterceptor(m.interceptUnary),
		grpc.StreamInterceptor(m.interceptStream),
		grpc.WaitForHandlers(true),
	}, m.serverOpts...)
	srv := grpc.NewServer(opts...)
	pb.RegisterKVServer(srv, &kvServer{m: m})
	pb.RegisterLeaseServer(srv, &leaseServer{m: m})
	pb.RegisterWatchServer(srv, &watchServer{m: m})
	pb.RegisterAuthServer(srv, &authServer{m: m})
	pb.RegisterClusterServer(srv, &clusterServer{m: m})
	pb.RegisterMaintenanceServer(srv, &maintenanceServer{m: m})
	v3lockpb.RegisterLockServer(srv, &lockServer{m: m})
	v3electionpb.RegisterElectionServer(srv, v3electionpb.UnimplementedElectionServer{}) // for Intercept
	m.health = health.NewServer()
	healthpb.RegisterHealthServer(srv, m.health)
	m.setHealthLocked()

	lis := memconn.Listen()
	m.lis, m.srv = lis, srv
	m.conns = make(map[*faultConn]struct{})
	m.leaderly = make(map[*serverStream]struct{})
	m.servers.Go(func() { _ = srv.Serve(&faultListener{lis, m}) })
}

// Kill is SIGKILL: when it returns, the member's connections are closed and new
// ones refused. Handlers that ran have lost their context; only Close waits for
// them, so that Kill may be called from an Intercept function.
func (m *Member) Kill() {
	m.mu.Lock()
	srv := m.srv
	lis := m.lis
	conns := m.conns
	m.srv = nil
	m.lis = nil
	m.health = nil
	m.conns = nil
	if srv == nil {
		m.mu.Unlock()
		return
	}
	m.servers.Add(1) // under mu, so that it cannot come after close's Wait
	m.mu.Unlock()
	_ = lis.Close()
	for conn := range conns {
		_ = conn.Close()
	}
	go func() {
		defer m.servers.Done()
		srv.Stop()
	}()
}

// process identifies the run of the member between a Start and a Kill.
func (m *Member) process() *grpc.Server {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.srv
}

// close kills m for good and joins its goroutines.
func (m *Member) close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.Resume()
	m.Thaw()
	m.Kill()
	m.servers.Wait()
	m.receivers.Wait()
}

func (m *Member) listenerAt(addr string) *memconn.Listener {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.addr != addr {
		return nil
	}
	return m.lis
}

// header is the header of an answer at revision rev.
func (m *Member) header(rev int64) *pb.ResponseHeader {
	m.c.mu.Lock()
	defer m.c.mu.Unlock()
	return m.headerLocked(rev)
}

// headerLocked is header for a caller that holds the cluster's mutex.
func (m *Member) headerLocked(rev int64) *pb.ResponseHeader {
	return &pb.ResponseHeader{ClusterId: m.c.id, MemberId: m.id, Revision: rev, RaftTerm: m.c.term}
}

// faultListener wraps a member's connections so that it can freeze and close
// them.
type faultListener struct {
	net.Listener
	m *Member
}

func (l *faultListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	fc := &faultConn{Conn: conn, m: l.m, closed: make(chan struct{})}
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if l.m.conns == nil { // killed between the two
		_ = fc.closeOnly()
		return fc, nil
	}
	l.m.conns[fc] = struct{}{}
	return fc, nil
}

// faultConn is the server's half of a connection. While its member is frozen
// nothing is read from it or written to it.
type faultConn struct {
	net.Conn
	m      *Member
	once   sync.Once
	closed chan struct{}
}

func (c *faultConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.awaitThaw() // after the read: one may be waiting when the freeze begins
	return n, err
}

func (c *faultConn) Write(p []byte) (int, error) {
	c.awaitThaw()
	return c.Conn.Write(p)
}

func (c *faultConn) awaitThaw() {
	c.m.mu.Lock()
	frozen := c.m.frozen
	c.m.mu.Unlock()
	if frozen == nil {
		return
	}
	select {
	case <-frozen:
	case <-c.closed:
	}
}

// Close implements net.Conn.
func (c *faultConn) Close() error {
	c.m.mu.Lock()
	delete(c.m.conns, c)
	c.m.mu.Unlock()
	return c.closeOnly()
}

func (c *faultConn) closeOnly() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

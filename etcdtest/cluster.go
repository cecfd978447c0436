package etcdtest

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// clusterID is in every response header, until SetClusterID; a member's ID is
// this plus its number.
const clusterID = 0xfa4e_0000

// Cluster is a number of members that share one store. Start and NewCluster make one; the
// zero value cannot be used. It is safe for concurrent use.
type Cluster struct {
	store   *store
	members []*Member

	mu       sync.Mutex // guards what follows; taken after a Member's and the store's
	id       uint64
	leader   *Member
	term     uint64
	accounts accounts
	watches  watchBehavior
}

// Start is NewCluster for a test. The cluster is closed when the test ends. Misuse fails
// the test.
func Start(tb TB, n int, opts ...grpc.ServerOption) *Cluster {
	tb.Helper()
	if err := misuse("Start", n, opts); err != nil {
		tb.Fatalf("%v", err)
	}
	c := NewCluster(n, opts...)
	tb.Cleanup(c.Close)
	return c
}

// NewCluster starts n members, named member-1 to member-n, at the addresses
// member-1:2379 and so on. member-1 is the leader. The options, such as TLS
// credentials, are given to every member's gRPC server. Close must be called.
//
// It panics if n is less than 1 or an option is nil; nothing else can go wrong.
func NewCluster(n int, opts ...grpc.ServerOption) *Cluster {
	if err := misuse("NewCluster", n, opts); err != nil {
		panic(err)
	}
	c := &Cluster{store: newStore(), id: clusterID, term: 2, accounts: newAccounts(), watches: watchBehavior{progress: progressInterval}}
	for i := range n {
		name := fmt.Sprintf("member-%d", i+1)
		c.members = append(c.members, &Member{
			c:          c,
			id:         clusterID + uint64(i) + 1,
			name:       name,
			serverOpts: opts,
			addr:       name + ":2379",
			calls:      make(map[string]int),
			messages:   make(map[string]int),
			lastMD:     make(map[string]map[string][]string),
		})
	}
	c.leader = c.members[0]
	for _, m := range c.members {
		m.Start()
	}
	return c
}

func misuse(call string, n int, opts []grpc.ServerOption) error {
	if n < 1 {
		return fmt.Errorf("etcdtest: %s: %d members: a cluster has at least one", call, n)
	}
	if i := slices.Index(opts, nil); i >= 0 {
		return fmt.Errorf("etcdtest: %s: server option %d of %d is nil: leave it out", call, i+1, len(opts))
	}
	return nil
}

// Member returns the i-th member, counted from 0. It panics if there is none, as a slice
// does.
func (c *Cluster) Member(i int) *Member { return c.members[i] }

// Members returns all members, killed ones too.
func (c *Cluster) Members() []*Member { return slices.Clone(c.members) }

// Addrs returns all members' addresses, for the Endpoints of a client's configuration.
func (c *Cluster) Addrs() []string {
	addrs := make([]string, 0, len(c.members))
	for _, m := range c.members {
		addrs = append(addrs, m.Addr())
	}
	return addrs
}

// ByID returns the member with that ID, as response headers carry it, or nil.
func (c *Cluster) ByID(id uint64) *Member {
	for _, m := range c.members {
		if m.id == id {
			return m
		}
	}
	return nil
}

// Leader returns the member that Elect named last, or else the first.
func (c *Cluster) Leader() *Member {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leader
}

// Elect makes m, a member of c, the leader of a new raft term. There are no other
// elections: a leader that is killed remains the leader until the test calls Elect.
func (c *Cluster) Elect(m *Member) {
	if m == nil || m.c != c {
		panic("etcdtest: Elect: not a member of this cluster")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leader = m
	c.term++
}

// Revision returns the store's current revision.
func (c *Cluster) Revision() int64 { return c.store.revision() }

// DialOptions returns what a client needs to reach the members. It goes into the
// DialOptions of a client's configuration, getcd's or clientv3's:
//
//	client.Config{Endpoints: c.Addrs(), DialOptions: c.DialOptions()}
func (c *Cluster) DialOptions() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithContextDialer(c.Dialer())}
}

// Dialer connects to members by their address, for grpc.WithContextDialer. An
// address at which no member runs refuses the connection.
func (c *Cluster) Dialer() func(ctx context.Context, addr string) (net.Conn, error) {
	return func(ctx context.Context, addr string) (net.Conn, error) {
		for _, m := range c.members {
			if lis := m.listenerAt(addr); lis != nil {
				if conn, err := lis.DialContext(ctx); err == nil || ctx.Err() != nil {
					return conn, err
				}
			}
		}
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: fmt.Errorf("%s: %w", addr, syscall.ECONNREFUSED)}
	}
}

// Dial opens a plain connection to the first member, for tests of one service. It is a
// connection of gRPC's, without failover. The caller must close it.
func (c *Cluster) Dial(opts ...grpc.DialOption) (*grpc.ClientConn, error) {
	return c.members[0].Dial(opts...)
}

// TB is the part of testing.TB that Start and Conn need. A *testing.T is one. To import
// package testing would add its flags to every program that uses this package.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// Conn is Dial for a test: it fails the test on an error, and the test's end
// closes the connection.
func (c *Cluster) Conn(tb TB, opts ...grpc.DialOption) *grpc.ClientConn {
	tb.Helper()
	return c.members[0].Conn(tb, opts...)
}

// Close kills all members and waits for every goroutine of the cluster. It may
// be called again. It must not be called from an Intercept function.
func (c *Cluster) Close() {
	for _, m := range c.members {
		m.close()
	}
	c.store.close()
}

// Dial opens a plain connection to m alone.
func (m *Member) Dial(opts ...grpc.DialOption) (*grpc.ClientConn, error) {
	all := append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(m.c.Dialer()),
	}, opts...)
	return grpc.NewClient("passthrough:///"+m.Addr(), all...)
}

// Conn is Dial for a test: it fails the test on an error, and the test's end
// closes the connection.
func (m *Member) Conn(tb TB, opts ...grpc.DialOption) *grpc.ClientConn {
	tb.Helper()
	conn, err := m.Dial(opts...)
	if err != nil {
		tb.Fatalf("connection to %s: %v", m.Name(), err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

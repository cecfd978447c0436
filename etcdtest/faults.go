package etcdtest

import (
	"context"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
)

// requestTimeout is how long etcd waits for an agreement that does not come, at
// its default election timeout: 5 s + 2 × 1 s.
const requestTimeout = 7 * time.Second

// Hang makes the member take requests and answer none, of streams too, until
// Resume. The connections themselves live: pings are answered.
func (m *Member) Hang() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.hung == nil {
		m.hung = make(chan struct{})
	}
}

// Resume ends Hang; what has been waiting is answered now.
func (m *Member) Resume() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.hung != nil {
		close(m.hung)
		m.hung = nil
	}
}

// Freeze is SIGSTOP, or a link that swallows everything: connections stay open,
// new ones are accepted, and no byte is read or written until Thaw.
func (m *Member) Freeze() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.frozen == nil {
		m.frozen = make(chan struct{})
	}
}

// Thaw ends Freeze.
func (m *Member) Thaw() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.frozen != nil {
		close(m.frozen)
		m.frozen = nil
	}
}

// SetNoLeader cuts the member off from its leader, or brings it back. Without a
// leader, requests with the hasleader metadata are refused, and open streams
// with it end, with ErrGRPCNoLeader: at once, where etcd lets streams live on
// for three election timeouts. Other requests that need the leader wait until it
// is back, for 7 s at most, and are not applied when that ends in a timeout.
func (m *Member) SetNoLeader(without bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case without && m.noLeader == nil:
		m.noLeader = make(chan struct{})
		for s := range m.leaderly {
			s.cancel(rpctypes.ErrGRPCNoLeader)
		}
	case !without && m.noLeader != nil:
		close(m.noLeader)
		m.noLeader = nil
	}
}

// SetLearner makes the member a learner, which refuses everything but status and
// serializable reads, or a voter again.
func (m *Member) SetLearner(learner bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.learner = learner
}

// SetServing sets what the gRPC health service answers.
func (m *Member) SetServing(serving bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.unhealthy = !serving
	m.setHealthLocked()
}

func (m *Member) setHealthLocked() {
	if m.health == nil {
		return
	}
	state := healthpb.HealthCheckResponse_SERVING
	if m.unhealthy {
		state = healthpb.HealthCheckResponse_NOT_SERVING
	}
	m.health.SetServingStatus("", state)
}

// UnaryHook handles a unary call in the member's place. next answers it as the
// member would, so that a hook can refuse a call before it is applied, or apply
// it and lose the answer. req is the request message.
type UnaryHook func(ctx context.Context, fullMethod string, req any, next func() (any, error)) (any, error)

// Intercept lets hook handle every unary call from now on; nil ends that.
func (m *Member) Intercept(hook UnaryHook) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.unary = hook
}

// StreamHook handles a stream in the member's place. next serves ss, or what the
// hook has wrapped around it.
type StreamHook func(ss grpc.ServerStream, fullMethod string, next func(grpc.ServerStream) error) error

// InterceptStream lets hook handle every stream that opens from now on; nil ends
// that.
func (m *Member) InterceptStream(hook StreamHook) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.streaming = hook
}

// Calls returns how many calls of the method, streams included, have reached the
// member, refused and waiting ones too. method is a full name such as
// etcdserverpb's KV_Put_FullMethodName.
func (m *Member) Calls(method string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls[method]
}

// Messages returns how many messages streams of the method have received.
func (m *Member) Messages(method string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.messages[method]
}

// LastMetadata returns the metadata that the method was last called with, or nil.
func (m *Member) LastMetadata(method string) metadata.MD {
	m.mu.Lock()
	defer m.mu.Unlock()
	return metadata.MD(m.lastMD[method]).Copy()
}

// awaitResume waits while the member is hung.
func (m *Member) awaitResume(ctx context.Context) error {
	m.mu.Lock()
	hung := m.hung
	m.mu.Unlock()
	if hung == nil {
		return nil
	}
	select {
	case <-hung:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// awaitLeader waits while the member has no leader.
func (m *Member) awaitLeader(ctx context.Context) error {
	m.mu.Lock()
	absent := m.noLeader
	m.mu.Unlock()
	if absent == nil {
		return nil
	}
	timeout := time.NewTimer(requestTimeout)
	defer timeout.Stop()
	select {
	case <-absent:
		return nil
	case <-timeout.C:
		return rpctypes.ErrGRPCTimeout
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

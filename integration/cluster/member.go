package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/integration/loopback"
	"github.com/getcd/getcd/integration/proxy"
)

// terminateTimeout is how long Terminate waits for a graceful exit. etcd takes at
// most 5 s plus 2 election timeouts to finish its clients' requests.
const terminateTimeout = 30 * time.Second

// Member is one etcd server of a cluster. It is safe for concurrent use.
// Operations on one member run one after another.
type Member struct {
	c    *Cluster
	name string
	dir  string // working directory and its sockets
	data string
	log  string
	peer *loopback.Port

	control *grpc.ClientConn

	// Cluster.linkMember sets these before the first start. They are nil without
	// Config.Links.
	clientLink *proxy.Link
	peerLinks  map[*Member]*proxy.Link // by the member at the other end; guarded by Cluster.mu

	joins bool // it was added to an existing cluster; read-only

	// op serializes operations. Lock order: op before mu.
	op sync.Mutex

	mu      sync.Mutex // guards the fields below
	closed  bool
	client  *loopback.Port
	id      uint64
	proc    *process // the latest process; nil before the first
	ending  bool     // the latest process is being ended on purpose
	paused  bool
	learner bool  // it does not vote
	crash   error // why a process ended by itself; the first such error
}

// newMember makes a member that serves clients on port, or on any free port if
// port is 0.
func newMember(c *Cluster, name string, port uint16) (_ *Member, err error) {
	m := &Member{
		c:    c,
		name: name,
		dir:  filepath.Join(c.run, name),
		data: filepath.Join(c.dir, name, "data"),
		log:  filepath.Join(c.dir, name+".log"),

		peerLinks: make(map[*Member]*proxy.Link),
	}
	defer func() {
		if err != nil {
			_ = m.close() // return the first error instead
		}
	}()
	for _, dir := range []string{m.dir, m.data} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("cluster: %w", err)
		}
	}
	if longest := m.socket(peerSocket); len(longest) > longestSocketPath {
		return nil, fmt.Errorf("cluster: the path of a UNIX socket, %s, is longer than %d bytes; set TMPDIR to a shorter directory", longest, longestSocketPath)
	}
	if m.client, err = loopback.ReserveNumber(port); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	if m.peer, err = loopback.Reserve(); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	if m.control, err = dialControl(m.socket(controlSocket)); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	return m, nil
}

// Name returns the member's name in etcd's member list.
func (m *Member) Name() string { return m.name }

// ID returns the member's ID in etcd's member list.
func (m *Member) ID() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.id
}

// Port returns the member's client port.
func (m *Member) Port() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.client.Number()
}

// Endpoint returns the member's client address, "127.0.0.1:port". Only RestartOn
// and Cluster.Move change it.
func (m *Member) Endpoint() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.client.Address()
}

// ClientURL returns the URL that the member advertises to clients: Endpoint with
// the scheme http or https.
func (m *Member) ClientURL() string { return m.clientScheme() + "://" + m.Endpoint() }

// PID returns the process ID of the member's latest process, or 0 before the
// first.
func (m *Member) PID() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.proc == nil {
		return 0
	}
	return m.proc.cmd.Process.Pid
}

// Running reports whether the member's process exists, paused or not.
func (m *Member) Running() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.proc != nil && m.proc.running()
}

// Kill kills the member with SIGKILL and waits until it is gone. Its port refuses
// connections until Restart. If the member is not running, Kill does nothing.
func (m *Member) Kill() error {
	m.op.Lock()
	defer m.op.Unlock()
	m.killLocked()
	return nil
}

// killLocked is Kill. The caller must hold op.
func (m *Member) killLocked() {
	if p := m.beginEnd(); p != nil {
		m.c.cfg.Logger.Debug("killing a member", "member", m.name)
		p.kill()
		<-p.watched
	}
}

// Terminate sends the member SIGTERM and waits until it is gone. The member first
// transfers its leadership and finishes its clients' requests, which takes some
// seconds while streams are open. A member that takes longer than 30 s is killed,
// which is an error. A paused member is continued. If the member is not running,
// Terminate does nothing. On Windows it is Kill.
func (m *Member) Terminate() error {
	m.op.Lock()
	defer m.op.Unlock()
	p := m.beginEnd()
	if p == nil {
		return nil
	}
	m.c.cfg.Logger.Debug("terminating a member", "member", m.name)
	if err := terminate(p.cmd.Process); err != nil && p.running() {
		return fmt.Errorf("cluster: terminating %s: %w", m.name, err)
	}
	if m.takePaused() {
		if err := resume(p.cmd.Process); err != nil && p.running() {
			return fmt.Errorf("cluster: continuing %s: %w", m.name, err)
		}
	}
	timeout := time.NewTimer(terminateTimeout)
	defer timeout.Stop()
	select {
	case <-p.watched:
		return nil
	case <-timeout.C:
		p.kill()
		<-p.watched
		return fmt.Errorf("cluster: %s did not exit within %v of SIGTERM and was killed", m.name, terminateTimeout)
	}
}

// Pause stops the member with SIGSTOP: it keeps its connections but answers
// nothing, and the kernel still accepts connections for it. It is not supported
// on Windows.
func (m *Member) Pause() error {
	m.op.Lock()
	defer m.op.Unlock()
	p, err := m.live("pause")
	if err != nil {
		return err
	}
	if err := pause(p.cmd.Process); err != nil {
		return fmt.Errorf("cluster: pausing %s: %w", m.name, err)
	}
	m.mu.Lock()
	m.paused = true
	m.mu.Unlock()
	m.c.cfg.Logger.Debug("paused a member", "member", m.name)
	return nil
}

// Continue undoes Pause with SIGCONT. It does not wait until the member is
// healthy. It is not supported on Windows.
func (m *Member) Continue() error {
	m.op.Lock()
	defer m.op.Unlock()
	p, err := m.live("continue")
	if err != nil {
		return err
	}
	if err := resume(p.cmd.Process); err != nil {
		return fmt.Errorf("cluster: continuing %s: %w", m.name, err)
	}
	m.takePaused()
	m.c.cfg.Logger.Debug("continued a member", "member", m.name)
	return nil
}

// Restart kills the member if it is running, starts it again with its data on its
// former ports, and waits until it answers a linearizable read. If too few
// members are running for a quorum, the member cannot become healthy yet, and
// Restart returns at once: call Cluster.WaitHealthy when the others are back.
func (m *Member) Restart(ctx context.Context) error {
	m.op.Lock()
	defer m.op.Unlock()
	m.killLocked()
	return m.bringUpLocked(ctx)
}

// RestartOn is Restart with another client port; 0 means any free port. The
// member publishes its new address in the member list. From then on the old port
// refuses connections.
func (m *Member) RestartOn(ctx context.Context, port uint16) error {
	m.op.Lock()
	defer m.op.Unlock()
	m.killLocked()
	if err := m.moveToLocked(port); err != nil {
		return err
	}
	return m.bringUpLocked(ctx)
}

func (m *Member) bringUpLocked(ctx context.Context) error {
	if err := m.startLocked(); err != nil { //nolint:contextcheck // the member outlives ctx
		return err
	}
	if !m.c.quorumRuns() {
		return nil
	}
	return m.waitHealthy(ctx)
}

// start starts the member's process. It does not wait until the member is
// healthy.
func (m *Member) start() error {
	m.op.Lock()
	defer m.op.Unlock()
	return m.startLocked()
}

// startLocked is start. The caller must hold op.
func (m *Member) startLocked() error {
	spec := m.spec()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return errStopped
	}
	if m.proc != nil && m.proc.running() {
		return fmt.Errorf("cluster: %s is already running", m.name)
	}
	p, err := startProcess(spec, m.dir, m.log)
	if err != nil {
		return fmt.Errorf("cluster: starting %s: %w", m.name, err)
	}
	m.proc, m.ending, m.paused = p, false, false
	m.c.watchers.Go(func() { m.watch(p) })
	m.c.cfg.Logger.Debug("started a member", "member", m.name, "pid", p.cmd.Process.Pid, "endpoint", m.client.Address())
	return nil
}

// startServing starts the member and waits until it serves its peers.
func (m *Member) startServing(ctx context.Context) error {
	if err := m.start(); err != nil { //nolint:contextcheck // the member outlives ctx
		return err
	}
	p, err := m.live("wait for")
	if err != nil {
		return fmt.Errorf("%w%s", err, m.logSuffix())
	}
	select {
	case <-p.serving:
		return nil
	case <-p.exited:
		return fmt.Errorf("cluster: %s exited before it served: %w%s", m.name, p.err, m.logSuffix())
	case <-ctx.Done():
		return fmt.Errorf("cluster: %s does not serve yet: %w%s", m.name, context.Cause(ctx), m.logSuffix())
	}
}

// watch follows one process: it lets clients through while the member listens,
// and records an end that was not requested.
func (m *Member) watch(p *process) {
	defer close(p.watched)
	ctx, cancel := context.WithCancel(context.Background())
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	if m.c.server.path != "" {
		asking.Go(func() { m.awaitServing(ctx, p) })
	}
	select {
	case <-p.serving:
		m.setAway(false)
	case <-p.exited:
	}
	<-p.exited
	m.setAway(true)
	m.mu.Lock()
	byItself := !m.ending
	if byItself && m.crash == nil {
		m.crash = fmt.Errorf("cluster: %s exited by itself: %w%s", m.name, p.err, m.logSuffix())
	}
	m.mu.Unlock()
	if byItself {
		m.c.cfg.Logger.Error("a member exited by itself", "member", m.name, "error", p.err)
	}
}

// setAway tells the proxy in front of the member whether the member is gone.
func (m *Member) setAway(away bool) {
	if m.clientLink == nil {
		return
	}
	if err := m.clientLink.SetTargetAway(away); err != nil {
		m.c.cfg.Logger.Error("a client link does not work", "member", m.name, "error", err)
	}
}

func (m *Member) exitedByItself() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.crash
}

// beginEnd returns the running process and marks it as being ended on purpose. It
// returns nil if there is none.
func (m *Member) beginEnd() *process {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.proc == nil || !m.proc.running() {
		return nil
	}
	m.ending = true
	return m.proc
}

// live returns the running process, or an error that names the operation.
func (m *Member) live(operation string) (*process, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.proc == nil || !m.proc.running() {
		return nil, fmt.Errorf("cluster: cannot %s %s: it does not run", operation, m.name)
	}
	return m.proc, nil
}

// takePaused clears the mark that Pause has set, and reports whether it was set.
func (m *Member) takePaused() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.paused
	m.paused = false
	return was
}

// moveTo gives the member, which is not running, another client port.
func (m *Member) moveTo(port uint16) error {
	m.op.Lock()
	defer m.op.Unlock()
	return m.moveToLocked(port)
}

// moveToLocked is moveTo. The caller must hold op.
func (m *Member) moveToLocked(port uint16) error {
	next, err := loopback.ReserveNumber(port)
	if err != nil {
		return fmt.Errorf("cluster: moving %s: %w", m.name, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.clientLink != nil {
		if err := m.clientLink.Move(uint16(next.Number())); err != nil {
			return errors.Join(fmt.Errorf("cluster: moving %s: %w", m.name, err), next.Release())
		}
	}
	old := m.client
	m.client = next
	return old.Release()
}

// close ends the member permanently.
func (m *Member) close() error {
	m.op.Lock()
	defer m.op.Unlock()
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.killLocked()
	errs := []error{m.closeLinks()}
	if m.control != nil {
		errs = append(errs, m.control.Close())
	}
	for _, p := range []*loopback.Port{m.client, m.peer} {
		if p != nil {
			errs = append(errs, p.Release())
		}
	}
	return errors.Join(errs...)
}

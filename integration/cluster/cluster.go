package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// startTimeout limits Start if its context has no deadline.
	startTimeout = time.Minute
	// startAttempts is how many times Start tries other ports if a port is taken,
	// which cannot happen on Linux.
	startAttempts = 3
	// longestSocketPath fits into sockaddr_un on every system.
	longestSocketPath = 103
)

// ErrMainNotCalled is the error of Start in a program that did not call Main.
var ErrMainNotCalled = errors.New("cluster: call cluster.Main() in the first line of main or TestMain: members are copies of this program")

// errStopped is the error of operations on a stopped cluster.
var errStopped = errors.New("cluster: the cluster is stopped")

// Cluster is a set of etcd members, each in its own process. It is safe for
// concurrent use. The caller must call Stop.
type Cluster struct {
	// Read-only after start.
	cfg    Config
	server server
	token  string
	dir    string // data and logs
	run    string // working directories and their sockets

	growing sync.Mutex // serializes membership changes; guards named
	named   int        // the number of members that were ever named

	mu      sync.RWMutex // guards the fields below, and every member's peerLinks
	members []*Member
	former  []*Member // members that were removed

	watchers sync.WaitGroup // one goroutine for each process of a member

	stopOnce sync.Once
	stopErr  error
}

// Start starts a cluster and returns it when every member answers a linearizable
// read. If Start fails or ctx ends, nothing is left behind, and the error has the
// tail of the members' logs. The error is errors.ErrUnsupported if Config.Server
// cannot do what cfg asks for. A ctx without a deadline gets one minute. The end
// of ctx after that does not stop the cluster.
func Start(ctx context.Context, cfg Config) (*Cluster, error) {
	if !mainCalled.Load() {
		return nil, ErrMainNotCalled
	}
	cfg, err := cfg.populated()
	if err != nil {
		return nil, err
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Disks {
		if err := DisksSupported(); err != nil {
			return nil, err
		}
	}
	srv, err := findServer(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, startTimeout)
		defer cancel()
	}
	for attempt := 1; ; attempt++ {
		c, err := start(ctx, cfg, srv)
		if err == nil {
			return c, nil
		}
		portTaken := strings.Contains(err.Error(), "address already in use")
		if !portTaken || attempt == startAttempts || ctx.Err() != nil {
			return nil, err
		}
	}
}

func start(ctx context.Context, cfg Config, srv server) (_ *Cluster, err error) {
	c := &Cluster{cfg: cfg, server: srv, token: rand.Text()}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.stop(false))
		}
	}()
	if c.run, err = os.MkdirTemp("", "etcd-"); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	if c.run, err = filepath.Abs(c.run); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	c.dir = c.run
	if cfg.Dir != "" {
		if c.dir, err = os.MkdirTemp(cfg.Dir, "etcd-"); err != nil {
			return nil, fmt.Errorf("cluster: Config.Dir: %w", err)
		}
	}
	for i := range cfg.Size {
		m, err := newMember(c, fmt.Sprintf("m%d", i+1), 0)
		if err != nil {
			return nil, err
		}
		before := c.Members()
		c.mu.Lock()
		c.members = append(c.members, m)
		c.mu.Unlock()
		if err := c.linkMember(m, before); err != nil {
			return nil, err
		}
	}
	c.named = cfg.Size
	// Add the members one after another: a new member asks its peers whether they
	// know it, and waits a second for one that listens but does not serve yet.
	for _, m := range c.Members() {
		if err := m.startServing(ctx); err != nil {
			return nil, err
		}
	}
	if err := c.WaitHealthy(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// Members returns the members in the order of their names: m1, m2 and so on.
func (c *Cluster) Members() []*Member {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.Clone(c.members)
}

// Member returns the member with that name, or nil.
func (c *Cluster) Member(name string) *Member {
	for _, m := range c.Members() {
		if m.name == name {
			return m
		}
	}
	return nil
}

// Endpoints returns the Endpoint of each member, in the order of Members.
func (c *Cluster) Endpoints() []string {
	members := c.Members()
	endpoints := make([]string, len(members))
	for i, m := range members {
		endpoints[i] = m.Endpoint()
	}
	return endpoints
}

// Dir returns the directory with the members' data and logs. Stop removes it.
func (c *Cluster) Dir() string { return c.dir }

// Kill kills every member at once with SIGKILL and waits until all are gone.
func (c *Cluster) Kill() error {
	return c.each((*Member).Kill)
}

// Restart starts every member that is not running, on its former ports, and waits
// until every member is healthy.
func (c *Cluster) Restart(ctx context.Context) error {
	err := c.each(func(m *Member) error {
		if m.Running() {
			return nil
		}
		return m.start()
	})
	if err != nil {
		return err
	}
	return c.WaitHealthy(ctx)
}

// Move kills every member and restarts it with its data on another client port,
// as if all machines of the cluster got new addresses at once. It returns when
// every member is healthy and has published its new address in the member list.
// From then on the old ports refuse connections.
func (c *Cluster) Move(ctx context.Context) error {
	if err := c.Kill(); err != nil {
		return err
	}
	if err := c.each(func(m *Member) error { return m.moveTo(0) }); err != nil {
		return err
	}
	return c.Restart(ctx)
}

// Stop kills every member, waits for them and removes their data. If a member had
// exited by itself before, the error says so, with the tail of its log. The
// directory is then kept for inspection, and the error names it. Further calls
// wait for the first and return the same error.
func (c *Cluster) Stop() error { return c.stop(true) }

func (c *Cluster) stop(reportExits bool) error {
	c.stopOnce.Do(func() {
		c.growing.Lock() // wait for a change in progress
		defer c.growing.Unlock()
		_ = c.each((*Member).close)
		c.mu.RLock()
		former := slices.Clone(c.former)
		c.mu.RUnlock()
		for _, m := range former {
			_ = m.close()
		}
		c.watchers.Wait()
		var errs []error
		for _, m := range slices.Concat(c.Members(), former) {
			if err := m.exitedByItself(); err != nil && reportExits {
				errs = append(errs, err)
			}
		}
		if len(errs) > 0 {
			errs = append(errs, fmt.Errorf("cluster: data and logs are in %s", c.dir))
		} else if c.dir != "" {
			errs = append(errs, os.RemoveAll(c.dir))
		}
		if c.run != c.dir {
			errs = append(errs, os.RemoveAll(c.run))
		}
		c.stopErr = errors.Join(errs...)
	})
	return c.stopErr
}

// each calls f for every member concurrently, waits, and joins the errors.
func (c *Cluster) each(f func(*Member) error) error {
	members := c.Members()
	errs := make([]error, len(members))
	var wg sync.WaitGroup
	for i, m := range members {
		wg.Go(func() { errs[i] = f(m) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// initialCluster returns the value of etcd's --initial-cluster.
func (c *Cluster) initialCluster() string {
	members := c.Members()
	parts := make([]string, len(members))
	for i, m := range members {
		parts[i] = m.name + "=" + m.peerURL()
	}
	return strings.Join(parts, ",")
}

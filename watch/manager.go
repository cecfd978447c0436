package watch

import (
	"context"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/internal/census"
)

// command is something that the API, a context or a consumer wants of the
// machine.
type command struct {
	kind commandKind
	w    *watcher
	err  error

	tally chan<- census.Tally // of capacity 1, for cmdTally
}

type commandKind uint8

const (
	cmdAdd      commandKind = iota
	cmdEnd                  // w ends with err
	cmdDrained              // the consumer of w has made room
	cmdProgress             // RequestProgress was called
	cmdTally                // somebody wants to know what there is
)

// manager starts the machine with the first watch, hands it commands, and joins
// everything in Close. Its mutex comes after watcher.mu and before Census.mu.
type manager struct {
	watch   pb.WatchClient
	kv      pb.KVClient
	cfg     config
	closing chan struct{}  // closed by Close
	wake    chan struct{}  // capacity 1: inbox has something, or closed was set
	wg      sync.WaitGroup // the machine, its streams and reads, pumps, callbacks of contexts

	// settling are ranges of which no watch is to be created before then. Owned by
	// the machine, of which there is one at a time.
	settling map[keyRange]time.Time

	mu      sync.Mutex
	inbox   []command
	running bool
	closed  bool
	machine *machine       // the running one, or the last
	deaf    error          // why the server that last showed it need not be asked for progress
	census  *census.Census // that the watches count in; nil while no stream was opened on a client
}

func newManager(cc grpc.ClientConnInterface, cfg config) *manager {
	return &manager{
		watch:   pb.NewWatchClient(cc),
		kv:      pb.NewKVClient(cc),
		cfg:     cfg,
		closing: make(chan struct{}),
		wake:    make(chan struct{}, 1),

		settling: make(map[keyRange]time.Time),
	}
}

// add hands a new watcher to the machine, and tells it of the context's end.
func (m *manager) add(w *watcher) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	m.wg.Add(1)
	// Under mu, so that the callback comes after the watcher.
	w.stop = context.AfterFunc(w.ctx, func() {
		defer m.wg.Done()
		_ = m.post(command{kind: cmdEnd, w: w, err: contextCause(w.ctx)})
	})
	m.postLocked(command{kind: cmdAdd, w: w})
	if !m.running {
		m.running = true
		m.machine = newMachine(m)
		m.wg.Go(m.machine.run)
	}
	return nil
}

// setDeaf notes why it is of no use to ask for progress, for RequestProgress to
// tell; nil if it is.
func (m *manager) setDeaf(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.deaf = err
}

func (m *manager) isDeaf() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil // that is said first
	}
	return m.deaf
}

// post leaves a command for the machine. Without one there is no watcher, and
// nothing to do.
func (m *manager) post(c command) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	if m.running {
		m.postLocked(c)
	}
	return nil
}

func (m *manager) postLocked(c command) {
	m.inbox = append(m.inbox, c)
	signal(m.wake)
}

// take gives the machine its commands, and says whether it has to close. A
// machine without watchers, and without a command, has ended when take returns.
func (m *manager) take(idle bool) (commands []command, closed, done bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	commands, m.inbox = m.inbox, nil
	if idle && len(commands) == 0 {
		m.running = false
		if m.census != nil {
			m.census.Leave(m)
			m.census = nil
		}
		return nil, m.closed, true
	}
	return commands, m.closed, false
}

func (m *manager) close() {
	m.mu.Lock()
	if !m.closed {
		m.closed = true
		close(m.closing)
		signal(m.wake)
	}
	m.mu.Unlock()
	m.wg.Wait()
}

//go:noinline
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

package election

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/internal/holder"
	"github.com/getcd/getcd/internal/misuse"
	"github.com/getcd/getcd/internal/queue"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
)

// Election is one candidate's part in an election, or an observer's. Candidates
// lead in the order in which they came.
//
// Its methods are safe for concurrent use, but it stands for one candidate:
// goroutines that compete need an Election each. After the leadership was lost,
// Campaign may be called with or without a Resign before.
type Election struct {
	cfg config

	mu       sync.Mutex // guards what follows
	busy     chan struct{}
	withdraw context.CancelCauseFunc // ends the Campaign that is under way
	led      *candidacy              // what Campaign has won; nil before, and after Resign
	rev      int64
	header   *pb.ResponseHeader
	turn     *pb.ResponseHeader
}

// New returns a part in the election called name, which must not be
// empty. It sends nothing, starts nothing and has nothing to close; who leads has
// goroutines until Resign or until the leadership is lost. An option that is out
// of bounds is an error that names them.
func New(cc grpc.ClientConnInterface, name string, opts ...Option) (*Election, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if err := misuse.Options("election: New", opts); err != nil {
		return nil, err
	}
	e := &Election{cfg: newConfig(cc, name)}
	for _, o := range opts {
		o(&e.cfg)
	}
	if err := holder.CheckTTL("election: WithTTL", e.cfg.TTL); err != nil {
		return nil, err
	}
	if e.cfg.session != nil && e.cfg.session.ID() == lease.NoLease {
		return nil, errors.New("election: WithSession: its lease ID is 0, which means no lease")
	}
	return e, nil
}

// Resume returns the part of a leader that is known already, by its key and the
// key's create revision: as Election.Key and Rev told them, or the election
// service's LeaderKey. It needs WithSession, with the lease that the key has.
// Nothing is sent, so what it is told is believed until a Proclaim, a Txn or a
// look at Done or Err finds out.
func Resume(cc grpc.ClientConnInterface, name, key string, rev int64, opts ...Option) (*Election, error) {
	e, err := New(cc, name, opts...)
	if err != nil {
		return nil, err
	}
	switch {
	case e.cfg.session == nil:
		return nil, errors.New("election: Resume: there is no session; give WithSession, with the lease that the leader's key has")
	case !strings.HasPrefix(key, e.cfg.Prefix) && strings.HasSuffix(name, "/") && strings.HasPrefix(key, name):
		e.cfg.Prefix = name // the name came with its slash
	case !strings.HasPrefix(key, e.cfg.Prefix):
		return nil, fmt.Errorf("election: Resume: the key %q is none of the election %q, whose keys begin with %q", key, name, e.cfg.Prefix)
	}
	if rev <= 0 {
		return nil, fmt.Errorf("election: Resume: the create revision is %d; it must be that of the leader's key", rev)
	}
	h, _ := e.cfg.New(context.Background())
	c := e.newCandidacy(h)
	c.lease, c.Place.Key, c.Place.Rev = e.cfg.session, key, rev
	c.SetLease(c.lease)
	if c.ledger != nil {
		c.claim()
	}
	e.led, e.rev = c, rev
	return e, nil
}

// Campaign puts the candidate up with a value and waits until it leads or ctx
// ends; once it leads, it does not depend on ctx. A candidate that leads already
// proclaims the value, and leads on. When it loses its place while it waits, it
// queues again; but when its session ends, Campaign returns ErrLost.
//
// After an error the candidate is withdrawn, for which it takes up to 3 s beyond
// ctx; if the cluster cannot be reached for those either, it goes when its lease
// ends, or before, as soon as the cluster can be reached. The error has the context's and the last failure, or is the server's
// where trying on would not help. ErrResigned means that Resign was called
// meanwhile.
func (e *Election) Campaign(ctx context.Context, val string) error {
	return e.stand(ctx, val, true)
}

// TryCampaign is Campaign that does not wait for other candidates: when there is one
// who came before, it withdraws and returns ErrContended.
func (e *Election) TryCampaign(ctx context.Context, val string) error {
	return e.stand(ctx, val, false)
}

func (e *Election) stand(ctx context.Context, val string, wait bool) error {
	if err := misuse.Context(ctx, "election: Campaign"); err != nil {
		return err
	}
	ctx, withdraw := context.WithCancelCause(ctx)
	defer withdraw(nil)
	e.mu.Lock()
	if e.busy != nil {
		e.mu.Unlock()
		return ErrCampaigning
	}
	e.busy, e.withdraw = make(chan struct{}), withdraw
	led := e.led
	e.mu.Unlock()

	won, err := led, error(nil)
	if led != nil {
		err = led.proclaim(ctx, val)
	}
	if led == nil || errors.Is(err, ErrNotLeader) {
		if led != nil {
			_ = led.Drop(ctx, ErrResigned) // it was lost; failing that, its lease ends it
			e.settle(nil, nil)
		}
		won, err = holder.Acquire(ctx, &e.cfg.Config, e.cfg.session != nil, func(h *holder.Holder) *candidacy {
			c := e.newCandidacy(h)
			c.val, c.wait = val, wait
			return c
		})
	}
	if err != nil && errors.Is(context.Cause(ctx), ErrResigned) {
		err = ErrResigned
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.settleLocked(won, err)
	close(e.busy)
	e.busy, e.withdraw = nil, nil
	return err
}

func (e *Election) settle(led *candidacy, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.settleLocked(led, err)
}

func (e *Election) settleLocked(led *candidacy, err error) {
	e.led = led
	if led != nil && err == nil {
		e.rev, e.header, e.turn = led.Place.Rev, led.proposal(), led.turn
		if e.turn.GetRevision() < e.header.GetRevision() {
			e.turn = e.header
		}
	}
}

// Run campaigns with a value, as Campaign does, calls f, waits for it, and resigns, as
// Resign does, also when f panics. f is not called unless the candidate leads. One that
// leads already leads on, and resigns when f has returned.
//
// The context of f is derived from ctx, and ends when the leadership does, too:
// context.Cause tells which. f must stop then, since another one may lead; Run waits for
// it however long that takes. To lead again after a loss, call Run again.
//
// The error is nil only if f has succeeded, the candidate led until f returned, and it has
// resigned. Otherwise errors.Is finds all that has happened: the error of f, ErrLost with
// its cause, or ErrResigned if somebody has called Resign meanwhile, and why the
// candidate could not resign, in which case the leadership ends with its lease. When the
// candidate did not get to lead it is Campaign's error alone.
func (e *Election) Run(ctx context.Context, val string, f func(ctx context.Context) error) error {
	if err := kind.CheckRun(ctx, "Run", f); err != nil {
		return err
	}
	if err := e.Campaign(ctx, val); err != nil {
		return err
	}
	h := e.holder()
	if h == nil { // another goroutine has called Resign in this moment
		return ErrResigned
	}
	h.WatchKey()
	return h.Run(ctx, f, e.Resign)
}

// Proclaim replaces the leader's value, and tells all who observe. It is not
// applied unless the candidate leads: if it does not, that is ErrNotLeader, with
// ErrLost when it did. Other errors are the connection's: on a client's,
// client.IsAmbiguous tells of a proclamation that may have been made; one that is
// made after it cannot be undone by it.
func (e *Election) Proclaim(ctx context.Context, val string) error {
	if err := misuse.Context(ctx, "election: Proclaim"); err != nil {
		return err
	}
	c := e.current()
	if c == nil {
		return ErrNotLeader
	}
	if err := c.proclaim(ctx, val); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.header = c.proposal()
	return nil
}

// Resign gives up the leadership, so that the next candidate leads, or ends the
// Campaign that is under way, and waits until that has cleaned up. Done closes
// before anything is sent. The cleaning up has its own 3 s, so that it works even
// when ctx has ended. To resign without leading, or what was lost, is no error;
// an error means that the cluster could not be reached, and that the leadership
// ends with the lease, or before, as soon as the cluster can be reached.
func (e *Election) Resign(ctx context.Context) error {
	if err := misuse.Context(ctx, "election: Resign"); err != nil {
		return err
	}
	e.mu.Lock()
	for e.busy != nil {
		busy, withdraw := e.busy, e.withdraw
		e.mu.Unlock()
		withdraw(ErrResigned)
		if !await(ctx, busy) {
			return kind.Ended(ctx, e.cfg.Name, nil)
		}
		e.mu.Lock()
	}
	c := e.led
	if c == nil {
		e.mu.Unlock()
		return nil
	}
	e.busy, e.withdraw = make(chan struct{}), func(error) {}
	e.mu.Unlock()

	header, err := c.resign(ctx)

	e.mu.Lock()
	defer e.mu.Unlock()
	close(e.busy)
	e.busy, e.withdraw, e.led = nil, nil, nil
	if header != nil {
		e.header = header
	}
	return err
}

// await waits until busy is closed, and when ctx has ended for as long as cleaning up may take.
func await(ctx context.Context, busy <-chan struct{}) bool {
	select {
	case <-busy:
		return true
	case <-ctx.Done():
	}
	rest, cancel := queue.Cleanup(ctx)
	defer cancel()
	select {
	case <-busy:
		return true
	case <-rest.Done():
		return false
	}
}

// Leader reads who leads: the one of Kvs is the leader's key and value. Nobody is
// ErrNoLeader. Keys below the election's name that are no candidate's do not lead.
func (e *Election) Leader(ctx context.Context) (*kv.GetResponse, error) {
	if err := misuse.Context(ctx, "election: Leader"); err != nil {
		return nil, err
	}
	resp, err := queue.First(ctx, e.cfg.KV, e.cfg.LeaseRequests(), e.cfg.Prefix)
	if err != nil {
		return nil, err
	}
	if len(resp.Kvs) == 0 {
		return nil, ErrNoLeader
	}
	return resp, nil
}

// Name is the election's name.
func (e *Election) Name() string { return e.cfg.Name }

// Key is the leader's key while the candidate leads, as far as is known, and
// otherwise empty.
func (e *Election) Key() string {
	if c := e.current(); c != nil && c.Context().Err() == nil {
		return c.Place.Key
	}
	return ""
}

// Rev is the create revision of the leader's key: the fencing token. Whoever
// leads later, anywhere, has a greater one. After the leadership it keeps its
// value until the next; it is 0 before the first.
func (e *Election) Rev() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.rev
}

// Header is the server's for the last Campaign, Proclaim or Resign that
// succeeded, and nil before the first.
func (e *Election) Header() *pb.ResponseHeader {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.header
}

// Turn is the header of an answer that the server gave when the candidate led already, in
// the last Campaign that succeeded, and nil before the first. All that former leaders have
// done while they led is in the state at its revision. Header's can be before that: a
// candidate that waits has put its key long before it leads.
func (e *Election) Turn() *pb.ResponseHeader {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.turn
}

// Done returns a channel that closes the moment the leadership can no longer be
// proven: its lease is about to run out or is gone, or its key was deleted; and at
// Resign. Without leadership it is closed already. Each leadership has its own,
// so get it after Campaign.
func (e *Election) Done() <-chan struct{} {
	h := e.holder()
	if h != nil {
		h.WatchKey()
	}
	return holder.Done(h)
}

// Context returns a context that ends when Done closes. Its cause (context.Cause) is
// ErrLost with the reason, or ErrResigned after Resign. It has the values of the context
// that Campaign was called with, but neither that one's end nor its deadline, as the
// leadership does not depend on them; Run has a context that ends with both. Each
// leadership has its own, so get it after Campaign; without leadership it has ended
// already, because of ErrNotLeader.
func (e *Election) Context() context.Context {
	h := e.holder()
	if h != nil {
		h.WatchKey()
	}
	return holder.Context(h, ErrNotLeader)
}

// Err is nil while the candidate leads, ErrLost with the reason when that was
// lost, and ErrNotLeader otherwise. It looks at the clock, as lease.Keeper.Err
// does; that the key was deleted it learns in the background.
func (e *Election) Err() error {
	if h := e.holder(); h != nil {
		h.WatchKey()
		return h.Err()
	}
	return ErrNotLeader
}

// Guard is the comparison that holds as long as the leadership does, for
// transactions on the same cluster. Without leadership it is one that never
// holds.
func (e *Election) Guard() kv.Cmp {
	return e.cfg.Guard(e.holder())
}

// Txn begins a transaction that is applied only while the candidate leads,
// whatever the clocks say: the server checks. It is a kv.Txn like any other, with
// its own If, Then and Else; on the wire it is nested in one whose comparison is
// Guard, so that the loss of the leadership is told from a comparison that does
// not hold. Commit returns ErrLost when the leadership was lost, and ErrNotLeader
// without one, and then nothing was applied.
//
// When its answer is lost, nobody knows whether it was applied. kv.Marker begins
// transactions on an Election of which that can be found out.
func (e *Election) Txn(ctx context.Context) kv.Txn {
	return kind.Txn(ctx, e.holder(), ErrNotLeader)
}

func (e *Election) current() *candidacy {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.led
}

func (e *Election) holder() *holder.Holder {
	if c := e.current(); c != nil {
		return c.Holder
	}
	return nil
}

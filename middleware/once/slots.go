package once

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"

	"github.com/getcd/getcd/internal/backoff"
	"github.com/getcd/getcd/internal/ctxerr"
	"github.com/getcd/getcd/internal/etcderr"
	"github.com/getcd/getcd/lease"
)

const (
	// firstSlots is how many slots a writer begins with. When they are all in use it makes as
	// many as it has, in the background.
	firstSlots = 8
	// mostAtOnce is how many slots are made, and how many deleted, in one transaction: a
	// server permits 128 operations unless its --max-txn-ops says otherwise.
	mostAtOnce = 64
	// closePatience is how long Close tries to revoke the lease.
	closePatience = time.Second
)

// writer is one incarnation: a lease, and the slots that are bound to it. It ends with the
// lease, or when a slot is found gone.
type writer struct {
	id     lease.ID
	prefix string // of its slots: the lease's ID is in it, so that no two writers meet
	stop   context.CancelFunc

	// Guarded by slots.mu.
	made  int  // names that were used
	lent  int  // slots that writes have
	ended bool // the lease is to be revoked when there are none
}

// name is the key of the n-th slot. Names are in order, so that those of one transaction are a
// range.
func (w *writer) name(n int) []byte { return fmt.Appendf(nil, "%s%08x", w.prefix, n) }

// slots gives out the slots of one writer after another. A goroutine makes them (tend), while
// there is something to be made.
type slots struct {
	transport
	cfg    config
	prefix string
	leases lease.Lease

	life context.Context //nolint:containedctx // until close
	end  context.CancelFunc
	wg   sync.WaitGroup

	mu      sync.Mutex // a leaf
	w       *writer    // nil before the first and after each one's end
	granted lease.ID   // the last lease that was asked for; NoLease if there is certainly none
	free    []*slot    // in turn: the first was given back first
	stale   []*slot    // those of w whose fate is not known: to be deleted
	waiting []chan taken
	last    error // why making slots has failed, if it was not made since
	atOnce  int   // mostAtOnce, or what the server permits
	tending bool
	closed  bool
}

// taken is what a write that waits for a slot gets.
type taken struct {
	s   *slot
	err error
}

func newSlots(t transport, prefix string, cfg config) *slots {
	p := &slots{transport: t, cfg: cfg, prefix: prefix, leases: lease.New(t.cc), atOnce: mostAtOnce}
	p.life, p.end = context.WithCancel(context.Background())
	return p
}

// take returns a slot that nobody else has, or the error of ctx, or why there is none.
func (p *slots) take(ctx context.Context) (*slot, error) {
	p.mu.Lock()
	switch {
	case p.closed:
		p.mu.Unlock()
		return nil, errClosed
	case len(p.free) > 0:
		s := p.free[0]
		p.free = p.free[1:]
		s.of.lent++
		p.tendLocked()
		p.mu.Unlock()
		return s, nil
	}
	ch := make(chan taken, 1)
	p.waiting = append(p.waiting, ch)
	p.tendLocked()
	p.mu.Unlock()
	select {
	case t := <-ch:
		return t.s, t.err
	case <-ctx.Done():
	}
	p.mu.Lock()
	p.waiting = slices.DeleteFunc(p.waiting, func(o chan taken) bool { return o == ch })
	p.mu.Unlock()
	select {
	case t := <-ch:
		if t.s != nil {
			p.give(t.s)
		}
	default:
	}
	return nil, p.late(ctxerr.Of(ctx))
}

// late returns the error of a context that has ended before there was a slot, with the reason.
func (p *slots) late(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last == nil {
		return err
	}
	// The reason is that of another request, and does not decide what the error is.
	return fmt.Errorf("%w; the last error was: %v", err, p.last) //nolint:errorlint // see above
}

// give returns a slot whose mod revision is known.
func (p *slots) give(s *slot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.returnLocked(s) {
		p.addLocked(s)
	}
}

// abandon returns a slot whose write is in doubt. It is deleted, which fences the write, and
// never used again.
func (p *slots) abandon(s *slot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.returnLocked(s) {
		p.stale = append(p.stale, s)
		p.tendLocked()
	}
}

// drop forgets a slot that was deleted.
func (p *slots) drop(s *slot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.returnLocked(s) {
		p.tendLocked()
	}
}

// lose ends the writer of a slot that is gone: its lease has ended, or somebody has deleted
// slots. The next write begins another one.
func (p *slots) lose(s *slot) {
	p.finish(s.of)
	p.drop(s)
}

// returnLocked notes that no write has s any more, and reports whether its writer goes on.
func (p *slots) returnLocked(s *slot) bool {
	s.of.lent--
	p.retireLocked(s.of)
	return s.of == p.w
}

// finish ends a writer.
func (p *slots) finish(w *writer) {
	w.stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.ended {
		return
	}
	w.ended = true
	p.retireLocked(w)
	if p.w == w {
		p.w, p.free, p.stale = nil, nil, nil
		if len(p.waiting) > 0 {
			p.tendLocked()
		}
	}
}

// retireLocked revokes the lease of a writer that has ended, and so deletes the slots that are left,
// when no write has one: it might be the slot's history that tells what became of the write.
// Without an answer they go with the lease.
func (p *slots) retireLocked(w *writer) {
	if w.ended && w.lent == 0 && !p.closed {
		p.wg.Go(func() { _, _ = p.leases.Revoke(p.life, w.id) })
	}
}

// addLocked gives a free slot to the write that has waited longest, or keeps it.
func (p *slots) addLocked(s *slot) {
	if len(p.waiting) == 0 {
		p.free = append(p.free, s)
		return
	}
	s.of.lent++
	p.waiting[0] <- taken{s: s}
	p.waiting = p.waiting[1:]
}

// totalLocked is how many slots w has, the stale ones included: the bound is one of keys.
func (p *slots) totalLocked() int {
	n := len(p.free) + len(p.stale)
	if p.w != nil {
		n += p.w.lent
	}
	return n
}

// lackingLocked returns how many slots are to be made now: none while one is free, and no
// writer is begun that nobody waits for.
func (p *slots) lackingLocked() int {
	total := p.totalLocked()
	if len(p.free) > 0 || p.w == nil && len(p.waiting) == 0 {
		return 0
	}
	more := min(max(total, firstSlots, len(p.waiting)), p.atOnce)
	return min(more, p.cfg.slots-total+min(len(p.stale), p.atOnce))
}

// tendLocked lets a goroutine do what there is to be done, unless one does.
func (p *slots) tendLocked() {
	if p.tending || p.closed || p.lackingLocked() == 0 && len(p.stale) == 0 {
		return
	}
	p.tending = true
	p.wg.Go(p.tend)
}

// tend makes slots and deletes stale ones, until nothing is left to be done. When that fails it
// tries again while writes wait.
func (p *slots) tend() {
	for failures := 0; ; {
		p.mu.Lock()
		w, lacking := p.w, p.lackingLocked()
		stale := slices.Clone(p.stale[:min(len(p.stale), p.atOnce)])
		idle := lacking == 0 && len(stale) == 0
		if idle || p.closed {
			p.tending = false
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()

		var err error
		if w == nil {
			w, err = p.begin()
		}
		if err == nil {
			err = p.make(w, lacking, stale)
		}
		switch {
		case err == nil:
			failures = 0
			continue
		case tooManyOps(err) && p.fewer():
			continue
		case w != nil && etcderr.NotFound(err): // the lease
			p.finish(w)
			failures++
		default:
			failures++
		}
		if !p.failed(err) {
			return
		}
		backoff.Sleep(p.life, pauses.Pause(failures-1)) // if life ends, the next round says so
	}
}

// fewer has the next transaction make half as many slots, and reports whether there were more
// than one.
func (p *slots) fewer() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.atOnce == 1 {
		return false
	}
	p.atOnce /= 2
	return true
}

// tooManyOps takes the error of a client, or of a plain connection.
func tooManyOps(err error) bool {
	return errors.Is(err, rpctypes.ErrTooManyOps) || errors.Is(err, rpctypes.ErrGRPCTooManyOps)
}

func noSpace(err error) bool {
	return errors.Is(err, rpctypes.ErrNoSpace) || errors.Is(err, rpctypes.ErrGRPCNoSpace)
}

// failed tells the writes that wait for a slot that there will be none, if err is final. A store
// without space counts as that: it lasts until somebody makes room. failed reports whether tend
// is to try again; if not, the next write begins another one.
func (p *slots) failed(err error) (again bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = err
	if etcderr.Final(err) || noSpace(err) || p.life.Err() != nil {
		if p.closed {
			err = errClosed
		}
		for _, ch := range p.waiting {
			ch <- taken{err: err}
		}
		p.waiting = nil
	}
	p.tending = len(p.waiting) > 0
	return p.tending
}

// begin makes a writer.
func (p *slots) begin() (*writer, error) {
	id := lease.NewID()
	p.grant(id) // before it is sent: the answer may be lost
	if _, err := p.leases.GrantID(p.life, id, p.cfg.ttl); err != nil {
		if !etcderr.Ambiguous(err) {
			p.grant(lease.NoLease)
		}
		return nil, fmt.Errorf("granting the slots' lease: %w", err)
	}
	w := &writer{id: id, prefix: fmt.Sprintf("%s%016x/", p.prefix, uint64(id))}
	kept, stop := context.WithCancel(p.life)
	w.stop = stop
	p.mu.Lock()
	p.w = w
	p.mu.Unlock()
	p.wg.Go(func() {
		defer stop()
		k, err := p.leases.Keep(kept, id)
		if err == nil {
			<-k.Done()
		}
		p.finish(w)
	})
	return w, nil
}

// grant notes which lease close has to revoke.
func (p *slots) grant(id lease.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.granted = id
}

// make makes n slots of w, and deletes the stale ones. A copy of the transaction, however late,
// does nothing while one of the slots is there; if they are all gone, it makes slots that
// nobody uses.
func (p *slots) make(w *writer, n int, stale []*slot) error {
	p.mu.Lock()
	first := w.made
	w.made += n
	p.mu.Unlock()

	r := &pb.TxnRequest{}
	if n > 0 {
		from, end := w.name(first), w.name(first+n)
		r.Compare = []*pb.Compare{{Key: from, RangeEnd: end, Target: pb.Compare_CREATE, TargetUnion: &pb.Compare_CreateRevision{}}}
		r.Failure = []*pb.RequestOp{{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: from, RangeEnd: end}}}}
	}
	for i := range n {
		r.Success = append(r.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: w.name(first + i), Lease: int64(w.id)}}})
	}
	for _, s := range stale {
		r.Success = append(r.Success, s.remove())
	}
	resp, err := p.txn(p.life, r)
	switch {
	case etcderr.Code(err) == codes.PermissionDenied:
		return fmt.Errorf("making slots: the user needs a role that may read and write the keys with the prefix %q: %w", p.prefix, err)
	case err != nil:
		return fmt.Errorf("making slots: %w", err)
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = nil
	if p.w != w {
		return nil
	}
	p.stale = slices.DeleteFunc(p.stale, func(s *slot) bool { return slices.Contains(stale, s) })
	if resp.GetSucceeded() {
		for i := range n {
			p.addLocked(&slot{key: w.name(first + i), of: w, mod: resp.GetHeader().GetRevision()})
		}
		return nil
	}
	for _, kv := range made(resp) { // by an earlier copy
		p.addLocked(&slot{key: kv.GetKey(), of: w, mod: kv.GetModRevision()})
	}
	return nil
}

func made(resp *pb.TxnResponse) []*mvccpb.KeyValue {
	if len(resp.GetResponses()) == 0 {
		return nil
	}
	return resp.GetResponses()[0].GetResponseRange().GetKvs()
}

// close ends what runs, and revokes the lease. Its error is that of the revocation.
func (p *slots) close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	for _, ch := range p.waiting {
		ch <- taken{err: errClosed}
	}
	p.waiting = nil
	p.mu.Unlock()
	p.end()
	p.wg.Wait()
	_ = p.leases.Close() // always nil
	// Nobody is left who would ask for another one.
	if p.granted == lease.NoLease {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closePatience)
	defer cancel()
	if _, err := p.leases.Revoke(ctx, p.granted); err != nil && !etcderr.NotFound(err) {
		return fmt.Errorf("once: revoking the slots' lease: %w", err)
	}
	return nil
}

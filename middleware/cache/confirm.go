package cache

import (
	"context"
	"errors"
	"runtime"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

const (
	// roundPatience is how long a confirmation may take before its readers ask for
	// themselves: more than it takes a client to move a read to another member.
	roundPatience = 500 * time.Millisecond
	// tellPatience is how long the watch is given to show that it has come to the confirmed
	// revision.
	tellPatience = 25 * time.Millisecond
	// comePatience is how long an event is waited for when progress can't be asked for.
	comePatience = 5 * time.Millisecond
	// muteTries is how many rounds in a row may ask for progress in vain before it is asked for
	// once in muteRare only.
	muteTries = 3
	muteRare  = time.Second
	// fewKeys is how many keys a prefix may have to be compared as a whole: the server walks
	// over all of them.
	fewKeys = 10_000
	// checkUsed is how old the last confirmation may become while readers are answered from
	// memory, and checkIdle otherwise.
	checkUsed = time.Second
	checkIdle = 5 * time.Second
)

// round is a confirmation, for all readers that have come before it was sent.
type round struct {
	done chan struct{} // closed when the following is set
	st   *state        // not older than the cluster was when the round was sent
	err  error         // why there is none
}

var errLate = errors.New("cache: the watch has not come to the confirmed revision in time")

// confirm returns a state that has everything that was written before confirm was called.
func (p *prefix) confirm(ctx context.Context) (*state, error) {
	p.mu.Lock()
	r := p.next
	if r == nil {
		r = &round{done: make(chan struct{})}
		p.next = r
	}
	if !p.asking {
		if !p.c.spawn(p.ask) {
			p.next = nil
			p.mu.Unlock()
			return nil, errClosed
		}
		p.asking = true
	}
	p.mu.Unlock()
	select {
	case <-r.done:
		return r.st, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// ask sends rounds, one after the other, as long as there are readers.
func (p *prefix) ask(ctx context.Context) {
	for {
		// Those who were answered just now may have another question: let them come along.
		runtime.Gosched()
		p.mu.Lock()
		r := p.next
		p.next = nil
		if r == nil {
			p.asking = false
		}
		p.mu.Unlock()
		if r == nil {
			return
		}
		p.send(ctx, r)
	}
}

// send asks the cluster for its revision, and whether the user may still read the prefix.
func (p *prefix) send(ctx context.Context, r *round) {
	before := p.state.Load()
	if before == nil {
		r.end(nil, errNotReady)
		return
	}
	p.stats.rounds.Add(1)
	asking, cancel := context.WithTimeout(ctx, roundPatience)
	defer cancel()
	resp := &pb.TxnResponse{}
	err := p.c.cc.Invoke(asking, pb.KV_Txn_FullMethodName, p.question, resp)
	if err != nil {
		if denied(err) {
			p.again(errDenied)
		}
		r.end(nil, err)
		return
	}
	if !p.sane(resp.Header, before) {
		r.end(nil, errHistory)
		return
	}
	if st := p.state.Load(); st != nil && st.rev >= resp.Header.Revision {
		r.end(st, nil)
		return
	}
	if !p.mayAsk() {
		// The next round waits: what this costs the server should not be asked for twice
		// at a time.
		r.end(p.settle(ctx, resp.Header.Revision))
		return
	}
	// This takes a while. Readers that come meanwhile need not wait for it.
	if !p.c.spawn(func(ctx context.Context) { r.end(p.reach(ctx, resp.Header.Revision)) }) {
		r.end(nil, errClosed)
	}
}

func (r *round) end(st *state, err error) {
	if st == nil && err == nil {
		err = errNotReady
	}
	r.st, r.err = st, err
	close(r.done)
}

// sane takes a header of a linearizable read that was sent when before was known. One history
// does not go back.
func (p *prefix) sane(h *pb.ResponseHeader, before *state) bool {
	was := p.header.Load()
	other := was.GetClusterId() != 0 && h.GetClusterId() != 0 && was.GetClusterId() != h.GetClusterId()
	if other || h.GetRevision() < max(before.rev, 1) { // a server that is not etcd may tell none
		p.again(errHistory)
		return false
	}
	p.header.Store(h)
	p.see(h.Revision)
	p.asked.Store(int64(time.Since(p.c.born)))
	return true
}

// reach waits until the state is that of a revision, or a later one. The server is asked how far
// the watch is, since no event may come.
func (p *prefix) reach(ctx context.Context, rev int64) (*state, error) {
	st, told := p.await(ctx, rev, tellPatience, true)
	p.mu.Lock()
	if told {
		p.mute = 0
	} else {
		p.mute++
	}
	p.mu.Unlock()
	if told && st != nil {
		return st, nil
	}
	return p.settle(ctx, rev)
}

// mayAsk reports whether to ask for progress. Behind etcd's gRPC proxy nobody answers.
func (p *prefix) mayAsk() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mute >= muteTries && time.Since(p.lastAsk) < muteRare {
		return false
	}
	p.lastAsk = time.Now()
	return true
}

// settle is reach without progress: few keys are compared with the server's, and many have to wait
// for an event.
func (p *prefix) settle(ctx context.Context, rev int64) (*state, error) {
	st := p.state.Load()
	switch {
	case st == nil:
		return nil, errNotReady
	case st.rev >= rev:
		return st, nil
	case st.root.count() > fewKeys:
		if st, told := p.await(ctx, rev, comePatience, false); told && st != nil {
			return st, nil
		}
		return nil, errLate
	}
	same, err := p.compare(ctx, st)
	if now := p.state.Load(); err != nil && now != nil && now.rev >= rev {
		return now, nil // the changes have come meanwhile
	}
	return same, err
}

// await reports told when the state has reached the revision, or there is none any more.
func (p *prefix) await(ctx context.Context, rev int64, patience time.Duration, ask bool) (st *state, told bool) {
	late := time.NewTimer(patience)
	defer late.Stop()
	var again <-chan time.Time // a member that is behind has to be asked again
	for {
		moved := p.waiting()
		st := p.state.Load()
		if st == nil || st.rev >= rev {
			return st, true
		}
		if ask && again == nil {
			if err := p.c.watcher.RequestProgress(ctx); err != nil {
				return nil, false
			}
			p.stats.progress.Add(1)
			t := time.NewTimer(tellPatience / 3)
			defer t.Stop()
			again = t.C
		}
		select {
		case <-moved:
		case <-again:
			again = nil
		case <-late.C:
			return nil, false
		case <-ctx.Done():
			return nil, false
		}
	}
}

// compare asks for the number of the keys, and for one that is newer than st. If there is none,
// all keys are those of st, unchanged, since a key that is not newer was there as it is. If their
// number is the same as well, st has no other. So it is the state at the answer's revision, too;
// but not at those between, when a key may have come and gone.
func (p *prefix) compare(ctx context.Context, st *state) (*state, error) {
	select {
	case p.comparing <- struct{}{}: // as above, when several rounds have asked in vain
		defer func() { <-p.comparing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	p.stats.compared.Add(1)
	ctx, cancel := context.WithTimeout(ctx, roundPatience)
	defer cancel()
	resp := &pb.RangeResponse{}
	err := p.c.cc.Invoke(ctx, pb.KV_Range_FullMethodName, &pb.RangeRequest{
		Key: p.first(), RangeEnd: p.end, MinModRevision: st.rev + 1, Limit: 1, KeysOnly: true,
	}, resp)
	switch {
	case err != nil:
		if denied(err) {
			p.again(errDenied)
		}
		return nil, err
	case !p.sane(resp.Header, st):
		return nil, errHistory
	case len(resp.Kvs) > 0 || resp.Count != int64(st.root.count()):
		return nil, errLate // the changes are on their way
	}
	return &state{rev: resp.Header.Revision, floor: resp.Header.Revision, root: st.root}, nil
}

// check confirms now and then, even if nobody wants to know: so a reader from memory learns that
// the user may not read any more.
func (p *prefix) check(ctx context.Context) {
	tick := time.NewTicker(checkUsed)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		age := time.Since(p.c.born) - time.Duration(p.asked.Load())
		if p.state.Load() != nil && (age >= checkIdle || age >= checkUsed && p.used.Swap(false)) {
			_, _ = p.confirm(ctx) // what follows from an error has been done
		}
	}
}

// first is the smallest key of the range.
func (p *prefix) first() []byte {
	if p.from == "" {
		return []byte{0}
	}
	return []byte(p.from)
}

// newQuestion returns what a confirmation asks: the smallest linearizable read that needs the
// permission to read all of the range. A transaction's branch that is not taken costs nothing,
// but etcd checks the permissions for it (server/etcdserver/apply/auth.go, checkTxnPermission).
// No version is negative.
func (p *prefix) newQuestion() *pb.TxnRequest {
	return &pb.TxnRequest{
		Compare: []*pb.Compare{{
			Key: p.first(), Target: pb.Compare_VERSION, Result: pb.Compare_LESS, TargetUnion: &pb.Compare_Version{Version: 0},
		}},
		Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestRange{
			RequestRange: &pb.RangeRequest{Key: p.first(), RangeEnd: p.end, CountOnly: true},
		}}},
	}
}

package queue

import (
	"context"
	"slices"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// Lookout tells of the deletion of many keys by one watch stream.
//
// A watch of package watch misses nothing and ends with a reason, for which it has a
// buffer, a position and more. Who holds by a key needs none of that: nothing rests on its
// watch, since all places are looked at by time as well (Missing). So a key costs a
// Lookout a few hundred bytes. What it can't watch as simply, for whatever reason, is
// handed back, and gets a watch of its own.
//
// Keys are watched once they have been there for a while. Most are not, and a watch costs
// the server more than a key.
type Lookout struct {
	rpc   pb.WatchClient
	after time.Duration // which is that while
	gap   func()        // called when deletions may have been missed

	wake chan struct{} // capacity 1: there is something to send

	mu       sync.Mutex // guards what follows; a leaf
	sights   map[string]*sight
	fresh    []*sight         // still to be watched, in the order in which they are due
	ids      map[int64]*sight // on the present stream
	creating []*sight         // asked for and not answered, in this order
	cancels  []int64
	lastID   int64
	gaps     bool // the present stream is not the first
	blind    bool // the server does not answer as etcd does
}

// sight is a key that is watched.
type sight struct {
	key       string
	rev, from int64 // its create revision; that at which the watch begins, 0 for now
	due       time.Time
	id        int64 // on the present stream; 0 before it is asked for there
	gone      func()
	handBack  func()
	dropped   bool
}

// NewLookout returns a Lookout over cc. It calls gap when deletions may have been missed.
func NewLookout(cc grpc.ClientConnInterface, after time.Duration, gap func()) *Lookout {
	return &Lookout{
		rpc: pb.NewWatchClient(cc), after: after, gap: gap, wake: make(chan struct{}, 1),
		sights: make(map[string]*sight), ids: make(map[int64]*sight),
	}
}

// Watch watches a place that is the first until Forget, and calls gone when its key is
// deleted, or handBack if it can't be watched here. Both are called at most once, and
// must not block.
func (l *Lookout) Watch(p *Place, gone, handBack func()) {
	s := &sight{key: p.Key, rev: p.Rev, from: max(p.at.rev, p.Rev) + 1, due: time.Now().Add(l.after), gone: gone, handBack: handBack}
	l.mu.Lock()
	blind, alone := l.blind, len(l.fresh) == 0
	if !blind {
		l.sights[s.key] = s
		l.fresh = append(l.fresh, s)
	}
	l.mu.Unlock()
	switch {
	case blind:
		handBack()
	case alone: // otherwise another one is due before
		l.signal()
	}
}

// Forget ends a Watch. A callback may still be under way.
func (l *Lookout) Forget(p *Place) {
	l.mu.Lock()
	s := l.sights[p.Key]
	if s == nil || s.rev != p.Rev {
		l.mu.Unlock()
		return
	}
	cancel := s.id != 0
	l.dropLocked(s)
	if cancel {
		l.cancels = append(l.cancels, s.id)
	}
	l.mu.Unlock()
	if cancel {
		l.signal()
	}
}

func (l *Lookout) dropLocked(s *sight) {
	s.dropped = true
	delete(l.sights, s.key)
	if s.id != 0 {
		delete(l.ids, s.id)
	}
}

func (l *Lookout) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Run watches until ctx ends. It opens a stream when the first key is due.
func (l *Lookout) Run(ctx context.Context) {
	for failures := 0; l.await(ctx); failures++ {
		if l.serve(ctx) {
			failures = 0
		}
		l.reset()
		if !Pause(ctx, failures) {
			return
		}
	}
}

// await waits until there is something to send. It reports false when ctx has ended.
func (l *Lookout) await(ctx context.Context) bool {
	for {
		wait := l.next()
		if wait == 0 {
			return ctx.Err() == nil
		}
		t := time.NewTimer(wait)
		select {
		case <-l.wake:
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return false
		}
		t.Stop()
	}
}

// next is how long there will be nothing to send.
func (l *Lookout) next() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.fresh) > 0 && l.fresh[0].dropped {
		l.fresh[0] = nil
		l.fresh = l.fresh[1:]
	}
	switch {
	case len(l.cancels) > 0:
		return 0
	case len(l.fresh) > 0:
		return max(0, time.Until(l.fresh[0].due))
	default:
		return time.Hour // until it is woken
	}
}

// requests takes what there is to send.
func (l *Lookout) requests() []*pb.WatchRequest {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []*pb.WatchRequest
	for _, id := range l.cancels {
		out = append(out, &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: &pb.WatchCancelRequest{WatchId: id}}})
	}
	l.cancels = nil
	now := time.Now()
	for len(l.fresh) > 0 && (l.fresh[0].dropped || !l.fresh[0].due.After(now)) {
		s := l.fresh[0]
		l.fresh[0] = nil
		l.fresh = l.fresh[1:]
		if s.dropped {
			continue
		}
		l.lastID++ // from 1 on: a server chooses instead of 0
		s.id = l.lastID
		l.ids[s.id] = s
		l.creating = append(l.creating, s)
		out = append(out, &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{
			Key: []byte(s.key), StartRevision: s.from, WatchId: s.id,
			Filters: []pb.WatchCreateRequest_FilterType{pb.WatchCreateRequest_NOPUT},
		}}})
	}
	return out
}

// serve watches on one stream until it ends, and reports whether it was of use.
func (l *Lookout) serve(ctx context.Context) (used bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := l.rpc.Watch(ctx)
	if err != nil {
		return false
	}
	received := make(chan struct{})
	go func() {
		defer close(received)
		defer cancel() // ends the sender
		for {
			resp, err := stream.Recv()
			if err != nil || !l.take(resp) {
				return
			}
			used = true
		}
	}()
	for l.await(ctx) {
		for _, r := range l.requests() {
			if stream.Send(r) != nil { // the receiver gets the reason, too
				cancel()
				break
			}
		}
	}
	<-received
	return used
}

// take reports whether the stream is to go on.
func (l *Lookout) take(resp *pb.WatchResponse) bool {
	var calls []func()
	l.mu.Lock()
	switch {
	case resp.Created:
		calls = l.createdLocked(resp)
	case resp.Canceled: // the revision is compacted, say
		if s := l.ids[resp.WatchId]; s != nil {
			l.dropLocked(s)
			calls = append(calls, s.handBack)
		}
	}
	for _, e := range resp.Events {
		// Those of an earlier key of the same name are older.
		if s := l.sights[string(e.Kv.GetKey())]; s != nil && e.Kv.GetModRevision() > s.rev {
			l.dropLocked(s)
			if s.id != 0 { // 0: the watch of an earlier key has told of it
				l.cancels = append(l.cancels, s.id)
			}
			calls = append(calls, s.gone)
		}
	}
	blind := l.blind
	l.mu.Unlock()
	l.signal()
	for _, call := range calls {
		call()
	}
	return !blind
}

// createdLocked takes the answer to a creation. Etcd answers in order and by the IDs that
// it was asked for; others, such as its proxy, may not (package watch copes with that).
func (l *Lookout) createdLocked(resp *pb.WatchResponse) (calls []func()) {
	if len(l.creating) == 0 || !resp.Canceled && resp.WatchId != l.creating[0].id {
		l.blind = true
		for _, s := range l.sights {
			calls = append(calls, s.handBack)
			s.dropped = true
		}
		clear(l.sights)
		clear(l.ids)
		l.fresh, l.cancels = nil, nil
		return calls
	}
	s := l.creating[0]
	l.creating = l.creating[1:]
	if resp.Canceled && !s.dropped { // refused, as a key that the user may not read
		l.dropLocked(s)
		calls = append(calls, s.handBack)
	}
	if l.gaps && len(l.creating) == 0 {
		l.gaps = false
		calls = append(calls, l.gap)
	}
	return calls
}

// reset makes everything be watched on the next stream, from its creation there.
func (l *Lookout) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.ids)
	l.creating, l.cancels, l.lastID = nil, nil, 0
	l.fresh = slices.DeleteFunc(l.fresh, func(s *sight) bool { return s.dropped })
	for _, s := range l.sights {
		if s.id != 0 {
			s.id, s.from, l.gaps = 0, 0, true
			l.fresh = append(l.fresh, s)
		}
	}
	slices.SortFunc(l.fresh, func(a, b *sight) int { return a.due.Compare(b.due) })
}

package etcdtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
)

const (
	// noWatchID is the ID in answers that belong to no watcher: a refused
	// creation, and progress that is true of all watchers.
	noWatchID = -1
	// progressInterval is etcd's --experimental-watch-progress-notify-interval.
	progressInterval = 10 * time.Minute
)

type watchServer struct {
	pb.UnimplementedWatchServer
	m *Member
}

// watcher is one watch on a stream. It reads the store's event log from next
// on, so that catching up and keeping up are the same thing.
type watcher struct {
	id       int64
	rng      keyRange
	start    int64 // the revision that it asked for; 0: the next one
	next     int64
	prevKV   bool
	progress bool
	noPut    bool
	noDelete bool
	fragment bool
}

// watchStream is one Watch call. Its handler's goroutine owns it.
type watchStream struct {
	m        *Member
	stream   grpc.BidiStreamingServer[pb.WatchRequest, pb.WatchResponse]
	watchers []*watcher // in the order of creation
	nextID   int64
}

// Watch differs from etcd's in how much it puts into one response: everything
// that it has for a watcher, where etcd stops after 1,000 revisions, and in one
// message, where etcd fragments it above its request limit; see SetWatchBatch
// and SetWatchFragment.
func (wsrv *watchServer) Watch(stream grpc.BidiStreamingServer[pb.WatchRequest, pb.WatchResponse]) error {
	ws := &watchStream{m: wsrv.m, stream: stream}
	ctx := stream.Context()
	changed := ws.m.c.store.subscribe()
	defer ws.m.c.store.unsubscribe(changed)
	requests := receive(ctx, ws.m, stream.Recv)
	var tick <-chan time.Time // only once a watcher wants it: an idle ticker would keep a synctest bubble going
	for {
		var err error
		select {
		case r := <-requests:
			if r.done() {
				return r.result()
			}
			err = ws.handle(r.msg)
			if tick == nil && slices.ContainsFunc(ws.watchers, func(w *watcher) bool { return w.progress }) {
				ticker := time.NewTicker(ws.m.c.watching().progress)
				defer ticker.Stop()
				tick = ticker.C
			}
		case <-changed:
			err = ws.deliver()
		case <-tick:
			err = ws.notifyProgress()
		case <-ctx.Done():
			if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
				return err
			}
			return rpctypes.ErrGRPCWatchCanceled
		}
		if err != nil {
			return err
		}
	}
}

func (ws *watchStream) handle(r *pb.WatchRequest) error {
	switch {
	case r.GetCreateRequest() != nil:
		if err := ws.create(r.GetCreateRequest()); err != nil {
			return err
		}
		return ws.deliver()
	case r.GetCancelRequest() != nil:
		id := r.GetCancelRequest().WatchId
		if !ws.remove(id) {
			return nil
		}
		return ws.stream.Send(&pb.WatchResponse{
			Header: ws.m.header(ws.m.c.store.revision()), WatchId: id, Canceled: true,
		})
	case r.GetProgressRequest() != nil:
		return ws.answerProgress()
	}
	return nil // etcd ignores requests that it does not know
}

func (ws *watchStream) create(r *pb.WatchCreateRequest) error {
	if len(r.Key) == 0 {
		r.Key = []byte{0} // the smallest key there is
	}
	rev := ws.m.c.store.revision()
	resp := &pb.WatchResponse{Header: ws.m.header(rev), WatchId: noWatchID, Created: true}
	w := &watcher{
		id:       r.WatchId,
		rng:      keyRange{r.Key, r.RangeEnd},
		start:    r.StartRevision,
		next:     r.StartRevision,
		prevKV:   r.PrevKv,
		progress: r.ProgressNotify,
		noPut:    slices.Contains(r.Filters, pb.WatchCreateRequest_NOPUT),
		noDelete: slices.Contains(r.Filters, pb.WatchCreateRequest_NODELETE),
		fragment: r.Fragment,
	}
	if w.next == 0 {
		w.next = rev + 1
	}
	switch err := ws.m.c.permit(ws.stream.Context(), r); {
	case r.StartRevision < 0:
		resp.CancelReason = rpctypes.ErrCompacted.Error()
	case err != nil:
		resp.CancelReason = err.Error()
	case !w.rng.single() && !w.rng.unbounded() && bytes.Compare(w.rng.key, w.rng.end) >= 0:
		resp.CancelReason = "mvcc: watcher range is empty"
	case w.id != 0 && ws.find(w.id) != nil:
		resp.CancelReason = "mvcc: duplicate watch ID provided on the WatchStream"
	}
	if resp.CancelReason != "" {
		resp.Canceled = true
		return ws.stream.Send(resp)
	}
	if w.id == 0 {
		for ws.find(ws.nextID) != nil {
			ws.nextID++
		}
		w.id = ws.nextID
		ws.nextID++
	}
	ws.watchers = append(ws.watchers, w)
	resp.WatchId = w.id
	return ws.stream.Send(resp)
}

func (ws *watchStream) find(id int64) *watcher {
	for _, w := range ws.watchers {
		if w.id == id {
			return w
		}
	}
	return nil
}

func (ws *watchStream) remove(id int64) bool {
	before := len(ws.watchers)
	ws.watchers = slices.DeleteFunc(ws.watchers, func(w *watcher) bool { return w.id == id })
	return len(ws.watchers) < before
}

// deliver sends each watcher what is new to it.
func (ws *watchStream) deliver() error {
	for more := true; more; {
		var out []*pb.WatchResponse
		s, how := ws.m.c.store, ws.m.c.watching()
		s.mu.Lock()
		more = false
		for _, w := range ws.watchers {
			resp := ws.collectLocked(s, w, how.batch)
			if resp == nil {
				continue
			}
			more = more || !resp.Canceled && w.next <= s.rev
			if w.fragment && how.fragment > 0 {
				out = append(out, fragments(resp, how.fragment)...)
			} else {
				out = append(out, resp)
			}
		}
		s.mu.Unlock()
		for _, resp := range out {
			if resp.Canceled {
				ws.remove(resp.WatchId)
			}
			if err := ws.stream.Send(resp); err != nil {
				return err
			}
		}
	}
	return nil
}

// fragments splits a response into messages of at most n events.
func fragments(resp *pb.WatchResponse, n int) []*pb.WatchResponse {
	if len(resp.Events) <= n {
		return []*pb.WatchResponse{resp}
	}
	var out []*pb.WatchResponse
	for events := range slices.Chunk(resp.Events, n) {
		out = append(out, &pb.WatchResponse{Header: resp.Header, WatchId: resp.WatchId, Events: events, Fragment: true})
	}
	out[len(out)-1].Fragment = false
	return out
}

// collectLocked is what is new to w: of the given number of revisions at most,
// if that is not 0.
func (ws *watchStream) collectLocked(s *store, w *watcher, batch int) *pb.WatchResponse {
	if w.next > s.rev {
		return nil
	}
	if w.next < s.compactRev {
		return &pb.WatchResponse{
			Header: ws.m.header(0), WatchId: w.id, CompactRevision: s.compactRev, Canceled: true,
		}
	}
	var events []*mvccpb.Event
	next := s.rev + 1
	revs := 0
	var last int64
	for _, e := range s.eventsLocked(w.rng, w.next) {
		if (w.noPut && e.Type == mvccpb.Event_PUT) || (w.noDelete && e.Type == mvccpb.Event_DELETE) {
			continue
		}
		if e.Kv.ModRevision != last {
			if revs == batch && batch > 0 {
				next = e.Kv.ModRevision
				break
			}
			revs, last = revs+1, e.Kv.ModRevision
		}
		created := e.Type == mvccpb.Event_PUT && e.Kv.CreateRevision == e.Kv.ModRevision
		if w.prevKV && !created {
			e = &mvccpb.Event{Type: e.Type, Kv: e.Kv, PrevKv: s.atLocked(string(e.Kv.Key), e.Kv.ModRevision-1)}
		}
		events = append(events, e)
	}
	w.next = next
	if len(events) == 0 {
		return nil
	}
	return &pb.WatchResponse{Header: ws.m.header(s.rev), WatchId: w.id, Events: events}
}

// awaits reports whether w waits for its first revision, of which etcd says nothing.
func (w *watcher) awaits(current int64) bool { return w.start > current }

// answerProgress says once for the whole stream how far it has come. etcd keeps
// silent when there is no watcher, or one whose first revision is still to come.
func (ws *watchStream) answerProgress() error {
	if err := ws.deliver(); err != nil {
		return err
	}
	if len(ws.watchers) == 0 {
		return nil
	}
	rev := ws.watchers[0].next - 1
	for _, w := range ws.watchers {
		rev = min(rev, w.next-1)
	}
	if current := ws.m.c.store.revision(); slices.ContainsFunc(ws.watchers, func(w *watcher) bool { return w.awaits(current) }) {
		return nil
	}
	return ws.stream.Send(&pb.WatchResponse{Header: ws.m.header(rev), WatchId: noWatchID})
}

// notifyProgress sends what progress_notify asks for. etcd leaves a watcher out
// that has had events since the last time; here every one is told.
func (ws *watchStream) notifyProgress() error {
	if err := ws.deliver(); err != nil {
		return err
	}
	for _, w := range ws.watchers {
		if !w.progress || w.awaits(ws.m.c.store.revision()) {
			continue
		}
		if err := ws.stream.Send(&pb.WatchResponse{Header: ws.m.header(w.next - 1), WatchId: w.id}); err != nil {
			return err
		}
	}
	return nil
}

// watchBehavior is what a test may set. The zero value is without limits.
type watchBehavior struct {
	batch, fragment int
	progress        time.Duration
}

func (c *Cluster) watching() watchBehavior {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.watches
}

// SetWatchBatch bounds how many revisions the members put into one response of a
// watch; 0 is no bound. etcd's is 1,000.
func (c *Cluster) SetWatchBatch(revisions int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watches.batch = revisions
}

// SetWatchFragment makes the members fragment responses of more events than
// that, for watches that asked for it; 0 is no bound. etcd's bound is in bytes.
func (c *Cluster) SetWatchFragment(events int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watches.fragment = events
}

// SetProgressInterval sets how often watches that asked for it are told their
// progress: those on streams that have no such watch yet.
func (c *Cluster) SetProgressInterval(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watches.progress = d
}

// received is a message of a stream, or the error that ended it.
type received[T any] struct {
	msg *T
	err error
}

func (r received[T]) done() bool { return r.err != nil }

// result is what the handler returns: the client having closed its side is no
// error.
func (r received[T]) result() error {
	if errors.Is(r.err, io.EOF) {
		return nil
	}
	return r.err
}

// receive moves a stream's messages to a channel, so that its handler can wait
// for other things too. It ends with ctx, the stream's, and is joined when the
// cluster closes.
func receive[T any](ctx context.Context, m *Member, recv func() (*T, error)) <-chan received[T] {
	out := make(chan received[T])
	m.receivers.Go(func() {
		for {
			msg, err := recv()
			select {
			case out <- received[T]{msg, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	})
	return out
}

package watch

import (
	"context"
	"errors"
	"fmt"
	"iter"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/kv"
)

// Event is one change of a key. IsCreate tells a PUT that made the key, IsModify
// one that changed it. It must not be modified unless the Watcher was made
// WithOwnEvents, since other watches of the key may have been given it too.
type Event = mvccpb.Event

// Kinds of events.
const (
	EventTypeDelete = mvccpb.Event_DELETE
	EventTypePut    = mvccpb.Event_PUT
)

// WatchChan is what Watch returns.
type WatchChan <-chan WatchResponse //nolint:revive // clientv3's name

// WatchResponse is what a watch has to say: events, or progress, or that it was
// created, or in a last one why it ended.
type WatchResponse struct { //nolint:revive // clientv3's name
	// Header is the server's. Its revision may be far beyond the events', while
	// a watch that began in the past catches up. It is never nil, but empty in a
	// last response that this client has made.
	Header *pb.ResponseHeader
	// Events are in the order of revisions, and all that there are of each
	// revision. Neither they nor the slice may be modified: see Event.
	Events []*Event
	// CompactRevision is the first revision that can still be watched, when the
	// watch ended because its own was compacted.
	CompactRevision int64
	// Canceled marks the last response. Err has the cause.
	Canceled bool
	// Created marks the first response of a watch WithCreatedNotify.
	Created bool
	// CancelReason is the server's text, when it has canceled the watch.
	CancelReason string

	err error
}

// Err is why the watch ended, and nil for a response that is not the last: a
// *CompactedError, *ClusterChangedError, *RevisionRegressedError, *TooLargeError,
// *ProtocolError or *CanceledError, a *kv.UsageError, ErrClosed, the context's error, or that of
// a connection that cannot work. Of a response that a program has made itself it is
// what the fields say: rpctypes.ErrCompacted with a CompactRevision, a *CanceledError
// if it is Canceled.
func (wr *WatchResponse) Err() error {
	switch {
	case wr.err != nil:
		return wr.err
	case wr.CompactRevision != 0:
		return rpctypes.ErrCompacted
	case wr.Canceled:
		return canceled(wr.CancelReason)
	}
	return nil
}

// IsProgressNotify reports a response that says only how far the watch has come:
// every event of it up to the header's revision has been delivered before, and
// none of those to come is of that revision or one below. It says so whatever
// the server's version, and whatever has happened to streams meanwhile; where an
// early server (see RequestProgress) cannot be believed, it is not there.
func (wr *WatchResponse) IsProgressNotify() bool {
	return len(wr.Events) == 0 && !wr.Canceled && !wr.Created && wr.CompactRevision == 0 && wr.Header.GetRevision() != 0
}

// last is the response that ends a WatchChan.
func last(cause error) WatchResponse {
	wr := WatchResponse{Header: &pb.ResponseHeader{}, Canceled: true, err: cause}
	switch e := cause.(type) { //nolint:errorlint // made here, wrapped by nobody
	case *CompactedError:
		wr.CompactRevision = e.CompactRevision
		if e.header != nil {
			wr.Header = e.header
		}
	case *CanceledError:
		wr.CancelReason = e.Reason
	}
	return wr
}

// Watcher is etcd's watch service. Its methods are safe for concurrent use.
//
// A watch takes WithRange, WithPrefix, WithFromKey, WithRev, WithPrevKV,
// WithProgressNotify, WithCreatedNotify, WithFilterPut, WithFilterDelete and
// WithFragment of package kv; what cannot mean anything ends it at once with a
// *kv.UsageError. From its first revision on, WithRev's or else the one after
// the revision of its creation, every change comes exactly once and in order,
// whatever happens to members and connections, until the watch ends with a
// cause. Metadata and values in the context do not reach the server, since
// watches share streams.
type Watcher interface {
	// Watch watches a key or a range until ctx ends, and never blocks. The
	// channel's last response has Canceled set and the cause in Err; then it
	// closes. When ctx or Close ends the watch, what was not received yet is
	// dropped, and the last response too unless there is room for it.
	//
	// Since Watch does not wait for the server, a change made right after it
	// may come before a watch without WithRev; WithCreatedNotify tells when the
	// server has it, and with WithWait Watch does wait.
	Watch(ctx context.Context, key string, opts ...kv.OpOption) WatchChan

	// Responses is Watch as an iterator: the watch begins with the loop and
	// ends with it, and runs on the loop's goroutine. The last pair, and no
	// other, has an error, which is the cause.
	Responses(ctx context.Context, key string, opts ...kv.OpOption) iter.Seq2[WatchResponse, error]

	// Events is Responses with the events alone, one at a time.
	Events(ctx context.Context, key string, opts ...kv.OpOption) iter.Seq2[*Event, error]

	// Follow reads the present state and then watches from there: its first
	// Update is a Snapshot, those after it have events, exactly once and in
	// order. Where a watch would end because changes cannot be learned any more
	// (compaction, another cluster, a restored backup, an event that came when its
	// revision was complete), another Snapshot comes, which replaces everything before
	// and says why. It ends with an error that retrying cannot fix, or the context's. It
	// takes Watch's options but WithRev and WithCreatedNotify.
	Follow(ctx context.Context, key string, opts ...kv.OpOption) iter.Seq2[Update, error]

	// RequestProgress asks the server for a progress notification of the
	// watches that are under way, and does not wait for it. The server answers
	// for all watches of a stream together, and not while one of them is behind
	// or waits for a revision to come; then the next answer to this client's own
	// heartbeats is passed on. Servers before etcd 3.4.25, and those from 3.5.0
	// to 3.5.7, may answer before they have sent the events that the answer
	// speaks of (etcd issue 15220): their answers are dropped, and once such a
	// server is known, RequestProgress returns an errors.ErrUnsupported and asks
	// nothing; so it does of a server that never answers, such as etcd's gRPC
	// proxy, after three requests. What they send by themselves, WithProgressNotify, has always been
	// in order.
	RequestProgress(ctx context.Context) error

	// Close ends all watches with ErrClosed, closes the streams and waits for
	// every goroutine. It may be called more than once and always returns nil.
	Close() error
}

type service struct {
	cfg      config
	m        *manager
	kv       kv.KV
	streamer kv.Streamer
}

// New returns the watch service over cc. Nothing is sent and no goroutine runs
// until there is a watch. An option that is wrong is the error of every call.
func New(cc grpc.ClientConnInterface, opts ...Option) Watcher {
	cfg := defaults()
	if cc == nil {
		cfg.fail(errors.New("watch: New: the connection is nil"))
	}
	for i, opt := range opts {
		if opt == nil {
			cfg.fail(fmt.Errorf("watch: New: option %d is nil; leave it out", i+1))
			continue
		}
		opt(&cfg)
	}
	return &service{cfg: cfg, m: newManager(cc, cfg), kv: kv.New(cc, cfg.calls...), streamer: kv.NewStreamer(cc, cfg.calls...)}
}

func (s *service) Watch(ctx context.Context, key string, opts ...kv.OpOption) WatchChan {
	out := make(chan WatchResponse, 1)
	w, err := s.begin(ctx, kv.OpWatch(key, opts...), out, identity{})
	if err != nil {
		if resp, told := s.cfg.last(err); told {
			out <- resp
		}
		close(out)
		return out
	}
	if s.cfg.wait {
		select {
		case <-w.made:
		case <-ctx.Done():
		case <-s.m.closing:
		}
	}
	return out
}

// begin starts a watch. seen is what a snapshot has told of the cluster.
func (s *service) begin(ctx context.Context, op kv.Op, out chan WatchResponse, seen identity) (*watcher, error) {
	if ctx == nil {
		return nil, errNoContext("Watch")
	}
	if s.cfg.err != nil {
		return nil, s.cfg.err
	}
	if err := op.Err(); err != nil {
		return nil, err
	}
	w := newWatcher(ctx, s.m, op, out)
	w.seen = seen
	return w, s.m.add(w)
}

func (s *service) RequestProgress(ctx context.Context) error {
	if ctx == nil {
		return errNoContext("RequestProgress")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.cfg.err != nil {
		return s.cfg.err
	}
	if err := s.m.isDeaf(); err != nil {
		return err
	}
	return s.m.post(command{kind: cmdProgress})
}

func (s *service) Close() error {
	s.m.close()
	return nil
}

// Package mirror reads the keys that begin with a prefix for a copy of them: their state at one
// revision, a part at a time, and then every change after it.
//
//	m, err := mirror.New(c, "config/") // c is a client
//	for part, err := range m.Base(ctx) {
//		…	// err != nil: begin again, with New
//		store(part.Kvs)
//	}
//	for resp, err := range m.Updates(ctx) {
//		…	// err says why the changes have ended
//		apply(resp.Events)
//	}
//
// Neither the client nor the server holds the whole state in memory. For a copy that fits into
// memory, Follow of package watch does more: it reads the state anew by itself when changes were
// lost to a compaction. The tool's make-mirror copies a prefix to another cluster.
package mirror

import (
	"context"
	"iter"
	"sync/atomic"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/internal/ctxerr"
	"github.com/getcd/getcd/internal/misuse"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// Client reads and watches keys: a *client.Client, for instance. If it is a kv.Streamer, as that
// is, the state is read as the server streams it, without the count of the keys that are left,
// which each page costs etcd.
type Client interface {
	// Get is kv.KV's.
	Get(ctx context.Context, key string, opts ...kv.OpOption) (*kv.GetResponse, error)
	// Watch is watch.Watcher's.
	Watch(ctx context.Context, key string, opts ...kv.OpOption) watch.WatchChan
}

// Mirror reads the keys of one prefix. It has no goroutine, and nothing to close. Its methods may
// be called at the same time.
type Mirror struct {
	client Client
	prefix string
	rev    atomic.Int64 // 0 until it is known
	told   bool         // rev is WithRev's
}

// Option is an option of New.
type Option func(*config)

type config struct{ rev int64 }

// WithRev sets the revision of the state. 0, or no such option, means the latest one when it is
// first asked for. To go on where an earlier copy has ended, set the revision of its last change,
// and call Updates alone.
func WithRev(rev int64) Option { return func(c *config) { c.rev = rev } }

// New returns a Mirror of the keys that begin with prefix; all keys if it is empty. It sends
// nothing. It returns an error for a nil client or option, and for a negative revision.
func New(c Client, prefix string, opts ...Option) (*Mirror, error) {
	if err := misuse.Nil("mirror: New", "client", c); err != nil {
		return nil, err
	}
	if err := misuse.Options("mirror: New", opts); err != nil {
		return nil, err
	}
	var cfg config
	for _, o := range opts {
		o(&cfg)
	}
	if cfg.rev < 0 {
		return nil, misuse.Error("mirror: New: the revision of WithRev is negative: revisions begin with 1; 0 means the latest")
	}
	m := &Mirror{client: c, prefix: prefix, told: cfg.rev != 0}
	m.rev.Store(cfg.rev)
	return m, nil
}

// Revision returns the revision of the state that Base reads, and after which Updates begins. It
// asks the cluster once, unless WithRev has set it.
func (m *Mirror) Revision(ctx context.Context) (int64, error) {
	if err := misuse.Context(ctx, "mirror: Revision"); err != nil {
		return 0, err
	}
	if rev := m.rev.Load(); rev != 0 {
		return rev, nil
	}
	header, err := m.latest(ctx)
	if err != nil {
		return 0, err
	}
	m.rev.CompareAndSwap(0, header.GetRevision())
	return m.rev.Load(), nil
}

// latest returns the header of an answer, which has the present revision. It reads any key.
func (m *Mirror) latest(ctx context.Context) (*pb.ResponseHeader, error) {
	resp, err := m.client.Get(ctx, m.prefix+"\x00", kv.WithCountOnly())
	if err != nil {
		return nil, err
	}
	return resp.Header, nil
}

// partSize is the number of keys in each page but the last.
const partSize = 1000

// Base reads the state in parts, in the order of the keys. Every part has a header, of which only
// the revision is certain to be known, and all but the last have More set. If reading fails, the last pair has an error, and the parts before it are
// correct but incomplete. It is rpctypes.ErrCompacted when the revision was compacted meanwhile.
// Each loop reads the whole state.
func (m *Mirror) Base(ctx context.Context) iter.Seq2[*kv.GetResponse, error] {
	return func(yield func(*kv.GetResponse, error) bool) {
		rev, err := m.Revision(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		if s, ok := m.client.(kv.Streamer); ok {
			stream(ctx, s, m.prefix, rev, yield)
			return
		}
		all := kv.OpGet(m.prefix, kv.WithPrefix()) // works for the empty prefix, too
		key, end := string(all.KeyBytes()), string(all.RangeBytes())
		for {
			part, err := m.client.Get(ctx, key, kv.WithRange(end), kv.WithRev(rev), kv.WithLimit(partSize))
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(part, nil) || !part.More || len(part.Kvs) == 0 {
				return
			}
			key = string(part.Kvs[len(part.Kvs)-1].Key) + "\x00"
		}
	}
}

// stream is Base as the server streams it: only the last part has the cluster's header.
func stream(ctx context.Context, s kv.Streamer, prefix string, rev int64, yield func(*kv.GetResponse, error) bool) {
	header := &pb.ResponseHeader{Revision: rev}
	for part, err := range s.Parts(ctx, prefix, kv.WithPrefix(), kv.WithRev(rev)) {
		if err != nil {
			yield(nil, err)
			return
		}
		if part.Header == nil {
			part.Header, part.More = header, true
		}
		if !yield(part, nil) {
			return
		}
	}
}

// Updates watches the changes after Revision until ctx ends. Each response has whole revisions. The
// last pair, and no other, has an error, which says why the watch has ended (package watch):
// *watch.CompactedError means that changes were lost, so that the copy must be made anew. So does
// watch.ErrRevisionRegressed: the cluster was restored from a backup that is older than the copy.
func (m *Mirror) Updates(ctx context.Context) iter.Seq2[watch.WatchResponse, error] {
	return func(yield func(watch.WatchResponse, error) bool) {
		rev, err := m.Revision(ctx)
		if err != nil {
			yield(watch.WatchResponse{}, err)
			return
		}
		if m.told { // by an earlier copy: a watch would wait for a revision that is yet to come
			now, err := m.latest(ctx)
			if err == nil && now.GetRevision() < rev {
				err = &watch.RevisionRegressedError{Seen: rev, Now: now.GetRevision(), NowTerm: now.GetRaftTerm()}
			}
			if err != nil {
				yield(watch.WatchResponse{}, err)
				return
			}
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel() // ends the watch
		for resp := range m.client.Watch(ctx, m.prefix, kv.WithPrefix(), kv.WithRev(rev+1)) {
			if err := resp.Err(); err != nil {
				yield(watch.WatchResponse{}, err)
				return
			}
			if !yield(resp, nil) {
				return
			}
		}
		yield(watch.WatchResponse{}, dropped(ctx))
	}
}

// dropped is why a watch has ended whose last response was dropped, because the consumer was busy:
// with its context, or because the client was closed.
func dropped(ctx context.Context) error {
	if err := ctxerr.Of(ctx); err != nil {
		return err
	}
	return watch.ErrClosed
}

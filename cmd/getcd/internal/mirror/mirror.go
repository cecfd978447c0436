package mirror

import (
	"context"
	"fmt"
	"sync/atomic"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// Config says what to mirror.
type Config struct {
	// Prefix is the prefix of the keys to mirror. Empty means all keys.
	Prefix string
	// DestPrefix replaces Prefix in the destination.
	DestPrefix string
	// Rev is the first revision to mirror. 0 and 1 mean the current state, and
	// then the changes after it.
	Rev int64
	// MaxTxnOps is how many changes one transaction may have. 0 means no limit
	// but the server's. A revision with more changes is split into several
	// transactions.
	MaxTxnOps int

	// Copying, unless nil, is called while the current state is copied. done keys
	// were copied; there were total keys when copying began.
	Copying func(done, total int64)
	// Copied, unless nil, is called when the current state was copied.
	Copied func()
	// Warn, unless nil, is called with warnings for the user.
	Warn func(text string)
}

// Source is where a Mirror reads from: a *client.Client, for instance.
type Source interface {
	kv.KV
	kv.Streamer
}

// Mirror copies one cluster to another. Make it with New, and call Run once.
type Mirror struct {
	cfg    Config
	source Source
	watch  watch.Watcher
	dest   *writer
	count  atomic.Int64
}

// New returns a Mirror from source, whose changes come from watcher, to dest. The
// caller closes the clients.
func New(source Source, watcher watch.Watcher, dest kv.KV, cfg Config) *Mirror {
	if cfg.Warn == nil {
		cfg.Warn = func(string) {}
	}
	return &Mirror{cfg: cfg, source: source, watch: watcher, dest: &writer{kv: dest, warn: cfg.Warn}}
}

// Count returns how many keys were copied and how many changes were mirrored so
// far. It is safe for concurrent use.
func (m *Mirror) Count() int64 { return m.count.Load() }

// Run mirrors until ctx ends or it cannot continue: if the revisions to mirror
// were compacted in the source (rpctypes.ErrCompacted), if the destination
// refuses a change, or for any reason that ends a watch.
func (m *Mirror) Run(ctx context.Context) error {
	next := m.cfg.Rev
	if next <= 1 {
		rev, err := m.copy(ctx)
		if err != nil {
			return err
		}
		next = rev + 1
	}
	return m.follow(ctx, next)
}

// Limits for a transaction that copies. They are below the server's defaults, 128
// operations and 1.5 MiB, to leave room for the guard and the message.
const (
	copyOps   = 128
	copyBytes = 512 << 10
)

// copy copies the current state and returns its revision.
func (m *Mirror) copy(ctx context.Context) (rev int64, err error) {
	// A read of any key returns the revision; this one also returns the number of
	// keys to copy.
	r, err := m.source.Get(ctx, m.cfg.Prefix, kv.WithPrefix(), kv.WithCountOnly())
	if err != nil {
		return 0, fmt.Errorf("cannot read the source: %w", err)
	}
	rev, total := r.Header.GetRevision(), r.Count
	var batch []change
	var size int
	flush := func() error {
		if err := m.dest.commit(ctx, batch); err != nil {
			return err
		}
		done := m.count.Add(int64(len(batch)))
		batch, size = nil, 0
		if m.cfg.Copying != nil {
			m.cfg.Copying(done, total)
		}
		return nil
	}
	most := copyOps
	if n := m.cfg.MaxTxnOps; n > 0 {
		most = min(most, n)
	}
	for part, err := range m.source.Parts(ctx, m.cfg.Prefix, kv.WithPrefix(), kv.WithRev(rev)) {
		if err != nil {
			return 0, fmt.Errorf("cannot read the source: %w", err)
		}
		for _, pair := range part.Kvs {
			n := 2*len(pair.Key) + len(pair.Value)
			if len(batch) == most || len(batch) > 0 && size+n > copyBytes {
				if err := flush(); err != nil {
					return 0, err
				}
			}
			batch, size = append(batch, m.put(pair)), size+n
		}
	}
	if len(batch) > 0 {
		if err := flush(); err != nil {
			return 0, err
		}
	}
	if m.cfg.Copied != nil {
		m.cfg.Copied()
	}
	return rev, nil
}

// follow mirrors all changes from revision next on.
func (m *Mirror) follow(ctx context.Context, next int64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the watch
	for r := range m.watch.Watch(ctx, m.cfg.Prefix, kv.WithPrefix(), kv.WithRev(next)) {
		if r.CompactRevision != 0 {
			return rpctypes.ErrCompacted
		}
		if err := m.apply(ctx, r.Events); err != nil {
			return err
		}
		if err := r.Err(); err != nil {
			return fmt.Errorf("the watch of the source has ended: %w", err)
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return fmt.Errorf("the watch of the source has ended")
}

// apply writes events, one transaction per revision.
func (m *Mirror) apply(ctx context.Context, events []*watch.Event) error {
	var batch []change
	var rev int64
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		if err := m.dest.commit(ctx, batch); err != nil {
			return err
		}
		m.count.Add(int64(len(batch)))
		batch = nil
		return nil
	}
	for _, e := range events {
		if e.GetKv().GetModRevision() != rev || m.cfg.MaxTxnOps > 0 && len(batch) == m.cfg.MaxTxnOps {
			if err := flush(); err != nil {
				return err
			}
		}
		rev = e.GetKv().GetModRevision()
		if e.GetType() == mvccpb.Event_DELETE {
			batch = append(batch, change{key: m.rename(e.GetKv().GetKey()), deleted: true})
		} else {
			batch = append(batch, m.put(e.GetKv()))
		}
	}
	return flush()
}

func (m *Mirror) put(pair *mvccpb.KeyValue) change {
	return change{key: m.rename(pair.GetKey()), value: string(pair.GetValue())}
}

// rename returns the name of a key in the destination.
func (m *Mirror) rename(key []byte) string {
	return m.cfg.DestPrefix + string(key[len(m.cfg.Prefix):])
}

package stm

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/getcd/getcd/internal/backoff"
	"github.com/getcd/getcd/internal/misuse"
	"github.com/getcd/getcd/kv"
)

// Isolation is what a transaction sees of others; the package comment compares the
// levels.
type Isolation int

const (
	// SerializableSnapshot is Serializable, and besides no key is written that was
	// put since the first read, though it was not read. One that was deleted since
	// looks as if it had never been there.
	SerializableSnapshot Isolation = iota
	// Serializable reads everything as it was at the revision of the first read,
	// and commits if that has not changed.
	Serializable
	// RepeatableReads reads each key once, and commits if what was read has not
	// changed. Two keys may have been read at different revisions.
	RepeatableReads
	// ReadCommitted reads each key once and commits, whatever has happened
	// meanwhile.
	ReadCommitted
)

// String is the level's name.
func (l Isolation) String() string {
	names := [...]string{"SerializableSnapshot", "Serializable", "RepeatableReads", "ReadCommitted"}
	if l < 0 || int(l) >= len(names) {
		return fmt.Sprintf("Isolation(%d)", int(l))
	}
	return names[l]
}

// STM is the memory as one call of the function sees it. It is for that call
// alone, and for its goroutine. Get and Rev do not return when a read fails: they
// end the function, whose deferred calls run, and Run returns the error.
type STM interface {
	// Get returns the value of the first key: what the function has put, or else
	// what is on the cluster, empty when there is none (Rev tells). All keys are
	// read, in one request, so that getting the others later costs none.
	Get(key ...string) string
	// Put writes a key at commit, where the last write of a key counts. It takes
	// kv.WithLease and kv.OpPut's other options.
	Put(key, val string, opts ...kv.OpOption)
	// Rev reads a key and returns the revision of its last change on the cluster,
	// 0 for a key that does not exist. What the function has put does not count.
	Rev(key string) int64
	// Del deletes a key at commit.
	Del(key string)

	sealed()
}

// Option is an option of Run.
type Option func(*config)

type config struct {
	level    Isolation
	prefetch []string
}

// WithIsolation sets the isolation level; without it, it is SerializableSnapshot.
func WithIsolation(level Isolation) Option {
	return func(c *config) { c.level = level }
}

// WithPrefetch reads keys before the function is called, in one request. It saves
// round trips when the function gets all of them anyway; those that it does not get
// are no part of its transaction.
func WithPrefetch(keys ...string) Option {
	return func(c *config) { c.prefetch = append(c.prefetch, keys...) }
}

// pauses are those before the function is called again, but for the first time.
var pauses = backoff.Exponential{First: 2 * time.Millisecond, Max: 250 * time.Millisecond}

// Run calls apply until it has been committed, and returns the answer to the
// transaction that did it, or the error:
//
//   - apply's own: the transaction is aborted, and nothing was written;
//   - that of a read, or the context's: likewise;
//   - a *CommitError: the cluster did not commit it, or its answer was lost.
//
// apply may be called any number of times, one after the other. If it panics, so
// does Run.
func Run(ctx context.Context, store kv.KV, apply func(STM) error, opts ...Option) (*kv.TxnResponse, error) {
	if err := cmp.Or(misuse.Context(ctx, "stm: Run"), misuse.Nil("stm: Run", "store", store), misuse.Options("stm: Run", opts)); err != nil {
		return nil, err
	}
	if apply == nil {
		return nil, misuse.Error("stm: Run: the function is nil")
	}
	var cfg config
	for _, o := range opts {
		o(&cfg)
	}
	if cfg.level < SerializableSnapshot || cfg.level > ReadCommitted {
		return nil, fmt.Errorf("stm: WithIsolation: there is no level %d; use SerializableSnapshot, Serializable, RepeatableReads or ReadCommitted", cfg.level)
	}
	var known *snapshot // what the commit that failed has brought back
	for tries := 0; ; tries++ {
		if tries > 1 && !backoff.Sleep(ctx, pauses.Pause(tries-2)) {
			return nil, fmt.Errorf("stm: given up after %d tries that met conflicts: %w", tries, ctx.Err())
		}
		tx := newTx(ctx, store, cfg.level, known)
		err := tx.run(apply, cfg.prefetch)
		if tx.compacted {
			known = nil // the revision to be read is gone: a newer one will do
			continue
		}
		if err != nil {
			return nil, err
		}
		resp, err := tx.commit()
		if err != nil {
			return nil, err
		}
		if resp.Succeeded {
			return resp, nil
		}
		known = tx.refreshed(resp)
	}
}

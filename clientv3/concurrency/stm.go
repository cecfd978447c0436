package concurrency

import (
	"context"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/internal/bare"
	"github.com/getcd/getcd/clientv3/internal/below"
	"github.com/getcd/getcd/concurrency/stm"
)

type (
	// STM is the view of the store in one call of the function.
	STM = stm.STM
	// Isolation says what a transaction sees of other transactions.
	Isolation = stm.Isolation
)

// The isolation levels; package stm compares them.
const (
	SerializableSnapshot = stm.SerializableSnapshot
	Serializable         = stm.Serializable
	RepeatableReads      = stm.RepeatableReads
	ReadCommitted        = stm.ReadCommitted
)

type stmOptions struct {
	ctx  context.Context //nolint:containedctx // WithAbortContext's
	opts []stm.Option
}

// STMOption is an option of NewSTM.
type STMOption func(*stmOptions)

// WithIsolation sets the isolation level. The default is SerializableSnapshot.
func WithIsolation(lvl Isolation) STMOption {
	return func(o *stmOptions) { o.opts = append(o.opts, stm.WithIsolation(lvl)) }
}

// WithAbortContext sets a context to use instead of the client's.
func WithAbortContext(ctx context.Context) STMOption {
	return func(o *stmOptions) { o.ctx = ctx }
}

// WithPrefetch reads keys in one request before the function is called.
func WithPrefetch(keys ...string) STMOption {
	return func(o *stmOptions) { o.opts = append(o.opts, stm.WithPrefetch(keys...)) }
}

// NewSTM calls apply until its writes are committed; see stm.Run. It returns an
// error of apply unchanged.
func NewSTM(c *clientv3.Client, apply func(STM) error, so ...STMOption) (*clientv3.TxnResponse, error) {
	o := &stmOptions{ctx: c.Ctx()}
	for _, opt := range so {
		opt(o)
	}
	var own error
	resp, err := stm.Run(o.ctx, below.KV(c.KV), func(tx STM) error {
		own = apply(tx)
		return own
	}, o.opts...)
	if own != nil {
		return resp, err
	}
	return resp, bare.Error(err)
}

// NewSTMRepeatable is NewSTM with repeatable reads.
//
// Deprecated: use NewSTM.
func NewSTMRepeatable(ctx context.Context, c *clientv3.Client, apply func(STM) error) (*clientv3.TxnResponse, error) {
	return NewSTM(c, apply, WithAbortContext(ctx), WithIsolation(RepeatableReads))
}

// NewSTMSerializable is NewSTM with serializable reads.
//
// Deprecated: use NewSTM.
func NewSTMSerializable(ctx context.Context, c *clientv3.Client, apply func(STM) error) (*clientv3.TxnResponse, error) {
	return NewSTM(c, apply, WithAbortContext(ctx), WithIsolation(Serializable))
}

// NewSTMReadCommitted is NewSTM with committed reads.
//
// Deprecated: use NewSTM.
func NewSTMReadCommitted(ctx context.Context, c *clientv3.Client, apply func(STM) error) (*clientv3.TxnResponse, error) {
	return NewSTM(c, apply, WithAbortContext(ctx), WithIsolation(ReadCommitted))
}

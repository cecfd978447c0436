package naming

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strings"

	"github.com/getcd/getcd/internal/misuse"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// Client is the part of a client that a Service uses. A *client.Client implements
// it.
type Client interface {
	// Do sends one request, like kv.KV's Do.
	Do(ctx context.Context, op kv.Op) (kv.OpResponse, error)
	// Follow returns the current state and its changes, like watch.Watcher's
	// Follow.
	Follow(ctx context.Context, key string, opts ...kv.OpOption) iter.Seq2[watch.Update, error]
}

// Endpoint is an address of a service.
type Endpoint struct {
	// Addr is the address to dial, such as "10.0.0.1:443".
	Addr string

	// Metadata is any value that encoding/json can encode, or nil. When it is
	// read back, it has the type that encoding/json chooses.
	Metadata any
}

// Operation is the kind of an Update.
type Operation uint8

const (
	// Add adds or replaces an endpoint.
	Add Operation = iota
	// Delete deletes an endpoint.
	Delete
)

// Update is a change to an endpoint.
type Update struct {
	// Op is Add or Delete.
	Op Operation
	// Key is the endpoint's key: the service's name, a slash, and a part that
	// identifies the endpoint within the service.
	Key string
	// Endpoint is the endpoint that is added. It is zero for a deletion.
	Endpoint Endpoint
}

// record is the JSON value of an endpoint.
type record struct {
	Op       Operation
	Addr     string
	Metadata any
}

// errNoAddr is what is wrong with other JSON, such as null or somebody's settings.
var errNoAddr = errors.New("it has no Addr")

func parse(value []byte) (Endpoint, error) {
	var r struct { // a record
		Op       Operation
		Addr     *string
		Metadata any
	}
	if err := json.Unmarshal(value, &r); err != nil {
		return Endpoint{}, err
	}
	if r.Addr == nil {
		return Endpoint{}, errNoAddr
	}
	return Endpoint{*r.Addr, r.Metadata}, nil
}

// Option is an option of New and NewBuilder.
type Option func(*config)

type config struct{ logger *slog.Logger }

// WithLogger logs values that are not endpoints, the failures after which a gRPC resolver
// retries, and registrations that are lost and made again. Without it, or with nil,
// nothing is logged.
func WithLogger(l *slog.Logger) Option {
	return func(c *config) {
		if l != nil {
			c.logger = l
		}
	}
}

// Service manages the endpoints of one service. It is safe for concurrent use and
// has nothing to close.
type Service struct {
	client Client
	prefix string
	logger *slog.Logger
}

// New returns the Service with the given name. It sends nothing.
func New(c Client, name string, opts ...Option) (*Service, error) {
	switch {
	case c == nil:
		return nil, errors.New("naming: the client is nil")
	case name == "":
		return nil, errors.New("naming: the service's name is empty")
	}
	if err := misuse.Options("naming: New", opts); err != nil {
		return nil, err
	}
	cfg := config{logger: slog.New(slog.DiscardHandler)}
	for _, opt := range opts {
		opt(&cfg)
	}
	return &Service{c, name + "/", cfg.logger}, nil
}

// Op returns the operation that makes the change u, with the options of a Put or
// a Delete. Pass it to kv.KV's Do, or put it into a transaction with others. The
// error says what is wrong with u. A Delete of a range, such as one with
// kv.WithPrefix, deletes all endpoints in it. The range must not go beyond the service's keys.
func (s *Service) Op(u Update, opts ...kv.OpOption) (kv.Op, error) {
	if !strings.HasPrefix(u.Key, s.prefix) {
		return kv.Op{}, fmt.Errorf("naming: the key %q does not belong to the service, whose keys begin with %q", u.Key, s.prefix)
	}
	switch u.Op {
	case Add:
		value, err := json.Marshal(record{Add, u.Endpoint.Addr, u.Endpoint.Metadata})
		if err != nil {
			return kv.Op{}, fmt.Errorf("naming: the endpoint %s: %w", u.Key, err)
		}
		return kv.OpPut(u.Key, string(value), opts...), nil
	case Delete:
		op := kv.OpDelete(u.Key, opts...)
		if end := string(op.RangeBytes()); end == "\x00" || end > kv.GetPrefixRangeEnd(s.prefix) {
			return kv.Op{}, fmt.Errorf("naming: the range [%q, %q) goes beyond the service, whose keys begin with %q; delete its endpoints by their keys, or with WithPrefix", u.Key, end, s.prefix)
		}
		return op, nil
	}
	return kv.Op{}, fmt.Errorf("naming: the operation on %s is %d; use Add or Delete", u.Key, u.Op)
}

// Add adds or replaces an endpoint. With kv.WithLease the endpoint is removed
// when the lease ends.
func (s *Service) Add(ctx context.Context, key string, e Endpoint, opts ...kv.OpOption) error {
	return s.do(ctx, Update{Op: Add, Key: key, Endpoint: e}, opts)
}

// Delete deletes an endpoint. It is no error if the endpoint does not exist.
func (s *Service) Delete(ctx context.Context, key string, opts ...kv.OpOption) error {
	return s.do(ctx, Update{Op: Delete, Key: key}, opts)
}

func (s *Service) do(ctx context.Context, u Update, opts []kv.OpOption) error {
	if err := misuse.Context(ctx, "naming: Add, Delete"); err != nil {
		return err
	}
	op, err := s.Op(u, opts...)
	if err != nil {
		return err
	}
	_, err = s.client.Do(ctx, op)
	return err
}

// List reads the endpoints and returns them by key. It takes the options of a
// Get, such as kv.WithSerializable.
func (s *Service) List(ctx context.Context, opts ...kv.OpOption) (map[string]Endpoint, error) {
	if err := misuse.Context(ctx, "naming: List"); err != nil {
		return nil, err
	}
	resp, err := s.client.Do(ctx, kv.OpGet(s.prefix, append([]kv.OpOption{kv.WithPrefix()}, opts...)...))
	if err != nil {
		return nil, err
	}
	all := make(map[string]Endpoint)
	for _, pair := range resp.Get().Kvs {
		if e, ok := s.endpoint(pair.GetKey(), pair.GetValue()); ok {
			all[string(pair.GetKey())] = e
		}
	}
	return all, nil
}

func (s *Service) endpoint(key, value []byte) (Endpoint, bool) {
	e, err := parse(value)
	if err != nil {
		s.logger.Warn("etcd: a value is no endpoint", "key", string(key), "cause", err)
	}
	return e, err == nil
}

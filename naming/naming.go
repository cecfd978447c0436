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

// Client is what a Service uses: a *client.Client has it.
type Client interface {
	// Do makes one request, as kv.KV says.
	Do(ctx context.Context, op kv.Op) (kv.OpResponse, error)
	// Follow tells the present state and its changes, as watch.Watcher says.
	Follow(ctx context.Context, key string, opts ...kv.OpOption) iter.Seq2[watch.Update, error]
}

// Endpoint is an address of a service.
type Endpoint struct {
	// Addr is what is dialled, such as "10.0.0.1:443".
	Addr string

	// Metadata is whatever JSON can have besides; nil for none. Read again, it is
	// what encoding/json makes of that.
	Metadata any
}

// Operation is what is done to an endpoint.
type Operation uint8

const (
	// Add adds an endpoint, or replaces it.
	Add Operation = iota
	// Delete deletes an endpoint.
	Delete
)

// Update is a change of an endpoint.
type Update struct {
	// Op is Add or Delete.
	Op Operation
	// Key is the endpoint's: the service's name, a slash, and what tells it from the
	// service's others.
	Key string
	// Endpoint is what is added. Of one that is deleted nothing is known but its key.
	Endpoint Endpoint
}

// record is an endpoint's value on the cluster.
type record struct {
	Op       Operation
	Addr     string
	Metadata any
}

func parse(value []byte) (Endpoint, error) {
	var r record
	err := json.Unmarshal(value, &r)
	return Endpoint{r.Addr, r.Metadata}, err
}

// Option is an option of New and NewBuilder.
type Option func(*config)

type config struct{ logger *slog.Logger }

// WithLogger logs values that are no endpoints, and what a gRPC resolver has to do
// again. Without it, or with nil, nothing is logged.
func WithLogger(l *slog.Logger) Option {
	return func(c *config) {
		if l != nil {
			c.logger = l
		}
	}
}

// Service has the endpoints of one service. It is safe for concurrent use, and has
// nothing to close.
type Service struct {
	client Client
	prefix string
	logger *slog.Logger
}

// New returns the endpoints of the service called name. It sends nothing.
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

// Op is the request that makes the change u, with the options of a Put or Delete, to be
// sent by kv.KV's Do, or with others in a transaction. The error says what is wrong with
// u.
func (s *Service) Op(u Update, opts ...kv.OpOption) (kv.Op, error) {
	if !strings.HasPrefix(u.Key, s.prefix) {
		return kv.Op{}, fmt.Errorf("naming: the key %q is none of the service's, which begin with %q", u.Key, s.prefix)
	}
	switch u.Op {
	case Add:
		value, err := json.Marshal(record{Add, u.Endpoint.Addr, u.Endpoint.Metadata})
		if err != nil {
			return kv.Op{}, fmt.Errorf("naming: the endpoint %s: %w", u.Key, err)
		}
		return kv.OpPut(u.Key, string(value), opts...), nil
	case Delete:
		return kv.OpDelete(u.Key, opts...), nil
	}
	return kv.Op{}, fmt.Errorf("naming: the operation on %s is %d; use Add or Delete", u.Key, u.Op)
}

// Add adds an endpoint, or replaces it. With kv.WithLease it goes when the lease ends.
func (s *Service) Add(ctx context.Context, key string, e Endpoint, opts ...kv.OpOption) error {
	return s.do(ctx, Update{Op: Add, Key: key, Endpoint: e}, opts)
}

// Delete deletes an endpoint. That there is none is no error.
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

// List reads the endpoints, by their keys, with the options of a Get, such as
// kv.WithSerializable.
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

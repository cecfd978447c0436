package endpoints

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/internal/bare"
	"github.com/getcd/getcd/clientv3/internal/below"
	"github.com/getcd/getcd/watch"
)

// NewManager returns the endpoints of the service called target, which must not be
// empty. It sends nothing.
func NewManager(client *clientv3.Client, target string) (Manager, error) {
	switch {
	case client == nil:
		return nil, errors.New("clientv3/naming: the client is nil")
	case target == "":
		return nil, errors.New("clientv3/naming: the service's name is empty")
	}
	return &manager{client, target + "/"}, nil
}

type manager struct {
	client *clientv3.Client
	prefix string
}

// record is an endpoint's value on the cluster.
type record struct {
	Op       Operation
	Addr     string
	Metadata any
}

func (m *manager) Update(ctx context.Context, updates []*UpdateWithOpts) error {
	ops := make([]clientv3.Op, 0, len(updates))
	for _, u := range updates {
		switch {
		case !strings.HasPrefix(u.Key, m.prefix):
			return status.Errorf(codes.InvalidArgument, "clientv3/naming: the key %q is none of the service's, which begin with %q", u.Key, m.prefix)
		case u.Op == Add:
			value, err := json.Marshal(record{Add, u.Endpoint.Addr, u.Endpoint.Metadata})
			if err != nil {
				return status.Errorf(codes.InvalidArgument, "clientv3/naming: the endpoint %s: %v", u.Key, err)
			}
			ops = append(ops, clientv3.OpPut(u.Key, string(value), u.Opts...))
		case u.Op == Delete:
			ops = append(ops, clientv3.OpDelete(u.Key, u.Opts...))
		default:
			return status.Errorf(codes.InvalidArgument, "clientv3/naming: the operation is %d: use Add or Delete", u.Op)
		}
	}
	_, err := m.client.Txn(ctx).Then(ops...).Commit()
	return err
}

func (m *manager) AddEndpoint(ctx context.Context, key string, endpoint Endpoint, opts ...clientv3.OpOption) error {
	return m.Update(ctx, []*UpdateWithOpts{NewAddUpdateOpts(key, endpoint, opts...)})
}

func (m *manager) DeleteEndpoint(ctx context.Context, key string, opts ...clientv3.OpOption) error {
	return m.Update(ctx, []*UpdateWithOpts{NewDeleteUpdateOpts(key, opts...)})
}

func (m *manager) List(ctx context.Context) (Key2EndpointMap, error) {
	resp, err := m.client.Get(ctx, m.prefix, clientv3.WithPrefix(), clientv3.WithSerializable())
	if err != nil {
		return nil, err
	}
	all := make(Key2EndpointMap)
	for _, pair := range resp.Kvs {
		if e, ok := parse(pair.GetValue()); ok {
			all[string(pair.GetKey())] = e
		}
	}
	return all, nil
}

func parse(value []byte) (Endpoint, bool) {
	var r record
	err := json.Unmarshal(value, &r)
	return Endpoint{r.Addr, r.Metadata}, err == nil
}

func (m *manager) NewWatchChannel(ctx context.Context) (WatchChannel, error) {
	out, begun := make(chan []*Update, 1), make(chan error, 1)
	go func() { // ends with ctx, and closes out to say so
		defer close(out)
		err := m.follow(ctx, out, begun)
		if ctx.Err() == nil {
			m.client.GetLogger().Warn("the endpoints of a service are not watched any more", "service", m.prefix, "error", err)
		}
		select {
		case begun <- err:
		default: // it has
		}
	}()
	if err := <-begun; err != nil {
		return nil, bare.Error(err)
	}
	return out, nil
}

// follow tells the endpoints and their changes to out, and says in begun when the
// first have been read.
func (m *manager) follow(ctx context.Context, out chan<- []*Update, begun chan<- error) error {
	known := make(map[string]bool)
	first := true
	for u, err := range below.Watcher(m.client.Watcher).Follow(ctx, m.prefix, clientv3.WithPrefix()) {
		if err != nil {
			return err
		}
		updates := m.updates(u, known)
		if len(updates) > 0 {
			select {
			case out <- updates:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if first {
			first = false
			begun <- nil
		}
	}
	return ctx.Err()
}

// updates puts a step of the keys' history into updates, and keeps account of the
// keys that are known.
func (m *manager) updates(u watch.Update, known map[string]bool) []*Update {
	var out []*Update
	add := func(key string, value []byte) {
		e, ok := parse(value)
		if !ok {
			m.client.GetLogger().Warn("a value is no endpoint", "key", key)
			return
		}
		known[key] = true
		out = append(out, &Update{Op: Add, Key: key, Endpoint: e})
	}
	remove := func(key string) {
		delete(known, key)
		out = append(out, &Update{Op: Delete, Key: key})
	}
	if u.Snapshot != nil { // the first, or after changes that nobody can learn any more
		gone := maps.Clone(known)
		for _, pair := range u.Snapshot.KVs {
			delete(gone, string(pair.GetKey()))
			add(string(pair.GetKey()), pair.GetValue())
		}
		for _, key := range slices.Sorted(maps.Keys(gone)) {
			remove(key)
		}
	}
	for _, e := range u.Events {
		if key := string(e.GetKv().GetKey()); e.GetType() == clientv3.EventTypeDelete {
			remove(key)
		} else {
			add(key, e.GetKv().GetValue())
		}
	}
	return out
}

package endpoints

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/internal/bare"
	"github.com/getcd/getcd/clientv3/internal/below"
	"github.com/getcd/getcd/naming"
)

// NewManager returns a Manager for the service with the name target, which must
// not be empty. It sends nothing.
func NewManager(client *clientv3.Client, target string) (Manager, error) {
	if client == nil {
		return nil, errors.New("clientv3/naming: the client is nil")
	}
	s, err := naming.New(below.Client(client), target, naming.WithLogger(client.GetLogger()))
	if err != nil {
		return nil, err
	}
	return &manager{client, s}, nil
}

type manager struct {
	client  *clientv3.Client
	service *naming.Service
}

func (m *manager) Update(ctx context.Context, updates []*UpdateWithOpts) error {
	ops := make([]clientv3.Op, 0, len(updates))
	for _, u := range updates {
		op, err := m.service.Op(u.Update, u.Opts...)
		if err != nil {
			return status.Error(codes.InvalidArgument, err.Error())
		}
		ops = append(ops, op)
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
	all, err := m.service.List(ctx, clientv3.WithSerializable())
	return all, bare.Error(err)
}

func (m *manager) NewWatchChannel(ctx context.Context) (WatchChannel, error) {
	out, begun := make(chan []*Update, 1), make(chan error, 1)
	go func() { // ends with ctx, and closes out
		defer close(out)
		err := m.follow(ctx, out, begun)
		if ctx.Err() == nil {
			m.client.GetLogger().Warn("etcd: the endpoints of a service are not watched any more", "cause", err)
		}
		select {
		case begun <- err:
		default: // the first endpoints were read
		}
	}()
	if err := <-begun; err != nil {
		return nil, bare.Error(err)
	}
	return out, nil
}

// follow sends the endpoints and their changes to out. It signals begun once the
// first endpoints were read.
func (m *manager) follow(ctx context.Context, out chan<- []*Update, begun chan<- error) error {
	first := true
	for updates, err := range m.service.Follow(ctx) {
		if err != nil {
			return err
		}
		if len(updates) > 0 {
			told := make([]*Update, len(updates))
			for i := range updates {
				told[i] = &updates[i]
			}
			select {
			case out <- told:
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

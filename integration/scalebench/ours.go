package main

import (
	"context"
	"errors"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lock"
	"github.com/getcd/getcd/watch"
)

type ours struct {
	c     *client.Client
	locks *lock.Pool
}

func dialOurs(s settings) (peer, error) {
	c, err := client.New(client.Config{Endpoints: s.endpoints, Username: s.user, Password: s.password, DialOptions: s.options, Resolver: s.resolver})
	if err != nil {
		return nil, err
	}
	return newOurs(c)
}

func newOurs(c *client.Client) (ours, error) {
	locks, err := lock.NewPool(c.Conn(), lock.WithLeaseService(c), lock.WithWatcher(c))
	return ours{c, locks}, err
}

func (s ours) put(ctx context.Context, key, value string) error {
	_, err := s.c.Put(ctx, key, value)
	return err
}

func (s ours) getOne(ctx context.Context, key string, serializable bool) error {
	var opts []kv.OpOption
	if serializable {
		opts = append(opts, kv.WithSerializable())
	}
	resp, err := s.c.Get(ctx, key, opts...)
	if err == nil && len(resp.Kvs) != 1 {
		err = errMissing
	}
	return err
}

func (s ours) get(ctx context.Context, prefix string) (int, error) {
	resp, err := s.c.Get(ctx, prefix, kv.WithPrefix())
	if err != nil {
		return 0, err
	}
	return len(resp.Kvs), nil
}

func (s ours) stream(ctx context.Context, prefix string) (int, error) {
	n := 0
	for _, err := range s.c.Scan(ctx, prefix, kv.WithPrefix()) {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func (s ours) keep(ctx context.Context, seconds int64) (<-chan struct{}, error) {
	l, err := s.c.Grant(ctx, seconds)
	if err != nil {
		return nil, err
	}
	k, err := s.c.Keep(ctx, l.ID)
	if err != nil {
		return nil, err
	}
	return k.Done(), nil
}

func (s ours) contender(context.Context) (contender, error) {
	return func(ctx context.Context, name string) (func(context.Context) error, error) {
		m, err := s.locks.Mutex(name)
		if err != nil {
			return nil, err
		}
		return m.Unlock, m.Lock(ctx)
	}, nil
}

type ourWatch watch.WatchChan

func (s ours) watch(ctx context.Context, key string, prefix bool) watching {
	opts := []kv.OpOption{kv.WithCreatedNotify()} // since Watch does not wait
	if prefix {
		opts = append(opts, kv.WithPrefix())
	}
	return ourWatch(s.c.Watch(ctx, key, opts...))
}

func (w ourWatch) made() error {
	switch resp, ok := <-w; {
	case !ok:
		return errEnded
	default:
		return resp.Err()
	}
}

func (w ourWatch) next() ([]*watch.Event, error) {
	resp, ok := <-w
	if !ok {
		return nil, errEnded
	}
	return resp.Events, resp.Err()
}

func (s ours) close() error {
	return errors.Join(s.locks.Close(context.Background()), s.c.Close())
}

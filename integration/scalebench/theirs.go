package main

import (
	"context"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.uber.org/zap"
)

type theirs struct{ c *clientv3.Client }

func dialTheirs(s settings) (peer, error) {
	c, err := clientv3.New(clientv3.Config{Endpoints: s.endpoints, Username: s.user, Password: s.password, DialOptions: s.options, Logger: zap.NewNop()})
	if err != nil {
		return nil, err
	}
	return theirs{c}, nil
}

func (s theirs) put(ctx context.Context, key, value string) error {
	_, err := s.c.Put(ctx, key, value)
	return err
}

func (s theirs) getOne(ctx context.Context, key string, serializable bool) error {
	var opts []clientv3.OpOption
	if serializable {
		opts = append(opts, clientv3.WithSerializable())
	}
	resp, err := s.c.Get(ctx, key, opts...)
	if err == nil && len(resp.Kvs) != 1 {
		err = errMissing
	}
	return err
}

func (s theirs) get(ctx context.Context, prefix string) (int, error) {
	resp, err := s.c.Get(ctx, prefix, clientv3.WithPrefix())
	if err != nil {
		return 0, err
	}
	return len(resp.Kvs), nil
}

func (s theirs) stream(ctx context.Context, prefix string) (int, error) {
	parts, err := s.c.GetStream(ctx, prefix, clientv3.WithPrefix())
	if err != nil {
		return 0, err
	}
	n := 0
	for part := range parts {
		if err := part.Err(); err != nil {
			return n, err
		}
		n += len(part.Kvs)
	}
	return n, nil
}

func (s theirs) keep(ctx context.Context, seconds int64) (<-chan struct{}, error) {
	l, err := s.c.Grant(ctx, seconds)
	if err != nil {
		return nil, err
	}
	answers, err := s.c.KeepAlive(ctx, l.ID)
	if err != nil {
		return nil, err
	}
	lost := make(chan struct{})
	go func() { // as clientv3's sessions do: it warns when nobody reads
		for range answers {
		}
		close(lost)
	}()
	return lost, nil
}

// contender has a session of its own, since the mutexes of one session share their key.
func (s theirs) contender(ctx context.Context) (contender, error) {
	session, err := concurrency.NewSession(s.c, concurrency.WithTTL(10), concurrency.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, name string) (func(context.Context) error, error) {
		m := concurrency.NewMutex(session, name)
		return m.Unlock, m.Lock(ctx)
	}, nil
}

type theirWatch clientv3.WatchChan

func (s theirs) watch(ctx context.Context, key string, prefix bool) watching {
	if prefix {
		return theirWatch(s.c.Watch(ctx, key, clientv3.WithPrefix()))
	}
	return theirWatch(s.c.Watch(ctx, key))
}

// made has nothing to wait for: Watch has waited.
func (w theirWatch) made() error { return nil }

func (w theirWatch) next() ([]*mvccpb.Event, error) {
	resp, ok := <-w
	if !ok {
		return nil, errEnded
	}
	return resp.Events, resp.Err()
}

func (s theirs) close() error { return s.c.Close() }

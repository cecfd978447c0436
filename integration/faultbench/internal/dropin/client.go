// Code generated from ../etcdclient/client.go by go generate. DO NOT EDIT.

package dropin

import (
	"context"
	"errors"
	"fmt"

	clientv3 "github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/concurrency"
)

// Client is an etcd client as the bench uses it.
type Client struct{ c *clientv3.Client }

// Dial returns a client, which must be closed.
func Dial(s Settings) (*Client, error) {
	c, err := clientv3.New(clientv3.Config{
		Endpoints:            s.Endpoints,
		TLS:                  s.TLS,
		Username:             s.Username,
		Password:             s.Password,
		DialTimeout:          s.LoginTimeout,
		DialKeepAliveTime:    s.KeepAliveTime,
		DialKeepAliveTimeout: s.KeepAliveTimeout,
		DialOptions:          s.DialOptions,
		Logger:               silent(),
	})
	if err != nil {
		return nil, fmt.Errorf("clientv3: %w", err)
	}
	return &Client{c}, nil
}

// Put writes a key.
func (v *Client) Put(ctx context.Context, key, value string) error {
	_, err := v.c.Put(ctx, key, value)
	return err
}

// Swap writes value if the key holds old. If not, it returns the key's value. An
// empty string stands for a key that does not exist.
func (v *Client) Swap(ctx context.Context, key, old, value string) (bool, string, error) {
	holds := clientv3.Compare(clientv3.Value(key), "=", old)
	if old == "" {
		holds = clientv3.Compare(clientv3.Version(key), "=", 0)
	}
	resp, err := v.c.Txn(ctx).If(holds).Then(clientv3.OpPut(key, value)).Else(clientv3.OpGet(key)).Commit()
	if err != nil || resp.Succeeded {
		return err == nil, "", err
	}
	if kvs := resp.Responses[0].GetResponseRange().GetKvs(); len(kvs) > 0 {
		return false, string(kvs[0].Value), nil
	}
	return false, "", nil
}

// Get reads a key.
func (v *Client) Get(ctx context.Context, key string, serializable bool) (string, error) {
	var opts []clientv3.OpOption
	if serializable {
		opts = append(opts, clientv3.WithSerializable())
	}
	resp, err := v.c.Get(ctx, key, opts...)
	if err != nil || len(resp.Kvs) == 0 {
		return "", err
	}
	return string(resp.Kvs[0].Value), nil
}

var errEnded = errors.New("it has ended")

// Watch calls each for every event of the key from the revision on. It returns
// when ctx ends, or with an error when the watch ends.
func (v *Client) Watch(ctx context.Context, key string, from int64, each func(revision, version int64)) error {
	for resp := range v.c.Watch(ctx, key, clientv3.WithRev(from)) {
		if err := resp.Err(); err != nil {
			return err
		}
		for _, event := range resp.Events {
			each(event.Kv.ModRevision, event.Kv.Version)
		}
	}
	return errEnded
}

// KeepLease grants a lease of ttl seconds and keeps it alive. It returns when ctx
// ends, or with an error when the lease ends. It calls renewed for each response
// to a renewal.
func (v *Client) KeepLease(ctx context.Context, ttl int64, renewed func(id int64)) error {
	granted, err := v.c.Grant(ctx, ttl)
	if err != nil {
		return err
	}
	answers, err := v.c.KeepAlive(ctx, granted.ID)
	if err != nil {
		return err
	}
	for range answers {
		renewed(int64(granted.ID))
	}
	return errEnded
}

// Lock waits for a lock, calls locked when it holds it, and unlocks it.
func (v *Client) Lock(ctx context.Context, name string, locked func()) error {
	session, err := concurrency.NewSession(v.c, concurrency.WithContext(ctx)) //nolint:contextcheck,nolintlint // WithContext passes it; only the copy is complained of
	if err != nil {
		return err
	}
	mutex := concurrency.NewMutex(session, name)
	if err := mutex.Lock(ctx); err != nil {
		return errors.Join(err, session.Close())
	}
	locked()
	return errors.Join(mutex.Unlock(ctx), session.Close())
}

// Ambiguous returns true for all errors, because clientv3 does not distinguish
// them.
func (v *Client) Ambiguous(error) bool { return true }

// Close closes the client.
func (v *Client) Close() error { return v.c.Close() }

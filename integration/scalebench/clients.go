package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/resolver"
)

// peer is a client as the rows use it.
type peer interface {
	put(ctx context.Context, key, value string) error
	getOne(ctx context.Context, key string, serializable bool) error
	// get returns how many keys there are in a prefix, after it has read them all.
	get(ctx context.Context, prefix string) (int, error)
	// stream is get in parts, or key by key.
	stream(ctx context.Context, prefix string) (int, error)
	// keep grants a lease of that many seconds and keeps it until ctx ends. lost closes when
	// the lease is kept no longer.
	keep(ctx context.Context, seconds int64) (lost <-chan struct{}, err error)
	// contender returns somebody who locks. Two contenders exclude each other.
	contender(ctx context.Context) (contender, error)
	// watch begins to watch a key, or a prefix.
	watch(ctx context.Context, key string, prefix bool) watching
	close() error
}

// contender takes a lock and returns what frees it.
type contender func(ctx context.Context, name string) (unlock func(context.Context) error, err error)

type watching interface {
	// made waits until the server has the watch.
	made() error
	// next returns the events of the next response.
	next() ([]*mvccpb.Event, error)
}

// clients are the clients, by their names: first the one to compare with.
var clients = []struct {
	name string
	dial func(settings) (peer, error)
}{
	{"clientv3", dialTheirs},
	{"getcd", dialOurs},
}

// settings are those that both clients have.
type settings struct {
	endpoints      []string
	user, password string
	options        []grpc.DialOption
	resolver       resolver.Options // getcd's alone
}

func clientNames() []string {
	names := make([]string, len(clients))
	for i, c := range clients {
		names[i] = c.name
	}
	return names
}

func dial(name string, s settings) (peer, error) {
	for _, c := range clients {
		if c.name == name {
			return c.dial(s)
		}
	}
	return nil, errors.New("there is no client " + name)
}

var (
	errEnded   = errors.New("the watch has ended")
	errMissing = errors.New("the key is not there")
)

// each runs f for 0 to n-1, at most so many at a time, until one fails.
func each(ctx context.Context, n, atATime int, f func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	done := make(chan struct{})
	for range min(n, atATime) {
		go func() {
			defer func() { done <- struct{}{} }()
			for i := range next {
				if err := f(ctx, i); err != nil {
					cancel(fmt.Errorf("%d of %d: %w", i, n, err))
				}
			}
		}()
	}
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	for range min(n, atATime) {
		<-done
	}
	return context.Cause(ctx)
}

// wait waits for a time.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

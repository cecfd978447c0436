package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/kv"
)

// connection is the part of a client that the loads need.
type connection struct {
	put   func(ctx context.Context, key, value string) error
	get   func(ctx context.Context, prefix string) error
	close func() error
}

type clientType struct {
	name string
	dial func(address string) (connection, error)
	// marks says whether the client distinguishes ambiguous failures from certain
	// ones.
	marks bool
}

// doubts formats the number of ambiguous failures, if the client reports them.
func (c clientType) doubts(n int) string {
	if !c.marks {
		return "not told"
	}
	return strconv.Itoa(n)
}

func clients() []clientType {
	return []clientType{
		{"getcd", func(address string) (connection, error) {
			c, err := client.New(client.Config{Endpoints: []string{address}})
			if err != nil {
				return connection{}, err
			}
			return connection{
				func(ctx context.Context, key, value string) error { _, err := c.Put(ctx, key, value); return err },
				func(ctx context.Context, prefix string) error {
					_, err := c.Get(ctx, prefix, kv.WithPrefix())
					return err
				},
				c.Close,
			}, nil
		}, true},
		{"clientv3", func(address string) (connection, error) {
			c, err := clientv3.New(clientv3.Config{Endpoints: []string{address}, Logger: zap.NewNop()})
			if err != nil {
				return connection{}, err
			}
			return connection{
				func(ctx context.Context, key, value string) error { _, err := c.Put(ctx, key, value); return err },
				func(ctx context.Context, prefix string) error {
					_, err := c.Get(ctx, prefix, clientv3.WithPrefix())
					return err
				},
				c.Close,
			}, nil
		}, false},
	}
}

const (
	putters = 4
	// callTime is the deadline of a call. It is longer than every fault of a
	// measurement.
	callTime = 30 * time.Second
)

// count has the results of calls of one kind.
type count struct {
	ok, failed int
	last, gap  time.Duration
}

func (c *count) add(now time.Duration, err error) {
	if err != nil {
		c.failed++
		return
	}
	c.ok++
	c.gap = max(c.gap, now-c.last)
	c.last = now
}

// load puts and reads through a client, and records the results.
type load struct {
	of     clientType
	prefix string
	stop   func() error

	mu          sync.Mutex
	acked       map[string]bool // guarded by mu: values whose put returned nil
	doubts      int             // guarded by mu: ambiguous failures of puts
	puts, reads count           // guarded by mu; the failures of puts are the certain ones
}

func startLoad(ctx context.Context, of clientType, address, prefix string) (*load, error) {
	conn, err := of.dial(address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	l := &load{of: of, prefix: prefix, acked: make(map[string]bool)}
	start := time.Now()
	var work sync.WaitGroup
	for w := range putters {
		work.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				value := fmt.Sprintf("%d-%d", w, n)
				call, end := context.WithTimeout(context.WithoutCancel(ctx), callTime)
				err := conn.put(call, fmt.Sprint(prefix, w), value)
				end()
				l.mu.Lock()
				if of.marks && client.IsAmbiguous(err) {
					l.doubts++
				} else {
					l.puts.add(time.Since(start), err)
				}
				if err == nil {
					l.acked[value] = true
				}
				l.mu.Unlock()
			}
		})
	}
	work.Go(func() {
		for ctx.Err() == nil {
			call, end := context.WithTimeout(context.WithoutCancel(ctx), callTime)
			err := conn.get(call, prefix)
			end()
			l.mu.Lock()
			l.reads.add(time.Since(start), err)
			l.mu.Unlock()
		}
	})
	l.stop = sync.OnceValue(func() error {
		cancel()
		work.Wait()
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, c := range []*count{&l.puts, &l.reads} {
			c.gap = max(c.gap, time.Since(start)-c.last)
		}
		return conn.close()
	})
	return l, nil
}

// judge counts the puts that were applied twice. It returns an error if a put
// returned nil but was not applied. The load must be stopped.
func (l *load) judge(ctx context.Context, direct *client.Client) (twice int, err error) {
	last, err := direct.Put(ctx, l.prefix+"last", "")
	if err != nil {
		return 0, err
	}
	applied := make(map[string]int)
	for e, err := range direct.Events(ctx, l.prefix, kv.WithPrefix(), kv.WithRev(1)) {
		if err != nil {
			return 0, err
		}
		if e.Kv.ModRevision == last.Header.Revision {
			break
		}
		if value := string(e.Kv.Value); value != "" {
			if applied[value]++; applied[value] == 2 {
				twice++
			}
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for value := range l.acked {
		if applied[value] == 0 {
			return 0, fmt.Errorf("%s: the put of %s returned nil and was not applied", l.of.name, value)
		}
	}
	return twice, nil
}

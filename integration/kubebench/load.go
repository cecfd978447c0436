package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	deadline = 5 * time.Second
	pace     = 50 * time.Millisecond
	workers  = 4
	things   = "/apis/example.com/v1/namespaces/default/things"
)

// definition is a custom resource definition for kube-apiserver.
const definition = `{
	"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
	"metadata": {"name": "things.example.com"},
	"spec": {
		"group": "example.com", "scope": "Namespaced",
		"names": {"plural": "things", "singular": "thing", "kind": "Thing"},
		"versions": [{"name": "v1", "served": true, "storage": true,
			"schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]
	}
}`

// thing returns an object of that kind.
func thing(name string, value int) []byte {
	return fmt.Appendf(nil, `{"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": %q}, "value": %d}`, name, value)
}

// counts are the results of calls of one kind.
type counts struct {
	mu      sync.Mutex
	done    int
	failed  int
	last    time.Time     // the last success
	longest time.Duration // without a success
	errors  map[string]int
}

func (c *counts) add(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done++
	if err != nil {
		c.failed++
		if c.errors == nil {
			c.errors = make(map[string]int)
		}
		c.errors[err.Error()]++
		return
	}
	c.successLocked()
}

func (c *counts) successLocked() {
	now := time.Now()
	if !c.last.IsZero() {
		c.longest = max(c.longest, now.Sub(c.last))
	}
	c.last = now
}

// reset clears the counts and returns how many calls had failed.
func (c *counts) reset() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	failed := c.failed
	c.done, c.failed, c.longest, c.errors, c.last = 0, 0, 0, nil, time.Now()
	return failed
}

// load is the load of a cell.
type load struct {
	server *server
	kinds  map[string]*counts // read-only

	mu      sync.Mutex
	created []string // guarded by mu
}

// kindNames are in the order of the report: create an object, update one, read
// one from etcd, list all from the cache, which must not be stale, and the
// server's own health check.
var kindNames = []string{"create", "update", "get", "list", "readyz"}

// run makes calls until ctx ends.
func (l *load) run(ctx context.Context) {
	var wg sync.WaitGroup
	for w := range workers {
		name := "w" + strconv.Itoa(w)
		for kind, do := range map[string]func(context.Context, int) error{
			"create": func(ctx context.Context, n int) error {
				of := fmt.Sprintf("%s-%d", name, n)
				_, err := l.server.call(ctx, http.MethodPost, things, thing(of, n))
				if err == nil {
					l.mu.Lock()
					l.created = append(l.created, of)
					l.mu.Unlock()
				}
				return err
			},
			"update": func(ctx context.Context, n int) error {
				_, err := l.server.call(ctx, http.MethodPatch, things+"/"+name, fmt.Appendf(nil, `{"value": %d}`, n))
				return err
			},
			"get": func(ctx context.Context, _ int) error {
				_, err := l.server.call(ctx, http.MethodGet, things+"/"+name, nil)
				return err
			},
			"list": func(ctx context.Context, _ int) error {
				_, err := l.server.call(ctx, http.MethodGet, things+"?labelSelector=none%3Dsuch", nil)
				return err
			},
		} {
			wg.Go(func() { l.repeat(ctx, kind, pace, do) })
		}
	}
	wg.Go(func() {
		l.repeat(ctx, "readyz", time.Second, func(ctx context.Context, _ int) error {
			_, err := l.server.call(ctx, http.MethodGet, "/readyz", nil)
			return err
		})
	})
	wg.Wait()
}

func (l *load) repeat(ctx context.Context, kind string, every time.Duration, do func(context.Context, int) error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		call, cancel := context.WithTimeout(ctx, deadline)
		err := do(call, n)
		cancel()
		if ctx.Err() == nil {
			l.kinds[kind].add(err)
		}
	}
}

// follower watches all things, as a controller does: when the watch ends, it
// continues from the last version that it has seen.
type follower struct {
	mu       sync.Mutex
	seen     map[string]int // by name: how many times each was added
	restarts int
	lost     int // how many versions were too old to continue from
	events   counts
}

func (f *follower) run(ctx context.Context, s *server, version string) {
	for ctx.Err() == nil {
		version = f.follow(ctx, s, version)
		if ctx.Err() == nil {
			f.mu.Lock()
			f.restarts++
			f.mu.Unlock()
			time.Sleep(100 * time.Millisecond)
		}
	}
}

func (f *follower) follow(ctx context.Context, s *server, version string) string {
	resp, err := s.open(ctx, http.MethodGet, things+"?watch=1&resourceVersion="+version, nil)
	if err != nil {
		return version
	}
	defer func() { _ = resp.Body.Close() }() // it has ended
	lines := bufio.NewReader(resp.Body)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return version
		}
		var e struct {
			Type   string
			Object struct {
				Metadata struct{ Name, ResourceVersion string }
			}
		}
		if json.Unmarshal(line, &e) != nil {
			return version
		}
		f.mu.Lock()
		switch e.Type {
		case "ADDED":
			f.seen[e.Object.Metadata.Name]++
		case "ERROR":
			f.lost++
			f.mu.Unlock()
			return version
		}
		f.mu.Unlock()
		f.events.add(nil)
		version = e.Object.Metadata.ResourceVersion
	}
}

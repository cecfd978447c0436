package main

import (
	"context"
	"errors"
	"io"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func watchPrograms() map[string]program {
	return map[string]program{
		"watch/key":       watchKey,
		"watch/prefix":    watchPrefix,
		"watch/past":      watchThePast,
		"watch/filters":   watchFilters,
		"watch/compacted": watchCompacted,
		"watch/progress":  watchProgress,
		"watch/cancel":    watchCancel,
	}
}

// watched prints n events.
func watched(p *printer, events clientv3.WatchChan, n int) error {
	for n > 0 {
		resp, ok := <-events
		if !ok {
			return errors.New("the watch has ended")
		}
		if err := resp.Err(); err != nil {
			return err
		}
		for _, e := range resp.Events {
			p.line("%v %s = %s, new: %v, before: %s", e.Type, e.Kv.Key, e.Kv.Value, e.IsCreate(), e.PrevKv.GetValue())
			n--
		}
	}
	return p.err
}

// begun waits until the server has created a watch.
func begun(events clientv3.WatchChan) error {
	resp := <-events
	if !resp.Created {
		return errors.New("the first response does not say that the watch was made")
	}
	return nil
}

func watchKey(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	events := cli.Watch(ctx, "color", clientv3.WithCreatedNotify(), clientv3.WithPrevKV())
	if err := begun(events); err != nil {
		return err
	}
	for _, color := range []string{"green", "yellow"} {
		if _, err := cli.Put(ctx, "color", color); err != nil {
			return err
		}
	}
	if _, err := cli.Delete(ctx, "color"); err != nil {
		return err
	}
	return watched(p, events, 3)
}

func watchPrefix(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	events := cli.Watch(ctx, "fruit/", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	some := cli.Watch(ctx, "fruit/01", clientv3.WithRange("fruit/03"), clientv3.WithCreatedNotify())
	if err := errors.Join(begun(events), begun(some)); err != nil {
		return err
	}
	if err := fill(ctx, cli, 4); err != nil {
		return err
	}
	if err := watched(p, events, 4); err != nil {
		return err
	}
	return watched(p, some, 2)
}

func watchThePast(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	first, err := cli.Put(ctx, "color", "green")
	if err != nil {
		return err
	}
	if _, err := cli.Put(ctx, "color", "red"); err != nil {
		return err
	}
	return watched(p, cli.Watch(ctx, "color", clientv3.WithRev(first.Header.Revision)), 2)
}

func watchFilters(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	puts := cli.Watch(ctx, "color", clientv3.WithFilterDelete(), clientv3.WithCreatedNotify())
	deletes := cli.Watch(ctx, "color", clientv3.WithFilterPut(), clientv3.WithCreatedNotify())
	if err := errors.Join(begun(puts), begun(deletes)); err != nil {
		return err
	}
	if _, err := cli.Put(ctx, "color", "green"); err != nil {
		return err
	}
	if _, err := cli.Delete(ctx, "color"); err != nil {
		return err
	}
	return errors.Join(watched(p, puts, 1), watched(p, deletes, 1))
}

func watchCompacted(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	first, err := cli.Put(ctx, "color", "green")
	if err != nil {
		return err
	}
	last, err := cli.Put(ctx, "color", "red")
	if err != nil {
		return err
	}
	if _, err := cli.Compact(ctx, last.Header.Revision); err != nil {
		return err
	}
	for resp := range cli.Watch(ctx, "color", clientv3.WithRev(first.Header.Revision)) {
		p.line("canceled: %v, compacted: %v, up to the last: %v", resp.Canceled,
			errors.Is(resp.Err(), rpctypes.ErrCompacted), resp.CompactRevision == last.Header.Revision)
	}
	return p.err
}

func watchProgress(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	events := cli.Watch(ctx, "color", clientv3.WithProgressNotify(), clientv3.WithCreatedNotify())
	if err := begun(events); err != nil {
		return err
	}
	put, err := cli.Put(ctx, "smell", "sweet")
	if err != nil {
		return err
	}
	for {
		if err := cli.RequestProgress(ctx); err != nil {
			return err
		}
		resp, ok := <-events
		if !ok {
			return errors.New("the watch has ended")
		}
		if resp.IsProgressNotify() && resp.Header.Revision >= put.Header.Revision {
			p.line("it has seen everything, without an event")
			return p.err
		}
	}
}

func watchCancel(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events := cli.Watch(ctx, "color", clientv3.WithCreatedNotify())
	if err := begun(events); err != nil {
		return err
	}
	cancel()
	for resp := range events {
		if len(resp.Events) > 0 {
			p.line("an event")
		}
	}
	p.line("closed")
	return p.err
}

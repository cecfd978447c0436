package main

import (
	"context"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/integration/internal/measure"
)

// manyWatches makes watches of as many keys, until the server has all of them.
func manyWatches(ctx context.Context, w *work) error {
	if err := w.put(ctx, "scalebench/first", ""); err != nil { // connected
		return err
	}
	all := make([]watching, w.Size)
	before, goroutines, streams := memory(), goroutines(), w.wire.streams.Load()
	cpu, begin := measure.CPU(), time.Now()
	for i := range all {
		all[i] = w.watch(ctx, fmt.Sprint("scalebench/watched/", i), false)
	}
	for _, one := range all {
		if err := one.made(); err != nil {
			return err
		}
	}
	w.add("made in", milliseconds(time.Since(begin)), "ms").main()
	w.add("CPU to make them", milliseconds(measure.CPU()-cpu), "ms")
	w.grown(before, goroutines, w.Size)
	w.add("streams of all", float64(w.wire.streams.Load()-streams), "")
	return nil
}

// fanOut has many watches of one prefix, in which the parent then writes.
func fanOut(ctx context.Context, w *work) error {
	all := make([]watching, w.Size)
	for i := range all {
		all[i] = w.watch(ctx, fanOutPrefix, true)
	}
	for _, one := range all {
		if err := one.made(); err != nil {
			return err
		}
	}
	before := w.wire.events.Load()
	cpu := measure.CPU()
	if err := w.parent.Ready(); err != nil {
		return err
	}
	line, err := w.parent.Next()
	if err != nil {
		return err
	}
	begin := time.Now()
	var changes int
	if _, err := fmt.Sscan(line, &changes); err != nil {
		return err
	}
	if err := each(ctx, len(all), len(all), func(_ context.Context, i int) error {
		for n := 0; n < changes; {
			events, err := all[i].next()
			if err != nil {
				return err
			}
			if n += len(events); n > changes {
				return fmt.Errorf("%d events of %d changes", n, changes)
			}
		}
		return nil
	}); err != nil {
		return err
	}
	took, used := time.Since(begin), measure.CPU()-cpu
	events := float64(changes * len(all))
	w.add("events a second", events/took.Seconds(), "").main().more()
	w.add("events in a second of CPU", events/used.Seconds(), "").main().more()
	w.add("times that the server sent each event", float64(w.wire.events.Load()-before)/float64(changes), "").main()
	w.add("events", events, "")
	return nil
}

const fanOutPrefix = "scalebench/fanout/"

// changes writes in the prefix, 100 keys in each transaction and 64 transactions at a
// time: as many as it has said before. So the writing is not what is measured.
func changes(ctx context.Context, s *stage, say func(string) error) error {
	n := max(1, s.scaled(20_000)/perTxn)
	if err := say(fmt.Sprint(n * perTxn)); err != nil {
		return err
	}
	return each(ctx, n, 64, func(ctx context.Context, i int) error { return s.write(ctx, fanOutPrefix, i) })
}

// perTxn is how many keys a transaction writes: fewer than a server permits.
const perTxn = 100

// write puts the i-th hundred of keys.
func (s *stage) write(ctx context.Context, prefix string, i int) error {
	txn := new(pb.TxnRequest)
	for j := range perTxn {
		txn.Success = append(txn.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{
			Key: fmt.Appendf(nil, "%s%08d", prefix, i*perTxn+j), Value: value,
		}}})
	}
	_, err := s.kv.Txn(ctx, txn)
	return err
}

// value has 100 bytes.
var value = []byte("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123")

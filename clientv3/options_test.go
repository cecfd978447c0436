package clientv3_test

import (
	"context"
	"errors"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/kv"
)

// Options that clientv3 ignores are ignored, and options about which it panics
// are errors.
func TestOptionsOfOtherOperations(t *testing.T) {
	const get, put, del, watch = "Get", "Put", "Delete", "Watch"
	tests := []struct {
		name    string
		opt     clientv3.OpOption
		ignored []string // in addition to those that it applies to
		refused []string
	}{
		{"WithPrevKV", clientv3.WithPrevKV(), []string{get, put, del, watch}, nil},
		{"WithKeysOnly", clientv3.WithKeysOnly(), []string{get, put, del, watch}, nil},
		{"WithIgnoreValue", clientv3.WithIgnoreValue(), []string{get, put, del, watch}, nil},
		{"WithIgnoreLease", clientv3.WithIgnoreLease(), []string{get, put, del, watch}, nil},
		{"WithProgressNotify", clientv3.WithProgressNotify(), []string{get, put, del, watch}, nil},
		{"WithFragment", clientv3.WithFragment(), []string{get, put, del, watch}, nil},
		{"WithCreatedNotify", clientv3.WithCreatedNotify(), []string{get, watch}, []string{put, del}},
		{"WithFilterPut", clientv3.WithFilterPut(), []string{get, watch}, []string{put, del}},
		{"WithFilterDelete", clientv3.WithFilterDelete(), []string{get, watch}, []string{put, del}},
		{"WithLease", clientv3.WithLease(1), []string{get, put}, []string{del, watch}},
		{"WithLease(NoLease)", clientv3.WithLease(clientv3.NoLease), []string{get, put, del, watch}, nil},
		{"WithLimit", clientv3.WithLimit(1), []string{get}, []string{put, del, watch}},
		{"WithLimit(0)", clientv3.WithLimit(0), []string{get, put, del, watch}, nil},
		{"WithLimit(-1)", clientv3.WithLimit(-1), []string{get}, []string{put, del, watch}},
		{"WithRev", clientv3.WithRev(1), []string{get, watch}, []string{put, del}},
		{"WithRev(0)", clientv3.WithRev(0), []string{get, put, del, watch}, nil},
		{"WithRev(-1)", clientv3.WithRev(-1), []string{get}, []string{put, del}},
		{"WithMaxModRev", clientv3.WithMaxModRev(1), []string{get}, []string{put, del, watch}},
		{"WithMaxModRev(-1)", clientv3.WithMaxModRev(-1), []string{get}, []string{put, del, watch}},
		{"WithMinModRev(0)", clientv3.WithMinModRev(0), []string{get, put, del, watch}, nil},
		{"WithMaxCreateRev(0)", clientv3.WithMaxCreateRev(0), []string{get, put, del, watch}, nil},
		{"WithMinCreateRev", clientv3.WithMinCreateRev(1), []string{get}, []string{put, del, watch}},
		{"WithSerializable", clientv3.WithSerializable(), []string{get}, []string{put, del, watch}},
		{"WithCountOnly", clientv3.WithCountOnly(), []string{get}, []string{put, del, watch}},
		{"WithSort", clientv3.WithSort(clientv3.SortByValue, clientv3.SortDescend), []string{get}, []string{put, del, watch}},
		{"WithRange", clientv3.WithRange("z"), []string{get, del, watch}, []string{put}},
		{"WithPrefix", clientv3.WithPrefix(), []string{get, del, watch}, []string{put}},
		{"WithFromKey", clientv3.WithFromKey(), []string{get, del, watch}, []string{put}},
	}
	for _, tt := range tests {
		ops := map[string]clientv3.Op{
			get: clientv3.OpGet("k", tt.opt), put: clientv3.OpPut("k", "", tt.opt),
			del: clientv3.OpDelete("k", tt.opt), watch: clientv3.OpWatch("k", tt.opt),
		}
		for _, name := range tt.ignored {
			if err := ops[name].Err(); err != nil {
				t.Errorf("%s of a %s: %v", tt.name, name, err)
			}
		}
		for _, name := range tt.refused {
			err := ops[name].Err()
			if _, ok := errors.AsType[*kv.UsageError](err); !ok {
				t.Errorf("%s of a %s: %v, want a *kv.UsageError", tt.name, name, err)
			}
		}
	}
}

// If two options set a range, the later one wins, except for the two that exclude
// each other in a Get. In a watch, these don't.
func TestTwoRanges(t *testing.T) {
	prefix, from := clientv3.WithPrefix(), clientv3.WithFromKey()
	to := clientv3.WithRange
	tests := []struct {
		opts    []clientv3.OpOption
		want    string
		refused bool
	}{
		{[]clientv3.OpOption{to("x"), to("z")}, "z", false},
		{[]clientv3.OpOption{prefix, to("z")}, "z", false},
		{[]clientv3.OpOption{to("z"), prefix}, "l", false},
		{[]clientv3.OpOption{to("z"), from}, "\x00", false},
		{[]clientv3.OpOption{from, to("z")}, "z", false},
		{append(clientv3.WithFirstKey(), to("z")), "z", false},
		{[]clientv3.OpOption{prefix, from}, "\x00", true},
		{[]clientv3.OpOption{from, prefix}, "l", true},
	}
	for _, tt := range tests {
		op := clientv3.OpGet("k", tt.opts...)
		if err := op.Err(); (err != nil) != tt.refused {
			t.Errorf("%d options: %v, want an error: %v", len(tt.opts), err, tt.refused)
		}
		if got := string(op.RangeBytes()); !tt.refused && got != tt.want {
			t.Errorf("the range ends at %q, want %q", got, tt.want)
		}
		if len(tt.opts) > 2 {
			continue // a watch has no order
		}
		watch := clientv3.OpWatch("k", tt.opts...)
		if got := string(watch.RangeBytes()); watch.Err() != nil || got != tt.want {
			t.Errorf("the watch's range ends at %q, %v; want %q", got, watch.Err(), tt.want)
		}
	}
}

// Revisions that a program computes from the latest one may be negative.
func TestNegativeRevisions(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		ctx := r.t.Context()
		if _, err := r.Put(ctx, "k", "v"); err != nil {
			r.t.Fatal(err)
		}
		for _, tt := range []struct {
			name string
			opt  clientv3.OpOption
			want int
		}{
			{"WithMaxModRev", clientv3.WithMaxModRev(-1), 0},
			{"WithMaxCreateRev", clientv3.WithMaxCreateRev(-1), 0},
			{"WithMinModRev", clientv3.WithMinModRev(-1), 1},
			{"WithMinCreateRev", clientv3.WithMinCreateRev(-1), 1},
			{"WithRev", clientv3.WithRev(-1), 1},
		} {
			get, err := r.Get(ctx, "k", tt.opt)
			if err != nil {
				r.t.Errorf("%s: %v", tt.name, err)
				continue
			}
			if len(get.Kvs) != tt.want {
				r.t.Errorf("%s: %d keys, want %d", tt.name, len(get.Kvs), tt.want)
			}
		}
		if _, err := r.Compact(ctx, -1); err != rpctypes.ErrCompacted { //nolint:errorlint // as users of clientv3 do
			r.t.Errorf("Compact: %v, want ErrCompacted", err)
		}
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := r.Compact(ended, -1); err != context.Canceled { //nolint:errorlint // as users of clientv3 do
			r.t.Errorf("Compact with an ended context: %v", err)
		}
	})
}

package bench

import (
	"context"
	"strconv"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/integration/faultbench/internal/history"
	"github.com/getcd/getcd/integration/faultbench/internal/report"
)

// kind is a kind of call. Either call or follow is set.
type kind struct {
	name, text string
	// missing says why it is not available here. It is empty if it is available.
	missing string
	// writes says that the calls change data.
	writes bool
	// watches says that the kind needs a key to watch.
	watches bool
	// rests says that the watched key is written only a few times.
	rests bool
	// alone says that it has separate cells with one worker, which makes all of
	// the client's traffic, so that no other call notices the fault.
	alone bool
	// call makes a worker's next call.
	call func(ctx context.Context, w *worker) error
	// follow is one call for the whole measurement, which records its own
	// samples. It returns when ctx ends, or with an error. After an error it is
	// called again.
	follow func(ctx context.Context, w *worker) error
	// remark, if not nil, reports on the workers at the end.
	remark func(ctx context.Context, kv pb.KVClient, workers []*worker) (report.Remarks, error)
}

func kinds() []kind {
	return []kind{
		{name: "put", text: "puts and compare-and-swaps by turns, each worker on its own key", writes: true, call: write},
		{name: "get", text: "linearizable reads of the keys that put writes", call: read},
		{name: "serializable", text: "serializable reads of the same keys", call: readSerializable},
		{name: "watch", text: "watches of a key that is written through all members; a success is an event, and takes as long as the silence before it", watches: true, follow: watchKey, remark: remarkWatch},
		{name: "lease", text: "leases of 5 s that are kept alive; a success is an answer to a renewal, and takes as long as the time since the one before", follow: keepLease, remark: remarkLease},
		{name: "only-watch", text: "nothing but one watch, in the silent faults and in kill, of a key that rests; another client writes it half a second after the fault's first moment and then every 3 s, and a success is an event, and takes from when that client was told of its write", alone: true, rests: true, follow: watchResting, remark: remarkWatch},
		{name: "only-lock", text: "nothing but waiting for a lock, in the same faults; its holder, another client, frees it half a second after the fault's first moment, and a success takes from then on", alone: true, follow: waitForLock},
	}
}

// keyTime is how long a key is used. Twice the operations take more than twice
// the time to check, so long measurements use many keys.
const keyTime = 10 * time.Second

// currentKey returns the key to use now. It is the same for all workers with the
// same number.
func (w *worker) currentKey() string {
	return w.key + "/" + strconv.FormatInt(int64(w.now()/keyTime), 10)
}

// write makes a put, or a swap of the last value that the worker knows.
func write(ctx context.Context, w *worker) error {
	w.calls++
	key := w.currentKey()
	if key != w.valueOf {
		w.valueOf, w.value = key, ""
	}
	o := history.Op{Kind: history.Put, Value: strconv.Itoa(w.index) + "." + strconv.Itoa(w.calls)}
	var err error
	if w.calls%2 == 1 {
		o.Call = w.now()
		err = w.client.Put(ctx, key, w.cfg.filled(o.Value))
	} else {
		o.Kind, o.Expect = history.Swap, w.value
		o.Call = w.now()
		var got string
		o.Swapped, got, err = w.client.Swap(ctx, key, w.expected(), w.cfg.filled(o.Value))
		o.Got = w.cfg.short(got)
	}
	o.Return = w.now()
	switch {
	case err != nil && !w.client.Ambiguous(err):
		return err // the client says that it was not applied, so nobody may see it
	case err != nil:
		o.Unknown = true
	case o.Kind == history.Put || o.Swapped:
		w.value = o.Value
	default:
		w.value = o.Got
	}
	w.ops[key] = append(w.ops[key], o)
	return err
}

// expected returns the last value that the worker knows, or an empty string.
func (w *worker) expected() string {
	if w.value == "" {
		return ""
	}
	return w.cfg.filled(w.value)
}

func read(ctx context.Context, w *worker) error {
	key := w.currentKey()
	o := history.Op{Kind: history.Read, Call: w.now()}
	got, err := w.client.Get(ctx, key, false)
	o.Return = w.now()
	o.Got = w.cfg.short(got)
	if err == nil {
		w.ops[key] = append(w.ops[key], o)
	}
	return err
}

func readSerializable(ctx context.Context, w *worker) error {
	_, err := w.client.Get(ctx, w.currentKey(), true)
	return err
}

func (w *worker) now() time.Duration { return time.Since(w.origin) }

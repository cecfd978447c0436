package bench

import (
	"context"
	"strconv"
	"time"

	"github.com/getcd/getcd/integration/faultbench/internal/history"
)

// kind is a kind of call. One that is measured in another way, such as a watch
// or a held lease, gets its line in kinds and its own load beside work's.
type kind struct {
	name, text string
	// missing says why it cannot be chosen yet; empty when it can.
	missing string
	// writes says that the calls change data.
	writes bool
	// call makes a worker's next call.
	call func(ctx context.Context, w *worker) error
}

func kinds() []kind {
	return []kind{
		{name: "put", text: "puts and compare-and-swaps by turns, each worker on its own key", writes: true, call: write},
		{name: "get", text: "linearizable reads of the keys that put writes", call: read},
		{name: "serializable", text: "serializable reads of the same keys", call: readSerializable},
		{name: "watch", text: "the longest silence, and events lost or doubled", missing: "needs getcd's watch"},
		{name: "lease", text: "whether a lease of 5 s survives", missing: "not built yet"},
	}
}

// write makes a put, or a swap of the value that the worker knows of last.
func write(ctx context.Context, w *worker) error {
	w.calls++
	o := history.Op{Kind: history.Put, Value: strconv.Itoa(w.index) + "." + strconv.Itoa(w.calls)}
	var err error
	if w.calls%2 == 1 {
		o.Call = w.now()
		err = w.client.Put(ctx, w.key, o.Value)
	} else {
		o.Kind, o.Expect = history.Swap, w.value
		o.Call = w.now()
		o.Swapped, o.Got, err = w.client.Swap(ctx, w.key, w.value, o.Value)
	}
	o.Return = w.now()
	switch {
	case err != nil && !w.client.Ambiguous(err):
		return err // it was not applied, says the client: then nobody may see it
	case err != nil:
		o.Unknown = true
	case o.Kind == history.Put || o.Swapped:
		w.value = o.Value
	default:
		w.value = o.Got
	}
	w.ops = append(w.ops, o)
	return err
}

func read(ctx context.Context, w *worker) error {
	o := history.Op{Kind: history.Read, Call: w.now()}
	var err error
	o.Got, err = w.client.Get(ctx, w.key, false)
	o.Return = w.now()
	if err == nil {
		w.ops = append(w.ops, o)
	}
	return err
}

func readSerializable(ctx context.Context, w *worker) error {
	_, err := w.client.Get(ctx, w.key, true)
	return err
}

func (w *worker) now() time.Duration { return time.Since(w.origin) }

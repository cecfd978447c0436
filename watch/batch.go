package watch

import (
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"
)

// batch is what is delivered at once: whole revisions.
type batch struct {
	header *pb.ResponseHeader
	events []*Event
	bytes  int
}

func newBatch(header *pb.ResponseHeader, events []*Event) batch {
	b := batch{header: header, events: events}
	for _, e := range events {
		b.bytes += sizeOf(e)
	}
	return b
}

// next is the revision after the batch.
func (b *batch) next() int64 { return b.events[len(b.events)-1].Kv.ModRevision + 1 }

// after is what of the batch is of the revision or later ones.
func (b *batch) after(rev int64) batch {
	i := 0
	for i < len(b.events) && b.events[i].Kv.ModRevision < rev {
		i++
	}
	if i == 0 {
		return *b
	}
	return newBatch(b.header, b.events[i:])
}

// seal makes the batch fit for several consumers: one that appends to a key or a value
// gets memory of its own.
func (b *batch) seal() {
	for _, e := range b.events {
		sealKV(e.Kv)
		sealKV(e.PrevKv)
	}
}

func sealKV(kv *mvccpb.KeyValue) {
	if kv == nil {
		return
	}
	if cap(kv.Key) > len(kv.Key) {
		kv.Key = slices.Clip(kv.Key)
	}
	if cap(kv.Value) > len(kv.Value) {
		kv.Value = slices.Clip(kv.Value)
	}
}

// own is a copy of what several consumers are given, for one that may write into it.
func (b *batch) own() batch {
	c := batch{header: proto.CloneOf(b.header), events: make([]*Event, len(b.events)), bytes: b.bytes}
	var slab []ownEvent
	for i, e := range b.events {
		if len(slab) == 0 {
			slab = make([]ownEvent, min(len(b.events)-i, ownSlab))
		}
		own := &slab[0]
		slab = slab[1:]
		own.event.Type, own.event.Kv = e.Type, &own.kv
		copyKV(&own.kv, e.Kv)
		if e.PrevKv != nil {
			own.event.PrevKv = &mvccpb.KeyValue{}
			copyKV(own.event.PrevKv, e.PrevKv)
		}
		c.events[i] = &own.event
	}
	return c
}

// ownSlab is how many events are copied into one piece of memory, without their keys and
// values. More would cost somebody who keeps a single one too much.
const ownSlab = 16

type ownEvent struct {
	event Event
	kv    mvccpb.KeyValue
}

func copyKV(to, from *mvccpb.KeyValue) {
	k, v := len(from.Key), len(from.Value)
	buf := append(append(make([]byte, 0, k+v), from.Key...), from.Value...)
	if to.Key = buf[:k:k]; v > 0 {
		to.Value = buf[k:]
	}
	to.CreateRevision, to.ModRevision, to.Version, to.Lease = from.CreateRevision, from.ModRevision, from.Version, from.Lease
}

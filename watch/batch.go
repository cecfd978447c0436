package watch

import (
	"bytes"
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
	if kv != nil {
		kv.Key, kv.Value = slices.Clip(kv.Key), slices.Clip(kv.Value)
	}
}

// own is a copy of what several consumers are given, for one that may write into it.
func (b *batch) own() batch {
	c := batch{header: proto.CloneOf(b.header), events: make([]*Event, len(b.events)), bytes: b.bytes}
	for i, e := range b.events {
		own := &struct {
			e  Event
			kv mvccpb.KeyValue
		}{}
		c.events[i] = &own.e
		own.e.Type, own.e.Kv = e.Type, &own.kv
		copyKV(&own.kv, e.Kv)
		if e.PrevKv != nil {
			own.e.PrevKv = &mvccpb.KeyValue{}
			copyKV(own.e.PrevKv, e.PrevKv)
		}
	}
	return c
}

func copyKV(to, from *mvccpb.KeyValue) {
	to.Key, to.Value = bytes.Clone(from.Key), bytes.Clone(from.Value)
	to.CreateRevision, to.ModRevision, to.Version, to.Lease = from.CreateRevision, from.ModRevision, from.Version, from.Lease
}

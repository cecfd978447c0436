package cache

import (
	"encoding/binary"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// A record is a key with its value and its revisions in one string: one allocation for each key,
// which needs no lock, since nothing changes it. It is
//
//	length of the key, key, create revision, mod revision - create revision, version, lease, value
//
// where numbers are varints.
type record = string

func newRecord(kv *mvccpb.KeyValue) record {
	b := make([]byte, 0, 5*binary.MaxVarintLen64+len(kv.Key)+len(kv.Value))
	b = binary.AppendUvarint(b, uint64(len(kv.Key)))
	b = append(b, kv.Key...)
	b = binary.AppendUvarint(b, uint64(kv.CreateRevision))
	b = binary.AppendUvarint(b, uint64(kv.ModRevision-kv.CreateRevision))
	b = binary.AppendUvarint(b, uint64(kv.Version))
	b = binary.AppendUvarint(b, uint64(kv.Lease))
	b = append(b, kv.Value...)
	return string(b)
}

// uvarint is binary.Uvarint for a string that this package has written.
func uvarint(s string) (uint64, int) {
	if s[0] < 0x80 {
		return uint64(s[0]), 1
	}
	var x uint64
	for i, shift := 0, 0; ; i, shift = i+1, shift+7 {
		c := s[i]
		if c < 0x80 {
			return x | uint64(c)<<shift, i + 1
		}
		x |= uint64(c&0x7f) << shift
	}
}

// keyOf is a part of the record, and keeps all of it in memory.
func keyOf(r record) string {
	if n := int(r[0]); n < 0x80 { // which the search for a key meets again and again
		return r[1 : 1+n]
	}
	n, w := uvarint(r)
	return r[w : w+int(n)]
}

// item is a record with its numbers at hand.
type item struct {
	key, value           string
	create, mod, version int64
	lease                int64
}

func parse(r record) item {
	n, w := uvarint(r)
	it := item{key: r[w : w+int(n)]}
	r = r[w+int(n):]
	it.create, r = number(r)
	it.mod, r = number(r)
	it.version, r = number(r)
	it.lease, r = number(r)
	it.mod += it.create
	it.value = r
	return it
}

func number(s string) (n int64, rest string) {
	x, w := uvarint(s)
	return int64(x), s[w:]
}

// fill makes kv the record's message. Its bytes are taken from buf, which it returns without
// them: they are the caller's, who may change them.
func (it *item) fill(kv *mvccpb.KeyValue, keysOnly bool, buf []byte) []byte {
	kv.CreateRevision, kv.ModRevision, kv.Version, kv.Lease = it.create, it.mod, it.version, it.lease
	kv.Key, buf = cut(buf, it.key)
	if !keysOnly && it.value != "" { // else it is nil, as from the wire
		kv.Value, buf = cut(buf, it.value)
	}
	return buf
}

func cut(buf []byte, s string) (part, rest []byte) {
	n := copy(buf, s)
	return buf[:n:n], buf[n:]
}

func (it *item) size(keysOnly bool) int {
	if keysOnly {
		return len(it.key)
	}
	return len(it.key) + len(it.value)
}

// messages makes messages of items. Up to 64 of them share an allocation, and so do their bytes,
// so that a caller who keeps one of them does not keep all.
func messages(items []item, keysOnly bool) []*mvccpb.KeyValue {
	if len(items) == 0 {
		return nil
	}
	const together = 64
	kvs := make([]*mvccpb.KeyValue, 0, len(items))
	for len(items) > 0 {
		part := items[:min(together, len(items))]
		items = items[len(part):]
		size := 0
		for i := range part {
			size += part[i].size(keysOnly)
		}
		block, buf := make([]mvccpb.KeyValue, len(part)), make([]byte, size)
		for i := range part {
			buf = part[i].fill(&block[i], keysOnly, buf)
			kvs = append(kvs, &block[i])
		}
	}
	return kvs
}

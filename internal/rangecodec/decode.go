package rangecodec

import (
	"bytes"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

const (
	// group is how many KeyValues share their memory.
	group = 16
	// alone is the length in bytes above which a key or value shares no memory.
	alone = 512
)

// The tags of the fields (rpc.proto, kv.proto): the field's number and its wire type, in one
// byte.
const (
	tagHeader = 1<<3 | byte(protowire.BytesType) // of RangeResponse
	tagKV     = 2<<3 | byte(protowire.BytesType)
	tagMore   = 3<<3 | byte(protowire.VarintType)
	tagCount  = 4<<3 | byte(protowire.VarintType)

	tagKey     = 1<<3 | byte(protowire.BytesType) // of KeyValue
	tagCreate  = 2<<3 | byte(protowire.VarintType)
	tagMod     = 3<<3 | byte(protowire.VarintType)
	tagVersion = 4<<3 | byte(protowire.VarintType)
	tagValue   = 5<<3 | byte(protowire.BytesType)
	tagLease   = 6<<3 | byte(protowire.VarintType)

	tagRange = 1<<3 | byte(protowire.BytesType) // of RangeStreamResponse
)

// decodePart is decodeRange for a part of a stream.
func decodePart(b []byte, m *pb.RangeStreamResponse) bool {
	m.Reset()
	f, rest := next(b)
	if f.tag != tagRange || len(rest) > 0 {
		return false
	}
	r := new(pb.RangeResponse)
	if !decodeRange(f.bytes, r) {
		return false
	}
	m.RangeResponse = r
	return true
}

// decodeRange sets m to the message that b encodes. It reports false if that is for the
// generated decoder. It keeps nothing of b.
func decodeRange(b []byte, m *pb.RangeResponse) bool {
	m.Reset()
	n := count(b)
	kvs := make([]*mvccpb.KeyValue, 0, n)
	var now []mvccpb.KeyValue // the group
	var used int              // of the group
	for len(b) > 0 {
		var f field
		f, b = next(b)
		switch f.tag {
		case tagHeader:
			if m.Header != nil {
				return false // the two would be merged
			}
			m.Header = new(pb.ResponseHeader)
			if proto.Unmarshal(f.bytes, m.Header) != nil {
				return false
			}
		case tagKV:
			if used == len(now) {
				own(now)
				now, used = make([]mvccpb.KeyValue, min(group, n-len(kvs))), 0
			}
			kv := &now[used]
			if !decodeKV(f.bytes, kv) {
				return false
			}
			used++
			kvs = append(kvs, kv)
		case tagMore:
			m.More = protowire.DecodeBool(f.number)
		case tagCount:
			m.Count = int64(f.number)
		default:
			return false
		}
	}
	own(now)
	if n > 0 {
		m.Kvs = kvs
	}
	return true
}

// count returns the number of keys in a RangeResponse, up to a field that is not known.
func count(b []byte) (n int) {
	for len(b) > 0 {
		var f field
		if f, b = next(b); f.tag == tagKV {
			n++
		}
		if f.tag == 0 {
			break
		}
	}
	return n
}

// decodeKV sets kv, which is empty. The key and the value are parts of b.
func decodeKV(b []byte, kv *mvccpb.KeyValue) bool {
	for len(b) > 0 {
		var f field
		f, b = next(b)
		switch f.tag {
		case tagKey:
			kv.Key = f.bytes
		case tagCreate:
			kv.CreateRevision = int64(f.number)
		case tagMod:
			kv.ModRevision = int64(f.number)
		case tagVersion:
			kv.Version = int64(f.number)
		case tagValue:
			kv.Value = f.bytes
		case tagLease:
			kv.Lease = int64(f.number)
		default:
			return false
		}
	}
	return true
}

// own gives the KeyValues memory of their own for their keys and values.
func own(kvs []mvccpb.KeyValue) {
	size := 0
	for i := range kvs {
		for _, v := range [...][]byte{kvs[i].Key, kvs[i].Value} {
			if len(v) <= alone {
				size += len(v)
			}
		}
	}
	buf := make([]byte, size)
	for i := range kvs {
		kvs[i].Key, buf = keep(kvs[i].Key, buf)
		kvs[i].Value, buf = keep(kvs[i].Value, buf)
	}
}

// keep returns a copy of v, in the first bytes of buf if v is short, and the rest of buf.
// The generated decoder makes an empty field nil.
func keep(v, buf []byte) (kept, rest []byte) {
	switch n := len(v); {
	case n == 0:
		return nil, buf
	case n > alone:
		return bytes.Clone(v), buf
	default:
		copy(buf, v)
		return buf[:n:n], buf[n:]
	}
}

// field is a field of a message.
type field struct {
	tag    byte // 0 if there is no whole field, or its tag is none of the above
	bytes  []byte
	number uint64
}

// next returns the first field of b, and the rest of b.
func next(b []byte) (f field, rest []byte) {
	if len(b) == 0 || b[0] > tagLease {
		return field{}, nil
	}
	f.tag = b[0]
	var n int
	switch protowire.Type(f.tag & 7) {
	case protowire.BytesType:
		f.bytes, n = protowire.ConsumeBytes(b[1:])
	case protowire.VarintType:
		f.number, n = protowire.ConsumeVarint(b[1:])
	default:
		return field{}, nil
	}
	if n < 0 {
		return field{}, nil
	}
	return f, b[1+n:]
}

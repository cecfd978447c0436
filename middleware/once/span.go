package once

import (
	"bytes"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/kv"
)

// span is a range of keys as requests have it: one key when there is no end, and all from the
// first on when the end is "\x00".
type span struct{ from, end []byte }

func under(prefix string) span { return span{[]byte(prefix), []byte(kv.GetPrefixRangeEnd(prefix))} }

func (s span) unbounded() bool { return len(s.end) == 1 && s.end[0] == 0 }

func (s span) has(key []byte) bool {
	if len(s.end) == 0 {
		return bytes.Equal(s.from, key)
	}
	return bytes.Compare(s.from, key) <= 0 && (s.unbounded() || bytes.Compare(key, s.end) < 0)
}

func (s span) meets(o span) bool {
	return s.has(o.from) && !o.empty() || o.has(s.from) && !s.empty()
}

// empty reports whether the end is before the beginning.
func (s span) empty() bool {
	return len(s.end) > 0 && !s.unbounded() && bytes.Compare(s.end, s.from) <= 0
}

// touched returns the key, or the first one of the range, of an operation that would write in
// the span.
func (s span) touched(branches ...[]*pb.RequestOp) (key []byte, ok bool) {
	for _, ops := range branches {
		for _, op := range ops {
			if w, writes := writeSpan(op); writes && s.meets(w) {
				return w.from, true
			}
			if t := op.GetRequestTxn(); t != nil {
				if key, ok := s.touched(t.GetSuccess(), t.GetFailure()); ok {
					return key, true
				}
			}
		}
	}
	return nil, false
}

// writeSpan is where an operation writes. Nested transactions have operations of their own.
func writeSpan(op *pb.RequestOp) (s span, ok bool) {
	switch op := op.GetRequest().(type) {
	case *pb.RequestOp_RequestPut:
		return span{from: op.RequestPut.GetKey()}, true
	case *pb.RequestOp_RequestDeleteRange:
		return span{op.RequestDeleteRange.GetKey(), op.RequestDeleteRange.GetRangeEnd()}, true
	default:
		return span{}, false
	}
}

package lesson

import (
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"
)

// TestNames shows other values for what differs from run to run, the same ones wherever
// they occur, and leaves the rest alone.
func TestNames(t *testing.T) {
	const drawn = 0x0123456789abcdef // errors have it with the zero, keys without
	n := newNames()
	n.member(2, 1<<63+5)
	n.replace("127.0.0.1:45678", "m2:2379")
	m := &pb.RangeResponse{
		Header: &pb.ResponseHeader{ClusterId: 1 << 62, MemberId: 1<<63 + 5, Revision: 7, RaftTerm: 9},
		Kvs: []*mvccpb.KeyValue{
			{Key: []byte("lock/other"), Lease: drawn, Version: 3},
			{Key: []byte("lock/123456789abcdef"), Value: []byte("http://127.0.0.1:45678"), Lease: drawn},
			{Key: []byte("\xff\x00"), Lease: 77},
		},
	}
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	shown := new(pb.RangeResponse)
	if err := proto.Unmarshal(n.message(b, m.ProtoReflect().Descriptor()), shown); err != nil {
		t.Fatal(err)
	}
	const lease = 0x7111111111111111
	want := &pb.RangeResponse{
		Header: &pb.ResponseHeader{ClusterId: 0xc111111111111111, MemberId: 0xa111111111111112, Revision: 7, RaftTerm: 2},
		Kvs: []*mvccpb.KeyValue{
			{Key: []byte("lock/other"), Lease: lease, Version: 3},
			{Key: []byte("lock/7111111111111111"), Value: []byte("http://m2:2379"), Lease: lease},
			{Key: []byte("\xff\x00"), Lease: 77},
		},
	}
	if !proto.Equal(shown, want) {
		t.Errorf("got %v, want %v", shown, want)
	}
	for text, want := range map[string]string{
		"lease 0123456789abcdef is gone": "lease 7111111111111111 is gone",
		"in decimal 81985529216486895":   "in decimal 8147311965888385297",
	} {
		if got := n.text(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	// Cut off or no message at all: what can't be read stays.
	for i := range b {
		_ = n.message(b[:i], m.ProtoReflect().Descriptor())
	}
}

package canon

import (
	"bytes"
	"encoding/hex"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"
)

// What a server draws is shown as something else, and comes back as what it was.
func TestNamesGoBothWays(t *testing.T) {
	n := New()
	n.Text("127.0.0.1:45678", "127.0.0.1:2379")
	m := &pb.RangeResponse{
		Header: &pb.ResponseHeader{ClusterId: 1 << 62, MemberId: 1 << 50, Revision: 7, RaftTerm: 9},
		Kvs:    []*mvccpb.KeyValue{{Key: []byte("lock/4d65822107fcfd52"), Value: []byte("http://127.0.0.1:45678"), Lease: 0x4d65822107fcfd52}},
	}
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	shown := new(pb.RangeResponse)
	if err := proto.Unmarshal(n.Message(b, m.ProtoReflect().Descriptor(), false), shown); err != nil {
		t.Fatal(err)
	}
	want := &pb.RangeResponse{
		Header: &pb.ResponseHeader{ClusterId: 0xcdf818194e3a8c32, MemberId: 0x8e9e05c52164694d, Revision: 7, RaftTerm: 2},
		Kvs:    []*mvccpb.KeyValue{{Key: []byte("lock/694d77aa9e38260f"), Value: []byte("http://127.0.0.1:2379"), Lease: 0x694d77aa9e38260f}},
	}
	if !proto.Equal(shown, want) {
		t.Errorf("shown: %v, want %v", shown, want)
	}
	put := &pb.PutRequest{Key: []byte("lock/694d77aa9e38260f"), Lease: 0x694d77aa9e38260f}
	if b, err = proto.Marshal(put); err != nil {
		t.Fatal(err)
	}
	sent := new(pb.PutRequest)
	if err := proto.Unmarshal(n.Message(b, put.ProtoReflect().Descriptor(), true), sent); err != nil {
		t.Fatal(err)
	}
	if string(sent.Key) != "lock/4d65822107fcfd52" || sent.Lease != 0x4d65822107fcfd52 {
		t.Errorf("sent: %v", sent)
	}
}

// A connection on which nothing has another name carries the bytes that were written, in
// whatever pieces they come.
func TestBytesStay(t *testing.T) {
	var want bytes.Buffer
	want.WriteString(http2.ClientPreface)
	framer := http2.NewFramer(&want, nil)
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	body, err := proto.Marshal(&pb.PutRequest{Key: []byte("foo"), Value: []byte("bar"), Lease: 7})
	if err != nil {
		t.Fatal(err)
	}
	for stream := uint32(1); stream < 6; stream += 2 {
		block.Reset()
		for _, f := range []hpack.HeaderField{{Name: ":method", Value: "POST"}, {Name: ":path", Value: pb.KV_Put_FullMethodName}, {Name: "te", Value: "trailers"}} {
			if err := enc.WriteField(f); err != nil {
				t.Fatal(err)
			}
		}
		if err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true}); err != nil {
			t.Fatal(err)
		}
		if err := framer.WriteData(stream, true, append([]byte{0, 0, 0, 0, byte(len(body))}, body...)); err != nil {
			t.Fatal(err)
		}
	}
	for size := 1; size < want.Len(); size *= 3 {
		c := New().Conn(nil, "").(*conn)
		var got []byte
		for p := want.Bytes(); len(p) > 0; {
			k := min(size, len(p))
			got = append(got, c.up.feed(p[:k])...)
			p = p[k:]
		}
		if !bytes.Equal(got, want.Bytes()) {
			t.Errorf("in pieces of %d: got\n%s want\n%s", size, hex.Dump(got), hex.Dump(want.Bytes()))
		}
	}
}

func TestJSON(t *testing.T) {
	n := New()
	got, err := n.JSON([]byte(`{"header": {"cluster_id":"4611686018427387904", "raft_term":"12"}, "ID":"7587883293842392338","TTL":"60"}`), (&pb.LeaseGrantResponse{}).ProtoReflect().Descriptor())
	want := `{"header":{"cluster_id":"14841639068965178418","raft_term":"2"},"ID":"7587852521871779343","TTL":"60"}` + "\n"
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

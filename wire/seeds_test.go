package wire_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// message is one protobuf message and the text that its listing must contain.
type message struct{ what, name, bytes, want string }

var messages = []message{
	{"a put", "etcdserverpb.PutRequest", encode(&pb.PutRequest{Key: []byte("foo"), Value: []byte("bar"), Lease: 0x694d}), `value: "bar"  @5  2 LEN`},
	{"an ID as etcd prints it", "etcdserverpb.PutRequest", encode(&pb.PutRequest{Lease: 0x694d}), "lease: 26957 (694d)"},
	{
		"nested messages", "etcdserverpb.WatchResponse",
		encode(&pb.WatchResponse{Events: []*mvccpb.Event{{Type: mvccpb.Event_DELETE, Kv: &mvccpb.KeyValue{Key: []byte("k")}}}}),
		`      key: "k"  @6  1 LEN`,
	},
	{"enumerations", "etcdserverpb.RangeRequest", encode(&pb.RangeRequest{SortOrder: pb.RangeRequest_DESCEND}), "sort_order: DESCEND"},
	{"packed elements", "etcdserverpb.WatchCreateRequest", encode(&pb.WatchCreateRequest{Filters: []pb.WatchCreateRequest_FilterType{0, 1}}), "filters: [NOPUT, NODELETE]"},
	{"negative numbers", "etcdserverpb.WatchRequest", encode(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: &pb.WatchCancelRequest{WatchId: -1}}}), "watch_id: -1"},
	{"an unknown field", "etcdserverpb.PutRequest", "\xfa\x07\x02hi", `unknown field: "hi"  @0  127 LEN`},
	{"an unknown enumerator", "etcdserverpb.RangeRequest", "\x28\x63", "sort_order: 99, which has no name"},
	{"another wire type", "etcdserverpb.PutRequest", "\x08\x05", "key: 5  @0  1 VARINT, but it should be LEN"},
	{"a group", "etcdserverpb.PutRequest", "\x0b\x0c", "a group of 1 bytes: not decoded"},
	{"a terminal escape", "etcdserverpb.PutRequest", encode(&pb.PutRequest{Key: []byte("a\x1b]0;owned\x07b")}), `key: "a\x1b]0;owned\ab"`},
	{"text that turns its direction", "etcdserverpb.PutRequest", encode(&pb.PutRequest{Key: []byte("a\u202eb")}), `key: "a\u202eb"`},
	{"invalid UTF-8", "etcdserverpb.PutRequest", encode(&pb.PutRequest{Key: []byte("\xff\xfe\xfd\xfc")}), "key: no text: fffefdfc"},
	{"a length beyond the end", "etcdserverpb.PutRequest", "\x0a\x7f" + "short", "malformed: field 1 has 127 bytes by its length, and 5 are left"},
	{"2 GB by its length", "etcdserverpb.PutRequest", "\x0a\xff\xff\xff\xff\x07" + "x", "malformed: field 1 has 2147483647 bytes by its length, and 1 are left"},
	{"an endless varint", "etcdserverpb.PutRequest", strings.Repeat("\xff", 20), "malformed: variable length integer overflow"},
	{"field number 0", "etcdserverpb.PutRequest", "\x00\x00", "malformed: invalid field number"},
	{"recursion", "etcdserverpb.TxnRequest", nestedTxn(500), "bytes: too deep to be decoded"},
	{"many fields", "etcdserverpb.PutRequest", strings.Repeat("\x30\x01", 100_000), "not decoded: too many fields"},
}

func encode(m proto.Message) string {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// nestedTxn returns transactions nested to the given depth.
func nestedTxn(depth int) string {
	var b []byte
	for range depth {
		b = protowire.AppendBytes(protowire.AppendTag(nil, 4, protowire.BytesType), b) // RequestOp.request_txn
		b = protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), b) // TxnRequest.success
	}
	return string(b)
}

// connection has the two directions of a connection and the text that its listing
// must contain.
type connection struct{ what, client, server, want string }

var streams = []connection{
	{"a call", ask("/etcdserverpb.KV/Put", 1, messages[0].bytes), answer(encode(&pb.PutResponse{Header: &pb.ResponseHeader{Revision: 7}})), "revision: 7  @2  3 VARINT"},
	{"a call of an unknown method", ask("/a.B/C", 1, "\x08\x01"), answer(""), "not decoded: the type is not known"},
	{"a message over several frames", ask("/etcdserverpb.KV/Put", 1, encode(&pb.PutRequest{Key: []byte("k"), Value: bytes.Repeat([]byte("v"), 40_000)})), "", "continued"},
	{"nothing", "", "", "end of the recording"},
	{"no preface", ask("/etcdserverpb.KV/Put", 1, "")[len(http2.ClientPreface):], "", ":path: /etcdserverpb.KV/Put"},
	{"an answer of HTTP/1", http2.ClientPreface, "HTTP/1.1 400 Bad Request\r\n\r\n\x1b[2J", `no HTTP/2: "HTTP/1.1 400 Bad Request"`},
	{"garbage", http2.ClientPreface + strings.Repeat("\xde\xad\xbe\xef", 100), strings.Repeat("garbage!", 100), "length 14593470"},
	{"half a preface", http2.ClientPreface[:10], "", "connection preface"},
	{"no preface after all", "PRI is not what comes\x1b[2J", "", "no HTTP/2"},
	{"half a frame's header", http2.ClientPreface + "\x00\x00", "", "cut off: 2 of the 9 bytes of a frame's header"},
	{"half a frame", http2.ClientPreface + "\x00\x00\x08\x06\x00\x00\x00\x00\x00abc", "", "3 bytes of it are here"},
	{"a frame of 16 MB", http2.ClientPreface + "\xff\xff\xff\x00\x00\x00\x00\x00\x01abc", "", "length 16777215"},
	{"a ping too short", http2.ClientPreface + "\x00\x00\x01\x06\x00\x00\x00\x00\x00a", "", "malformed"},
	{"padding longer than the frame", http2.ClientPreface + "\x00\x00\x02\x00\x08\x00\x00\x00\x01\xffa", "", "malformed"},
	{"an unknown type of frame", http2.ClientPreface + "\x00\x00\x01\xee\xff\x00\x00\x00\x01a", "", "UNKNOWN_FRAME_TYPE_238"},
	{"2 GB by gRPC's prefix", ask("/etcdserverpb.KV/Put", 0, "\x00\x7f\xff\xff\xff\x0a\x03foo"), "", `key: "foo"`},
	{"an impossible index", http2.ClientPreface + block("\xff\xff\x7f"), "", "not decoded"},
	{"an HPACK bomb", http2.ClientPreface + bomb(), "", "too much text for so few bytes"},
	{"an endless field", http2.ClientPreface + block("\x00\x7f\xff\xff\xff\xff\xff\xff\xff\xff\xff"), "", "not decoded"},
	{"a terminal escape in a header", ask("/\x1b[2J", 1, ""), "", `"/\x1b[2J"`},
	{"every frame", others(), others(), "last stream: 5"},
}

// ask returns what a client sends: a call with the given data. If withPrefix is 1,
// the data is one message, and ask adds gRPC's prefix.
func ask(path string, withPrefix int, message string) string {
	var b bytes.Buffer
	b.WriteString(http2.ClientPreface)
	f := http2.NewFramer(&b, nil)
	must(f.WriteSettings())
	writeHeaders(f, false, ":method", "POST", ":scheme", "http", ":path", path, "te", "trailers", "token", "hunter2")
	if withPrefix == 1 {
		message = framed(message)
	}
	for len(message) > 16384 {
		must(f.WriteData(1, false, []byte(message[:16384])))
		message = message[16384:]
	}
	must(f.WriteData(1, true, []byte(message)))
	return b.String()
}

// framed returns a message with gRPC's prefix.
func framed(message string) string {
	return "\x00" + string(binary.BigEndian.AppendUint32(nil, uint32(len(message)))) + message
}

func answer(message string) string {
	var b bytes.Buffer
	f := http2.NewFramer(&b, nil)
	must(f.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 16384}))
	writeHeaders(f, false, ":status", "200")
	must(f.WriteData(1, false, []byte(framed(message))))
	writeHeaders(f, true, "grpc-status", "0")
	return b.String()
}

func writeHeaders(f *http2.Framer, end bool, fields ...string) { writeHeadersOf(1, f, end, fields...) }

func writeHeadersOf(stream uint32, f *http2.Framer, end bool, fields ...string) {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for i := 0; i < len(fields); i += 2 {
		must(e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}))
	}
	must(f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: b.Bytes(), EndHeaders: true, EndStream: end}))
}

// block returns a HEADERS frame with the given block.
func block(b string) string {
	return fmt.Sprintf("%s\x01\x04\x00\x00\x00\x01%s", []byte{byte(len(b) >> 16), byte(len(b) >> 8), byte(len(b))}, b)
}

// bomb returns a field of 4,000 bytes, followed by bytes that each refer to it.
func bomb() string {
	var b bytes.Buffer
	must(hpack.NewEncoder(&b).WriteField(hpack.HeaderField{Name: "a", Value: strings.Repeat("b", 4000)}))
	return block(b.String() + strings.Repeat("\xbe", 16_000))
}

// others returns frames that gRPC seldom sends.
func others() string {
	var b bytes.Buffer
	f := http2.NewFramer(&b, nil)
	must(f.WriteSettingsAck())
	must(f.WriteWindowUpdate(0, 100))
	must(f.WritePing(true, [8]byte{1, 2, 3}))
	must(f.WritePriority(3, http2.PriorityParam{StreamDep: 1}))
	must(f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x83}, PadLength: 3, Priority: http2.PriorityParam{Weight: 5}}))
	must(f.WriteContinuation(1, true, []byte{0x84}))
	must(f.WriteDataPadded(1, false, []byte("data"), []byte{0, 0}))
	must(f.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, BlockFragment: []byte{0x82}, EndHeaders: true}))
	must(f.WriteRSTStream(1, http2.ErrCodeRefusedStream))
	must(f.WriteGoAway(5, http2.ErrCodeEnhanceYourCalm, []byte("too_many_pings")))
	return b.String()
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

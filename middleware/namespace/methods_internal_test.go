package namespace

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/getcd/getcd/internal/etcdrpc"
)

// noKeys are the fields of bytes that have no key. In etcd's protocol all others have.
var noKeys = []protoreflect.Name{"value", "blob"}

const prefix = "p/"

// wire is a connection that takes one request and gives one response, for a call or a
// stream.
type wire struct {
	grpc.ClientStream
	method    string
	got, give proto.Message
}

func (w *wire) Invoke(_ context.Context, method string, req, reply any, _ ...grpc.CallOption) error {
	w.method, w.got = method, req.(proto.Message)
	proto.Merge(reply.(proto.Message), w.give)
	return nil
}

func (w *wire) NewStream(_ context.Context, _ *grpc.StreamDesc, method string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	w.method = method
	return w, nil
}

func (w *wire) SendMsg(m any) error { w.got = m.(proto.Message); return nil }

func (w *wire) RecvMsg(m any) error {
	if w.give == nil {
		return io.EOF
	}
	proto.Merge(m.(proto.Message), w.give)
	return nil
}

// Every method of etcd's is in the table and nothing else is; every field of bytes in
// every request is prefixed, and loses its prefix in every response. A method or a field
// of a later etcd fails here until somebody has decided.
func TestEveryKeyOfEveryMethod(t *testing.T) {
	listed := make(map[string]bool)
	for _, m := range etcdrpc.Methods() {
		listed[m.Name] = true
		t.Run(m.Name[1:], func(t *testing.T) { testMethod(t, m) })
	}
	for name := range hasKeys {
		if !listed[name] && !strings.HasPrefix(name, "/grpc.health.v1.Health/") {
			t.Errorf("%s is in the table, and no method of etcd's", name)
		}
	}
}

func testMethod(t *testing.T, m etcdrpc.Method) {
	t.Helper()
	keys, known := hasKeys[m.Name]
	if !known {
		t.Fatalf("%s is not in hasKeys: say there whether its requests have keys, and prefix them in message.go", m.Name)
	}
	found := false
	for variant := range 16 { // more than the members of any oneof
		req, reply := m.Request(), m.Response()
		fill(req.ProtoReflect(), variant, 0, "k")
		given := proto.Clone(req)
		below := &wire{give: m.Response()}
		fill(below.give.ProtoReflect(), variant, 0, prefix+"k")
		cc := NewConn(below, prefix)
		call(t, cc, m, req, reply)
		if !proto.Equal(req, given) {
			t.Errorf("the caller's request became %v, was %v", req, given)
		}
		for field, key := range keysOf(below.got.ProtoReflect()) {
			found = true
			if !bytes.HasPrefix(key, []byte(prefix)) {
				t.Errorf("the request's %s is passed on as %q, want the prefix", field, key)
			}
		}
		for field, key := range keysOf(reply.ProtoReflect()) {
			if bytes.HasPrefix(key, []byte(prefix)) {
				t.Errorf("the response's %s is passed on as %q, want no prefix", field, key)
			}
		}
	}
	if found != keys {
		t.Errorf("keys in the requests: %t, and the table says %t", found, keys)
	}
}

func call(t *testing.T, cc grpc.ClientConnInterface, m etcdrpc.Method, req, reply proto.Message) {
	t.Helper()
	if !m.Streams() {
		if err := cc.Invoke(t.Context(), m.Name, req, reply); err != nil {
			t.Fatal(err)
		}
		return
	}
	s, err := cc.NewStream(t.Context(), m.Stream(), m.Name)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SendMsg(req); err != nil {
		t.Fatal(err)
	}
	if err := s.RecvMsg(reply); err != nil {
		t.Fatal(err)
	}
}

// fill sets every field of bytes to key, and the variant-th member of each oneof. A
// range end is set in half of the variants: without one, the key is alone.
func fill(m protoreflect.Message, variant, depth int, key string) {
	if depth > 4 { // transactions in transactions
		return
	}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if one := f.ContainingOneof(); one != nil && one.Fields().Get(variant%one.Fields().Len()) != f {
			continue
		}
		switch {
		case f.IsMap():
		case f.Kind() == protoreflect.BytesKind && f.IsList():
			m.Mutable(f).List().Append(protoreflect.ValueOfBytes([]byte(key)))
		case f.Name() == "range_end" && variant < 8:
		case f.Kind() == protoreflect.BytesKind && f.Name() == "range_end":
			m.Set(f, protoreflect.ValueOfBytes([]byte(key+"z")))
		case f.Kind() == protoreflect.BytesKind:
			m.Set(f, protoreflect.ValueOfBytes([]byte(key)))
		case f.Kind() == protoreflect.MessageKind && f.IsList():
			fill(m.Mutable(f).List().AppendMutable().Message(), variant, depth+1, key)
		case f.Kind() == protoreflect.MessageKind:
			fill(m.Mutable(f).Message(), variant, depth+1, key)
		}
	}
}

// keysOf has the keys of a message, with the names of their fields.
func keysOf(m protoreflect.Message) map[string][]byte {
	found := make(map[string][]byte)
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		name := string(f.FullName())
		inside := func(m protoreflect.Message) {
			for n, key := range keysOf(m) {
				found[name+" > "+n] = key
			}
		}
		isKey := f.Kind() == protoreflect.BytesKind && !slices.Contains(noKeys, f.Name())
		switch {
		case f.IsMap():
		case isKey && f.IsList():
			for i := range v.List().Len() {
				found[name] = v.List().Get(i).Bytes()
			}
		case isKey:
			found[name] = v.Bytes()
		case f.Kind() == protoreflect.MessageKind && f.IsList():
			for i := range v.List().Len() {
				inside(v.List().Get(i).Message())
			}
		case f.Kind() == protoreflect.MessageKind:
			inside(v.Message())
		}
		return true
	})
	return found
}

// What is not known to have no keys is refused, and nothing of it is sent.
func TestUnknownMethodsAreRefused(t *testing.T) {
	var below wire
	cc := NewConn(&below, prefix)
	for _, method := range []string{"/etcdserverpb.KV/Invented", "/v4.Store/Put", "", "Put"} {
		want := "namespace: " + method + " is not a method"
		err := cc.Invoke(t.Context(), method, &pb.PutRequest{Key: []byte("k")}, &pb.PutResponse{})
		if status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), want) {
			t.Errorf("Invoke of %q: got %v, want Unimplemented, %q", method, err, want)
		}
		if _, err := cc.NewStream(t.Context(), &grpc.StreamDesc{}, method); status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), want) {
			t.Errorf("NewStream of %q: got %v, want Unimplemented, %q", method, err, want)
		}
	}
	// A message of another type may have the same bytes on the wire.
	for _, req := range []any{wrapperspb.Bytes([]byte("k")), []byte("\n\x01k"), nil} {
		if err := cc.Invoke(t.Context(), pb.KV_Put_FullMethodName, req, &pb.PutResponse{}); status.Code(err) != codes.InvalidArgument {
			t.Errorf("a Put of a %T: got %v, want InvalidArgument", req, err)
		}
	}
	if below.method != "" || below.got != nil {
		t.Errorf("%s was called with %v, want nothing", below.method, below.got)
	}
	s, err := cc.NewStream(t.Context(), &grpc.StreamDesc{}, pb.Watch_Watch_FullMethodName)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SendMsg(wrapperspb.Bytes([]byte("k"))); status.Code(err) != codes.InvalidArgument || below.got != nil {
		t.Errorf("a watch for a BytesValue: got %v and sent %v, want InvalidArgument and nothing", err, below.got)
	}
}

// Names are in the namespace even if they are empty.
func TestEmptyNames(t *testing.T) {
	p := space(prefix)
	for _, m := range []any{&v3lockpb.LockRequest{}, &v3electionpb.CampaignRequest{}, &v3electionpb.LeaderRequest{}, &v3electionpb.LeaderKey{}} {
		if l, ok := m.(*v3electionpb.LeaderKey); ok {
			m = p.leader(l)
		} else {
			m = p.keyed(m)
		}
		if got := m.(interface{ GetName() []byte }).GetName(); string(got) != prefix {
			t.Errorf("the name of a %T without one: got %q, want %q", m, got, prefix)
		}
	}
}

// Without a key a range end is not passed on: nobody below can take it for a range of all keys.
func TestEndWithoutAKey(t *testing.T) {
	p := space(prefix)
	got := p.keyed(&pb.DeleteRangeRequest{RangeEnd: []byte{0}, PrevKv: true})
	if want := (&pb.DeleteRangeRequest{PrevKv: true}); !proto.Equal(got.(proto.Message), want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A role's permissions are told as they were given, and those for other keys not at all.
func TestPermissions(t *testing.T) {
	p := space(prefix)
	for _, c := range []struct{ key, end string }{{"k", ""}, {"a", "b"}, {"", "\x00"}, {"a", "\x00"}, {"", "b"}} {
		key, end := []byte(c.key), []byte(c.end)
		p.permitted(&key, &end)
		perm := &pb.AuthRoleGetResponse{Perm: []*authpb.Permission{{Key: key, RangeEnd: end}}}
		p.stripResponse(perm)
		if len(perm.Perm) != 1 || string(perm.Perm[0].Key) != c.key || string(perm.Perm[0].RangeEnd) != c.end {
			t.Errorf("%q to %q is told as %v", c.key, c.end, perm.Perm)
		}
	}
	others := &pb.AuthRoleGetResponse{Perm: []*authpb.Permission{
		{Key: []byte("k")},
		{Key: []byte("p/")},
		{Key: []byte{0}, RangeEnd: []byte{0}},
		{Key: []byte("p/a"), RangeEnd: []byte("q")},
	}}
	if p.stripResponse(others); len(others.Perm) != 0 {
		t.Errorf("permissions for keys outside: got %v, want none", others.Perm)
	}
}

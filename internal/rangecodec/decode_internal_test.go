package rangecodec

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
)

// answer is a response with n keys, each with a value of size bytes.
func answer(n, size int) *pb.RangeResponse {
	m := &pb.RangeResponse{
		Header: &pb.ResponseHeader{ClusterId: 1, MemberId: 1 << 60, Revision: 300, RaftTerm: 2},
		More:   true, Count: 1 << 40,
	}
	for i := range n {
		m.Kvs = append(m.Kvs, &mvccpb.KeyValue{
			Key: fmt.Appendf(nil, "key/%06d", i), Value: bytes.Repeat([]byte{byte(i)}, size),
			CreateRevision: int64(i), ModRevision: int64(i) << 30, Version: -1, Lease: int64(i) * -77,
		})
	}
	return m
}

func encoded(tb testing.TB, m proto.Message) []byte {
	tb.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// odd are encodings that etcd does not send, or not yet.
func odd(tb testing.TB) map[string][]byte {
	tb.Helper()
	whole := encoded(tb, answer(3, 5))
	field := func(num protowire.Number, typ protowire.Type, rest ...byte) []byte {
		return append(protowire.AppendTag(nil, num, typ), rest...)
	}
	kv := func(b []byte) []byte { return protowire.AppendBytes(field(2, protowire.BytesType), b) }
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	return map[string][]byte{
		"empty":                      {},
		"no keys":                    encoded(tb, answer(0, 0)),
		"one":                        encoded(tb, answer(1, 1)),
		"a group":                    encoded(tb, answer(group, 10)),
		"a group and one":            encoded(tb, answer(group+1, 10)),
		"large values":               encoded(tb, answer(40, alone+1)),
		"empty values":               encoded(tb, answer(40, 0)),
		"an empty KeyValue":          join(whole, kv(nil)),
		"an empty key":               join(whole, kv(field(1, protowire.BytesType, 0))),
		"two headers":                join(whole, whole),
		"an empty header":            join(field(1, protowire.BytesType, 0), encoded(tb, answer(2, 2))[:0]),
		"a header's unknown field":   field(1, protowire.BytesType, 2, 0x78, 5),
		"a broken header":            field(1, protowire.BytesType, 1, 0x08),
		"an unknown field":           join(whole, field(9, protowire.VarintType, 7)),
		"an unknown field of a key":  join(whole, kv(field(9, protowire.VarintType, 7)), whole),
		"an unknown field, far":      join(whole, field(1000, protowire.BytesType, 1, 'x')),
		"another wire type":          join(whole, field(2, protowire.VarintType, 7)),
		"a key of another wire type": join(whole, kv(field(1, protowire.VarintType, 7))),
		"a group field":              join(whole, field(2, protowire.StartGroupType), field(2, protowire.EndGroupType)),
		"the end of a group":         join(whole, field(2, protowire.EndGroupType)),
		"field 0":                    join(whole, []byte{0, 0}),
		"a long tag":                 join(whole, []byte{0x92, 0x00, 0x00}),
		"a key twice":                join(kv([]byte{0x0a, 1, 'a', 0x0a, 2, 'b', 'c'}), kv([]byte{0x0a, 1, 'a', 0x0a, 0})),
		"more than true":             field(3, protowire.VarintType, 0x80, 0x02),
		"a number too long":          join(whole, field(4, protowire.VarintType), bytes.Repeat([]byte{0xff}, 11)),
		"cut short":                  whole[:len(whole)-1],
		"cut in a key":               whole[:len(whole)/2],
		"a tag alone":                {0x12},
		"a length alone":             {0x12, 5},
	}
}

// same decodes b with both decoders and compares everything that a program could see.
func same(t *testing.T, b []byte, empty func() proto.Message) {
	t.Helper()
	want, got := empty(), empty()
	input := bytes.Clone(b)
	wantErr := proto.Unmarshal(input, want)
	gotErr := unmarshal(input, got)
	for i := range input {
		input[i] ^= 0xff // no message may contain a part of it
	}
	if fmt.Sprint(wantErr) != fmt.Sprint(gotErr) {
		t.Fatalf("the generated decoder's error is %v, this one's %v", wantErr, gotErr)
	}
	if !proto.Equal(want, got) {
		t.Fatalf("-generated +this:\n%s", cmp.Diff(want, got, protocmp.Transform()))
	}
	w, g := kvsOf(want), kvsOf(got)
	if (w == nil) != (g == nil) {
		t.Fatalf("Kvs is nil: %v with the generated decoder, %v with this one", w == nil, g == nil)
	}
	for i := range w {
		if (w[i].Key == nil) != (g[i].Key == nil) || (w[i].Value == nil) != (g[i].Value == nil) {
			t.Fatalf("KeyValue %d: nil differs: %#v, %#v", i, w[i], g[i])
		}
	}
	again, errAgain := proto.MarshalOptions{Deterministic: true}.Marshal(got)
	before, errBefore := proto.MarshalOptions{Deterministic: true}.Marshal(want)
	if !bytes.Equal(again, before) || (errAgain == nil) != (errBefore == nil) {
		t.Fatalf("encoded again: %x, %v; want %x, %v", again, errAgain, before, errBefore)
	}
}

func kvsOf(m proto.Message) []*mvccpb.KeyValue {
	switch m := m.(type) {
	case *pb.RangeStreamResponse:
		return m.GetRangeResponse().GetKvs()
	case *pb.RangeResponse:
		return m.Kvs
	}
	return nil
}

func newRange() proto.Message { return &pb.RangeResponse{Count: 5, More: true} } // decoding empties it
func newPart() proto.Message  { return new(pb.RangeStreamResponse) }

func asPart(b []byte) []byte { return protowire.AppendBytes([]byte{tagRange}, b) }

func TestSame(t *testing.T) {
	for name, b := range odd(t) {
		t.Run(name, func(t *testing.T) {
			same(t, b, newRange)
			same(t, b, newPart)
			same(t, asPart(b), newPart)
			same(t, append(asPart(b), asPart(b)...), newPart)
		})
	}
}

// What etcd sends does not come to the generated decoder.
func TestEtcdsAnswersAreDecodedHere(t *testing.T) {
	for _, n := range []int{0, 1, group, 3*group + 1} {
		for _, size := range []int{0, 1, alone, alone + 1} {
			b := encoded(t, answer(n, size))
			if !decodeRange(b, new(pb.RangeResponse)) {
				t.Errorf("%d keys with %d bytes are left to the generated decoder", n, size)
			}
			if !decodePart(asPart(b), new(pb.RangeStreamResponse)) {
				t.Errorf("a part of %d keys with %d bytes is left to the generated decoder", n, size)
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, b := range odd(f) {
		f.Add(b)
		f.Add(asPart(b))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		same(t, b, newRange)
		same(t, b, newPart)
		same(t, asPart(b), newPart)
	})
}

// A caller who appends to a key or a value, or changes it, changes no other.
func TestNeighborsStay(t *testing.T) {
	const n = 3*group + 5
	for _, size := range []int{0, 1, 20, alone, alone + 1} {
		m, want := new(pb.RangeResponse), answer(n, size)
		if !decodeRange(encoded(t, want), m) {
			t.Fatal("left to the generated decoder")
		}
		for i, kv := range m.Kvs {
			_ = append(kv.Key, "appended to the key"...)
			_ = append(kv.Value, "appended to the value"...)
			for j := range kv.Value {
				kv.Value[j]++
				want.Kvs[i].Value[j]++
			}
			if !reflect.DeepEqual(kv.Key, want.Kvs[i].Key) {
				t.Fatalf("size %d: key %d is %q, want %q", size, i, kv.Key, want.Kvs[i].Key)
			}
		}
		if !proto.Equal(want, m) {
			t.Errorf("size %d: -want +got:\n%s", size, cmp.Diff(want, m, protocmp.Transform()))
		}
	}
}

// The point of it all.
func TestAllocations(t *testing.T) {
	const n = 10_000
	b := encoded(t, answer(n, 64))
	m := new(pb.RangeResponse)
	here := testing.AllocsPerRun(5, func() { decodeRange(b, m) }) / n
	generated := testing.AllocsPerRun(5, func() { _ = proto.Unmarshal(b, m) }) / n
	t.Logf("%.3f allocations a key; the generated decoder: %.3f", here, generated)
	if here > 0.14 {
		t.Errorf("%.3f allocations a key, want 2 for %d", here, group)
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, size := range []int{32, 100, 1000} {
		in := encoded(b, answer(5000, size))
		for name, f := range map[string]func() error{
			"generated": func() error { return proto.Unmarshal(in, new(pb.RangeResponse)) },
			"here":      func() error { return unmarshal(in, new(pb.RangeResponse)) },
		} {
			b.Run(fmt.Sprintf("%s/%dB", name, size), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := f(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

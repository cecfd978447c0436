package batch

import (
	"context"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// set gives every field of a message a value, which n decides.
func set(m proto.Message, n int) {
	r := m.ProtoReflect()
	fields := r.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		var v protoreflect.Value
		switch f.Kind() {
		case protoreflect.BytesKind:
			v = protoreflect.ValueOfBytes(fmt.Appendf(nil, "%s %d", f.Name(), n))
		case protoreflect.Int64Kind:
			v = protoreflect.ValueOfInt64(int64(100*n + i + 1))
		case protoreflect.Uint64Kind:
			v = protoreflect.ValueOfUint64(uint64(100*n + i + 1))
		case protoreflect.BoolKind:
			v = protoreflect.ValueOfBool(n%2 == 1)
		case protoreflect.EnumKind:
			v = protoreflect.ValueOfEnum(protoreflect.EnumNumber(1 + n%2))
		default:
			panic("a field of a new kind: " + string(f.FullName()))
		}
		r.Set(f, v)
	}
}

// The copies of requests have all fields that etcd's have: a new one fails this.
func TestCopiesAreComplete(t *testing.T) {
	ask := func(req any) []*question {
		return []*question{{first: &call{req: req}}}
	}
	for n := range 2 {
		put, del, get := new(pb.PutRequest), new(pb.DeleteRangeRequest), new(pb.RangeRequest)
		set(put, n)
		set(del, n)
		set(get, n)
		for _, size := range []int{0, 1000} {
			if got := packPuts(ask(put), size).Success[0].GetRequestPut(); !proto.Equal(got, put) {
				t.Errorf("packed %v, want %v", got, put)
			}
			if got := packDeletes(ask(del), size).Success[0].GetRequestDeleteRange(); !proto.Equal(got, del) {
				t.Errorf("packed %v, want %v", got, del)
			}
			if got := packReads(ask(get), size).Success[0].GetRequestRange(); !proto.Equal(got, get) {
				t.Errorf("packed %v, want %v", got, get)
			}
			if got := copyOfRead(ask(get)[0]); !proto.Equal(got, get) {
				t.Errorf("copied %v, want %v", got, get)
			}
		}
	}
}

// Reads that differ in any field are not the same.
func TestSameRead(t *testing.T) {
	a, b := new(pb.RangeRequest), new(pb.RangeRequest)
	set(a, 1)
	set(b, 2)
	if !sameRead(a, proto.CloneOf(a)) {
		t.Error("a read is not the same as its copy")
	}
	fields := a.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		other := proto.CloneOf(a)
		other.ProtoReflect().Set(fields.Get(i), b.ProtoReflect().Get(fields.Get(i)))
		if sameRead(a, other) {
			t.Errorf("reads with another %s are the same", fields.Get(i).Name())
		}
	}
}

// Answers have all fields that etcd's have.
func TestAnswersAreComplete(t *testing.T) {
	for _, m := range []proto.Message{new(pb.RangeResponse), new(pb.PutResponse), new(pb.DeleteRangeResponse)} {
		fields := m.ProtoReflect().Descriptor().Fields()
		for i := range fields.Len() {
			f := fields.Get(i)
			switch {
			case f.IsList():
				list := m.ProtoReflect().Mutable(f).List()
				list.Append(list.NewElement())
			case f.Message() != nil:
				set(m.ProtoReflect().Mutable(f).Message().Interface(), 1)
			case f.Kind() == protoreflect.BoolKind:
				m.ProtoReflect().Set(f, protoreflect.ValueOfBool(true))
			default:
				m.ProtoReflect().Set(f, protoreflect.ValueOfInt64(7))
			}
		}
		m.ProtoReflect().SetUnknown(protoreflect.RawFields{0xf8, 0x7f, 1})
		for _, shared := range []bool{false, true} {
			got, out := m.ProtoReflect().New().Interface(), outcome{answer: proto.Clone(m), shared: shared}
			if out.fill(got); !proto.Equal(got, m) {
				t.Errorf("got %v, want %v", got, m)
			}
		}
	}
}

// slow is a connection that answers whatever is asked, after a moment.
type slow struct{ grpc.ClientConnInterface }

func (slow) Invoke(ctx context.Context, _ string, req, reply any, _ ...grpc.CallOption) error {
	select {
	case <-time.After(rand.N(200 * time.Microsecond)):
	case <-ctx.Done():
		return ctx.Err()
	}
	if txn, ok := req.(*pb.TxnRequest); ok {
		for _, op := range txn.Success {
			out := &pb.ResponseOp{}
			switch {
			case op.GetRequestPut() != nil:
				out.Response = &pb.ResponseOp_ResponsePut{ResponsePut: &pb.PutResponse{}}
			case op.GetRequestDeleteRange() != nil:
				out.Response = &pb.ResponseOp_ResponseDeleteRange{ResponseDeleteRange: &pb.DeleteRangeResponse{}}
			default:
				out.Response = &pb.ResponseOp_ResponseRange{ResponseRange: &pb.RangeResponse{}}
			}
			reply.(*pb.TxnResponse).Responses = append(reply.(*pb.TxnResponse).Responses, out)
		}
	}
	return nil
}

// When all callers have left, answered or not, nothing is kept of them. They change their
// requests when they have left, which nobody may notice.
func TestNothingIsKept(t *testing.T) {
	c := NewConn(slow{}).(*conn)
	stub := pb.NewKVClient(c)
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(i)))
			for range 300 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rnd.IntN(400))*time.Microsecond)
				if rnd.IntN(4) == 0 {
					ctx = metadata.AppendToOutgoingContext(ctx, "token", fmt.Sprint(rnd.IntN(3)))
				}
				k, end := fmt.Appendf(nil, "%d", rnd.IntN(20)), []byte(nil)
				if rnd.IntN(8) == 0 {
					end = fmt.Appendf(nil, "%d", rnd.IntN(20))
				}
				switch rnd.IntN(3) {
				case 0:
					_, _ = stub.Put(ctx, &pb.PutRequest{Key: k})
				case 1:
					_, _ = stub.DeleteRange(ctx, &pb.DeleteRangeRequest{Key: k, RangeEnd: end})
				default:
					_, _ = stub.Range(ctx, &pb.RangeRequest{Key: k, RangeEnd: end})
				}
				cancel()
				k[0] = 'x'
			}
		})
	}
	wg.Wait()
	until := time.Now().Add(10 * time.Second)
	for {
		c.mu.Lock()
		left := len(c.others) + len(c.order.keys) + len(c.order.ranges)
		for _, l := range c.lanes {
			left += l.waiting + len(l.asked) + l.inflight + l.draining
		}
		c.mu.Unlock()
		if left == 0 {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("kept: %d lanes, %d keys, %d ranges; %+v", len(c.others), len(c.order.keys), len(c.order.ranges), c.lanes)
		}
		time.Sleep(time.Millisecond)
	}
}

// A write that leaves before its turn has no lane yet.
func TestWaitingForAKeyTakesNoLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewConn(slow{}).(*conn)
		put := func(within time.Duration) {
			ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), "token", within.String()), within)
			defer cancel()
			_, _ = pb.NewKVClient(c).Put(ctx, &pb.PutRequest{Key: []byte("k")})
		}
		go put(time.Hour)
		synctest.Wait()
		put(time.Nanosecond)
		time.Sleep(time.Second)
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.others) > 0 {
			t.Errorf("%d lanes are kept, want none", len(c.others))
		}
	})
}

// The order is that of a list which is looked through for each call.
func TestOrderIsThatOfAList(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		o := order{seed: maphash.MakeSeed(), keys: make(map[uint64]*call)}
		var list []*call // in order
		ready := map[*call]bool{}
		key := func() []byte { return []byte{'a' + byte(rnd.IntN(6))} }
		clash := func(a, b *call) bool {
			if !a.place.ranged() && !b.place.ranged() {
				return string(a.place.key) == string(b.place.key)
			}
			return overlaps(&a.place, &b.place)
		}
		check := func() {
			for i, a := range list {
				want := true
				for _, b := range list[:i] {
					want = want && !clash(a, b)
				}
				if ready[a] != want {
					t.Fatalf("write %d of %d may go: %v, want %v", i, len(list), ready[a], want)
				}
			}
		}
		for range 60 {
			if len(list) > 0 && rnd.IntN(2) == 0 {
				i := rnd.IntN(len(list)) // also those that wait: their callers leave
				gone := list[i]
				list = append(list[:i:i], list[i+1:]...)
				for _, a := range o.removeLocked(gone) {
					if ready[a] {
						t.Fatal("a write is to go twice")
					}
					ready[a] = true
				}
			} else {
				a, end := &call{}, []byte(nil)
				switch rnd.IntN(6) {
				case 0:
					end = key()
				case 1:
					end = []byte{0}
				}
				ready[a] = o.addLocked(a, key(), end)
				list = append(list, a)
			}
			check()
		}
	}
}

package batch

import (
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

// outcome is what a caller gets: an answer, an error, or its call back.
type outcome struct {
	alone  bool // the caller sends its call itself
	err    error
	header *pb.ResponseHeader // the whole transaction's
	answer proto.Message      // a response of the caller's type
	shared bool               // others have the same answer
}

// fill copies the answer to the caller's message, as it would have been without the others.
func (o *outcome) fill(reply any) {
	answer := o.answer
	if o.shared {
		answer = proto.Clone(answer)
	}
	switch out := reply.(type) {
	case *pb.RangeResponse:
		in := answer.(*pb.RangeResponse)
		out.Reset()
		out.Header, out.Kvs, out.More, out.Count = o.headerOf(in.Header), in.Kvs, in.More, in.Count
		keepUnknown(out, in)
	case *pb.PutResponse:
		in := answer.(*pb.PutResponse)
		out.Reset()
		out.Header, out.PrevKv = o.headerOf(in.Header), in.PrevKv
		keepUnknown(out, in)
	case *pb.DeleteRangeResponse:
		in := answer.(*pb.DeleteRangeResponse)
		out.Reset()
		out.Header, out.Deleted, out.PrevKvs = o.headerOf(in.Header), in.Deleted, in.PrevKvs
		keepUnknown(out, in)
	}
}

// headerOf completes the header of an operation, which has only a revision.
func (o *outcome) headerOf(h *pb.ResponseHeader) *pb.ResponseHeader {
	if o.header == nil {
		return h // the answer was not a transaction's
	}
	if h == nil {
		h = new(pb.ResponseHeader)
	}
	h.ClusterId, h.MemberId, h.RaftTerm = o.header.GetClusterId(), o.header.GetMemberId(), o.header.GetRaftTerm()
	if h.Revision == 0 {
		h.Revision = o.header.GetRevision()
	}
	return h
}

// keepUnknown copies what a later server has added.
func keepUnknown(out, in proto.Message) {
	if more := in.ProtoReflect().GetUnknown(); len(more) > 0 {
		out.ProtoReflect().SetUnknown(more)
	}
}

// answers are those of a batch.
type answers struct {
	header *pb.ResponseHeader // of the transaction; nil if it was none
	of     []proto.Message    // by question
	size   int                // bytes of keys and values, about
}

func single(r *pb.RangeResponse) answers {
	return answers{of: []proto.Message{r}, size: readAnswerSize(r)}
}

// unpack takes the answer of a transaction apart. It returns an *unfitError for one that does
// not fit the request.
func unpack(resp *pb.TxnResponse, b *batch) (answers, error) {
	unfit := func(format string, args ...any) error {
		return &unfitError{what: fmt.Sprintf(format, args...), write: b.writes()}
	}
	if len(resp.Responses) != len(b.questions) {
		return answers{}, unfit("%d of %d operations", len(resp.Responses), len(b.questions))
	}
	out := answers{header: resp.Header, of: make([]proto.Message, len(resp.Responses))}
	for i, r := range resp.Responses {
		ok := false
		switch r := r.GetResponse().(type) {
		case *pb.ResponseOp_ResponseRange:
			if ok = b.lane.key.kind == linearizable || b.lane.key.kind == serializable; ok {
				out.of[i] = orEmpty(r.ResponseRange)
				out.size += readAnswerSize(r.ResponseRange)
			}
		case *pb.ResponseOp_ResponsePut:
			if ok = b.lane.key.kind == puts; ok {
				out.of[i] = orEmpty(r.ResponsePut)
				out.size += len(r.ResponsePut.GetPrevKv().GetValue())
			}
		case *pb.ResponseOp_ResponseDeleteRange:
			if ok = b.lane.key.kind == deletes; ok {
				out.of[i] = orEmpty(r.ResponseDeleteRange)
				for _, kv := range r.ResponseDeleteRange.GetPrevKvs() {
					out.size += len(kv.GetValue())
				}
			}
		}
		if !ok {
			return answers{}, unfit("operation %d with a %T", i+1, r.GetResponse())
		}
	}
	return out, nil
}

// orEmpty is m, or the message that nil stands for.
func orEmpty[T any, M interface {
	*T
	proto.Message
}](m M) M {
	if m == nil {
		return new(T)
	}
	return m
}

// answerSize is about the bytes of the answer to a call that was sent alone.
func answerSize(reply any) int {
	switch r := reply.(type) {
	case *pb.RangeResponse:
		return readAnswerSize(r)
	case *pb.PutResponse:
		return len(r.GetPrevKv().GetValue())
	case *pb.DeleteRangeResponse:
		n := 0
		for _, kv := range r.GetPrevKvs() {
			n += len(kv.GetValue())
		}
		return n
	}
	return 0
}

func readAnswerSize(r *pb.RangeResponse) int {
	n := 0
	for _, kv := range r.GetKvs() {
		n += len(kv.GetKey()) + len(kv.GetValue())
	}
	return n
}

package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// NewStream opens a stream: one with a single request, whose answer then comes message
// by message, or Watch or LeaseKeepAlive, of which each request is an HTTP request of
// its own, since the gateway answers a streamed request only when its body has ended
// (etcd issue 8237). It connects to nobody: errors come with RecvMsg. The end of ctx
// ends the stream, and so does Close.
func (c *Conn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if ctx == nil {
		return nil, errNoContext
	}
	o, err := c.callOptions(opts)
	if err != nil {
		return nil, err
	}
	if err := checkMetadata(ctx); err != nil {
		return nil, err
	}
	r, err := c.route(method)
	if err != nil {
		return nil, err
	}
	ctx, cancel := c.begin(ctx)
	if err := ctx.Err(); err != nil {
		return nil, c.ended(ctx, err)
	}
	x := c.newExchange(ctx, r, nil, o)
	if err := x.pick(); err != nil {
		cancel(nil)
		return nil, err
	}
	switch {
	case method == pb.Watch_Watch_FullMethodName:
		return &watchStream{many: newMany(x, cancel), watches: make(map[int64]*watch)}, nil
	case method == pb.Lease_LeaseKeepAlive_FullMethodName:
		return &renewals{newMany(x, cancel)}, nil
	case desc.ClientStreams:
		cancel(nil)
		return nil, status.Errorf(codes.Unimplemented, "gateway: %s: a stream of requests can't be sent over the JSON gateway", method)
	}
	return &download{x: x, cancel: cancel}, nil
}

// download is a stream with a single request.
type download struct {
	x      *exchange
	cancel context.CancelCauseFunc
	open   sync.Once
	msgs   *messages // set by open, or err
	err    error
}

// SendMsg takes the request, which RecvMsg or Header sends.
func (d *download) SendMsg(m any) (err error) {
	d.x.body, err = encode(m, d.x.opts.maxSend)
	if err != nil {
		d.cancel(nil)
	}
	return err
}

func (d *download) start() {
	if d.x.body == nil {
		d.err = status.Error(codes.Internal, "gateway: nothing was sent on the stream")
		return
	}
	for left := d.x.conn.size(); ; left-- { // where nobody can be reached, the next one
		if d.msgs, d.err = d.x.stream(); d.err == nil || left <= 1 || d.x.sent.Load() || d.x.ctx.Err() != nil {
			return
		}
		_ = d.x.conclude(d.err, nil)
		if d.err = d.x.pick(); d.err != nil {
			return
		}
	}
}

func (d *download) RecvMsg(m any) error {
	d.open.Do(d.start)
	if d.err == nil {
		d.err = d.msgs.next(m.(proto.Message))
	}
	if d.err != nil {
		if !errors.Is(d.err, io.EOF) {
			_ = d.x.conclude(d.err, nil)
		}
		d.cancel(nil)
	}
	return d.err
}

func (d *download) Header() (metadata.MD, error) {
	d.open.Do(d.start)
	return metadata.MD{}, d.err
}

func (d *download) Trailer() metadata.MD     { return nil }
func (d *download) CloseSend() error         { return nil }
func (d *download) Context() context.Context { return d.x.ctx }

// stream sends the request and returns the messages that come.
func (x *exchange) stream() (*messages, error) {
	resp, err := x.do()
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		defer discard(resp)
		text, err := io.ReadAll(io.LimitReader(resp.Body, maxPage))
		if err != nil {
			return nil, x.broken(err)
		}
		return nil, x.failure(resp, text)
	}
	x.conn.served(x.ep, 0)
	return newMessages(x, resp), nil
}

// messages reads the answer to a streamed call: JSON objects, one after the other, of
// which each has a message as "result", or the end of the stream as "error"
// (grpc-gateway's runtime/handler.go, ForwardResponseStream).
type messages struct {
	x     *exchange
	resp  *http.Response
	head  head
	limit *io.LimitedReader // what the next object may take
	json  *json.Decoder
}

// head keeps the beginning of what it reads for one object.
type head struct {
	io.Reader

	text []byte
}

func (h *head) Read(p []byte) (int, error) {
	n, err := h.Reader.Read(p)
	h.text = append(h.text, p[:min(n, maxHead-len(h.text))]...)
	return n, err
}

const maxHead = 512

func newMessages(x *exchange, resp *http.Response) *messages {
	s := &messages{x: x, resp: resp}
	s.head.Reader, s.head.text = resp.Body, make([]byte, 0, maxHead)
	s.limit = &io.LimitedReader{R: &s.head}
	s.json = json.NewDecoder(s.limit)
	return s
}

// next reads the next message, or io.EOF at the regular end. After an error there is no
// other, and the body is closed.
func (s *messages) next(m proto.Message) error {
	err := s.read(m)
	if err != nil {
		discard(s.resp)
	}
	return err
}

func (s *messages) read(m proto.Message) error {
	s.limit.N = maxText(s.x.opts.maxRecv)
	n, _ := io.ReadFull(s.json.Buffered(), s.head.text[:maxHead]) // what was read with the one before
	s.head.text = s.head.text[:n]
	var chunk struct{ Result, Error json.RawMessage }
	err := s.json.Decode(&chunk)
	switch _, broken := errors.AsType[*json.SyntaxError](err); {
	case err == nil:
	case s.limit.N <= 0:
		return tooLarge(maxText(s.x.opts.maxRecv), s.x.opts.maxRecv)
	case errors.Is(err, io.EOF):
		return io.EOF
	case broken || isType(err):
		return s.x.notJSON(s.resp, s.head.text)
	default:
		return s.x.broken(err)
	}
	if chunk.Error != nil {
		if code, message, ok := parseFailure(chunk.Error); ok {
			return status.Error(code, message)
		}
		chunk.Result = nil
	}
	if chunk.Result == nil || lenient.Unmarshal(chunk.Result, m) != nil {
		return s.x.notJSON(s.resp, s.head.text)
	}
	return s.x.measure(chunk.Result, m)
}

func isType(err error) bool {
	_, ok := errors.AsType[*json.UnmarshalTypeError](err)
	return ok
}

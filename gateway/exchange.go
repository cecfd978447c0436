package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"golang.org/x/net/http/httpguts"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/internal/attempt"
	"github.com/getcd/getcd/internal/etcderr"
	"github.com/getcd/getcd/internal/explain"
	"github.com/getcd/getcd/internal/handshake"
)

// exchange is one HTTP request and its answer.
type exchange struct {
	conn    *Conn
	ctx     context.Context //nolint:containedctx // an exchange lives within one call
	route   *route
	body    []byte
	opts    callOptions
	attempt *attempt.Attempt // nil when nobody steers
	ep      *endpoint
	began   time.Time
	sent    atomic.Bool // a part of the body may have left this process
	heard   atomic.Bool
	arrived atomic.Uint64 // bytes of the answer
	moved   atomic.Int64  // when a byte of either body has moved last, counted from began
	foreign bool          // the answer is none of a gateway's
}

func (c *Conn) newExchange(ctx context.Context, r *route, body []byte, o callOptions) *exchange {
	return &exchange{conn: c, ctx: ctx, route: r, body: body, opts: o, attempt: attempt.FromContext(ctx), began: time.Now()}
}

// pick chooses the endpoint.
func (x *exchange) pick() error {
	if x.ep = x.conn.pick(x.attempt); x.ep == nil {
		return status.Error(codes.Unavailable, "gateway: there is no other endpoint")
	}
	x.attempt.Unpick() // nothing of an earlier try has left, or there would be no other
	x.attempt.Pick(x)
	return nil
}

// An exchange is where its Attempt went.
var _ attempt.Connection = (*exchange)(nil)

// Endpoint implements attempt.Connection.
func (x *exchange) Endpoint() string { return x.ep.name }

// Address implements attempt.Connection.
func (x *exchange) Address() string { return x.ep.name }

// Life implements attempt.Connection: an exchange's connection is never left.
func (*exchange) Life() context.Context { return context.Background() }

// Arrived implements attempt.Connection.
func (x *exchange) Arrived() uint64 { return x.arrived.Load() }

// Proven implements attempt.Connection: another endpoint may be asked in any case.
func (x *exchange) Proven() bool { return false }

// Received implements attempt.Connection: each request of a stream is looked after by
// itself.
func (*exchange) Received() {}

// Expect implements attempt.Connection, as Received does.
func (*exchange) Expect() {}

// Observe implements attempt.Connection: conclude has read the answer.
func (*exchange) Observe(uint64, uint64) {}

// unary sends the request and takes the whole answer. cancel ends x's context.
func (x *exchange) unary(reply any, cancel context.CancelCauseFunc) error {
	m, ok := reply.(proto.Message)
	if !ok {
		return status.Errorf(codes.Internal, "gateway: %T is no protobuf message", reply)
	}
	if err := x.pick(); err != nil {
		return err
	}
	defer x.watchOver(cancel)()
	resp, err := x.do() //nolint:bodyclose // take does
	if err == nil {
		err = x.take(resp, m)
	}
	return x.conclude(err, m)
}

func (x *exchange) take(resp *http.Response, m proto.Message) error {
	defer discard(resp)
	limit, failed := maxText(x.opts.maxRecv), resp.StatusCode != http.StatusOK
	if failed {
		limit = maxPage
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case err != nil:
		return x.broken(err)
	case !failed && int64(len(text)) > limit:
		return tooLarge(int64(len(text)), x.opts.maxRecv)
	}
	for _, md := range x.opts.trailers {
		*md = received(resp.Trailer, "Grpc-Trailer-")
	}
	if failed {
		return x.failure(resp, text)
	}
	if !decodeAnswer(text, m) {
		return x.notJSON(resp, text)
	}
	return x.measure(text, m)
}

// measure refuses a message that is too large. Its JSON is never the shorter one.
func (x *exchange) measure(text []byte, m proto.Message) error {
	if len(text) <= x.opts.maxRecv {
		return nil
	}
	if n := proto.Size(m); n > x.opts.maxRecv {
		return tooLarge(int64(n), x.opts.maxRecv)
	}
	return nil
}

// tooLarge is gRPC's error, word for word, for a message of at least size bytes.
func tooLarge(size int64, limit int) error {
	return status.Errorf(codes.ResourceExhausted, "grpc: received message larger than max (%d vs. %d)", size, limit)
}

// conclude tells what an exchange says of its endpoint.
func (x *exchange) conclude(err error, m proto.Message) error {
	// A context that ends an RPC which should have been answered says something too.
	const late = 50 * time.Millisecond
	waits := x.attempt != nil && !x.attempt.Measure
	switch silent := !x.heard.Load() && time.Since(x.began) >= late; {
	case err == nil:
		var member uint64
		if r, ok := m.(interface{ GetHeader() *pb.ResponseHeader }); ok {
			member = r.GetHeader().GetMemberId()
		}
		x.conn.served(x.ep, member)
	case x.ctx.Err() != nil:
		cause := err
		if !x.sent.Load() {
			cause = errUnconnected
			x.attempt.Unpick() // as when gRPC has no connection to pick
		}
		if silent && !waits && !closing(x.ctx) {
			x.conn.failed(x.ep, cause)
		}
	case x.foreign, status.Code(err) == codes.Unavailable, etcderr.CantServe(err):
		x.conn.failed(x.ep, err)
	default: // it has looked at the request
		x.conn.served(x.ep, 0)
	}
	return err
}

var errUnconnected = errors.New("gateway: the connection took longer than the call was given")

// do sends the request, again where the gateway's path is another one.
func (x *exchange) do() (*http.Response, error) {
	for again := true; ; again = false {
		version := x.ep.version.Load()
		resp, err := x.post(x.ep.base + x.route.at(version))
		if err != nil {
			return nil, x.broken(err)
		}
		if resp.StatusCode != http.StatusNotFound || !again {
			return resp, nil
		}
		// Nobody has looked at the request. The gateway says so in its own words,
		// which etcd 3.4 leaves without JSON; others don't know its path.
		text, err := io.ReadAll(io.LimitReader(resp.Body, maxPage))
		discard(resp)
		if err != nil {
			return nil, x.broken(err)
		}
		resp.Body = io.NopCloser(bytes.NewReader(text))
		switch code, message, ok := parseFailure(text); {
		case ok && code == codes.NotFound && message == notFound:
			return nil, x.missing(version)
		case ok: // etcd's, of a lease or a member
			return resp, nil
		}
		switch v, ok := x.askVersion(); {
		case !ok:
			return resp, nil
		case v != version:
			x.ep.version.Store(v)
		case strings.TrimSpace(string(text)) == notFound:
			return nil, x.missing(version)
		default:
			return resp, nil
		}
	}
}

// notFound is grpc-gateway's text for a path that it doesn't have (runtime/errors.go).
const notFound = "Not Found"

func (x *exchange) missing(version int32) error {
	return status.Errorf(codes.Unimplemented, "gateway: %s has no %s: its etcd is too old for it", x.ep.name, x.route.at(version))
}

// maxPage is how much is read of what is no answer to a call.
const maxPage = 8 << 10

// askVersion asks which of versions the endpoint has.
func (x *exchange) askVersion() (int32, bool) {
	req, err := http.NewRequestWithContext(x.ctx, http.MethodGet, x.ep.base+"/version", http.NoBody)
	if err != nil {
		return 0, false
	}
	x.conn.addHeaders(req.Header)
	resp, err := x.conn.transport.RoundTrip(req)
	if err != nil {
		return 0, false
	}
	defer discard(resp)
	var v struct{ Etcdserver string }
	if text, err := io.ReadAll(io.LimitReader(resp.Body, maxPage)); err != nil || json.Unmarshal(text, &v) != nil {
		return 0, false
	}
	var major, minor int
	if n, _ := fmt.Sscanf(v.Etcdserver, "%d.%d", &major, &minor); n != 2 || major != 3 {
		return 0, false
	}
	switch {
	case minor >= 4:
		return 0, true
	case minor == 3:
		return 1, true
	default:
		return 2, true
	}
}

// post sends one HTTP request.
func (x *exchange) post(url string) (*http.Response, error) {
	// The body has no GetBody: net/http would send a request again whose stream was
	// refused (REFUSED_STREAM), and HAProxy says so of requests that were applied. It
	// sends no POST again that it has begun to send (net/http, transport.go,
	// shouldRetryRequest; h2_bundle.go, http2shouldRetryRequest).
	req, err := http.NewRequestWithContext(x.ctx, http.MethodPost, url, &sending{x, bytes.NewReader(x.body)})
	if err != nil {
		return nil, err
	}
	req.ContentLength = int64(len(x.body))
	x.conn.addHeaders(req.Header)
	x.setHeaders(req.Header)
	resp, err := x.conn.transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	x.heard.Store(true)
	x.attempt.Hear()
	x.move()
	resp.Body = hearing{resp.Body, x}
	for _, md := range x.opts.headers {
		*md = received(resp.Header, "Grpc-Metadata-")
	}
	return resp, nil
}

// addHeaders adds Options.Headers.
func (c *Conn) addHeaders(h http.Header) {
	for name, value := range c.opts.Headers {
		h.Set(name, value)
	}
}

// setHeaders makes HTTP's headers of gRPC's metadata, as grpc-gateway takes them
// (runtime/context.go, annotateContext).
func (x *exchange) setHeaders(h http.Header) {
	h.Set("Content-Type", "application/json")
	// By the header that grpc-gateway makes of this etcd knows that the certificate on
	// the gateway's own connection is not the user's (auth/store.go, AuthInfoFromTLS).
	h.Set("Accept", "application/json")
	if len(x.opts.trailers) > 0 {
		h.Set("TE", "trailers")
	}
	if d, ok := x.ctx.Deadline(); ok {
		left := min(max(time.Until(d), 0), math.MaxInt64-time.Microsecond) // what is rounded up is a duration, too
		h.Set("Grpc-Timeout", fmt.Sprintf("%du", left.Microseconds()+1))
	}
	md, _ := metadata.FromOutgoingContext(x.ctx)
	for key, values := range md {
		if pseudo(key) {
			continue
		}
		name := "Grpc-Metadata-" + key
		if key == rpctypes.TokenFieldNameGRPC {
			name = rpctypes.TokenFieldNameSwagger
		}
		for _, v := range values {
			if strings.HasSuffix(key, "-bin") {
				v = base64.StdEncoding.EncodeToString([]byte(v))
			}
			h.Add(name, v)
		}
	}
}

// pseudo reports whether a key of metadata is one of HTTP/2's own, such as ":authority". A server
// that passes on the metadata of its caller has these, too. gRPC does not send them either.
func pseudo(key string) bool { return strings.HasPrefix(key, ":") }

// checkMetadata refuses metadata that can't be sent, with gRPC's code for it (gRPC's
// internal/metadata, Validate). Values may be secret.
func checkMetadata(ctx context.Context) error {
	unprintable := func(v string) bool {
		return strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r > '~' })
	}
	md, _ := metadata.FromOutgoingContext(ctx)
	for key, values := range md {
		switch {
		case pseudo(key):
		case !httpguts.ValidHeaderFieldName(key):
			return status.Errorf(codes.Internal, "gateway: the metadata %q can't be sent: no header can have this name", key)
		case !strings.HasSuffix(key, "-bin") && slices.ContainsFunc(values, unprintable):
			return status.Errorf(codes.Internal, "gateway: the metadata %q can't be sent: it has an unprintable character", key)
		}
	}
	return nil
}

// received makes gRPC's metadata of those of HTTP's headers that are it.
func received(h http.Header, prefix string) metadata.MD {
	md := metadata.MD{}
	for name, values := range h {
		if key, ok := strings.CutPrefix(name, prefix); ok {
			md.Append(key, values...)
		}
	}
	return md
}

// broken is the error of a request that was not answered, or not to the end.
func (x *exchange) broken(err error) error { return x.conn.ended(x.ctx, x.explain(err)) }

// explain says what may be wrong when the endpoint has never answered: net/http has only
// the system's words for it.
func (x *exchange) explain(err error) error {
	secure := strings.HasPrefix(x.ep.base, "https:")
	switch {
	case secure && handshake.IsAlert(err):
		return x.conn.transport.identity.Explain(err)
	case x.heard.Load() || x.ep.answered.Load() || x.ctx.Err() != nil || beforehand(err):
		return err
	case secure && x.conn.transport.identity.Asked():
		// Whichever way net/http puts it: so far the server has seen a certificate only.
		return x.conn.transport.identity.Explain(explain.New(io.EOF, err.Error()))
	case secure:
		return handshake.WithoutTLS(err)
	case errors.Is(err, net.ErrClosed): // by net/http, since the server had
		err = explain.New(io.EOF, "the server hung up")
	}
	return handshake.WithTLS(err)
}

// beforehand reports whether there was no connection, or the client has refused it.
func beforehand(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	_, refused := errors.AsType[*tls.CertificateVerificationError](err)
	return refused || ok && op.Op == "dial"
}

// ended is the status for err, of which the end of ctx is the better reason, or that of c: Close
// takes the connections away while the calls still learn of it.
func (c *Conn) ended(ctx context.Context, err error) error {
	switch {
	case closing(ctx), ctx.Err() == nil && c.ctx.Err() != nil:
		return grpc.ErrClientConnClosing //nolint:staticcheck // SA1019: it is what grpc returns
	case ctx.Err() != nil:
		if g, ok := errors.AsType[silenceError](context.Cause(ctx)); ok {
			err = g
			break
		}
		return status.FromContextError(ctx.Err()).Err()
	}
	return status.Error(codes.Unavailable, "gateway: "+err.Error())
}

// closing reports whether it was Close that ended ctx.
func closing(ctx context.Context) bool {
	return errors.Is(context.Cause(ctx), grpc.ErrClientConnClosing) //nolint:staticcheck // SA1019: it is what grpc returns
}

// discard ends an answer, of which nothing more is wanted.
func discard(resp *http.Response) { _ = resp.Body.Close() }

// sending is a request's body, which tells that it has been begun. A server that has no
// byte of it can't have done anything: a call's JSON is never empty.
type sending struct {
	x    *exchange
	rest *bytes.Reader
}

func (s *sending) Read(p []byte) (int, error) {
	s.x.sent.Store(true)
	s.x.attempt.Send()
	s.x.move()
	return s.rest.Read(p)
}

func (s *sending) Close() error { return nil }

// hearing is an answer's body, which tells what has come of it.
type hearing struct {
	io.ReadCloser

	x *exchange
}

func (h hearing) Read(p []byte) (int, error) {
	n, err := h.ReadCloser.Read(p)
	h.x.arrived.Add(uint64(max(n, 0)))
	h.x.attempt.Hear()
	h.x.move()
	return n, err
}

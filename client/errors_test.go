package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/client"
)

type doubt bool

func (d doubt) Error() string   { return fmt.Sprintf("doubt: %v", bool(d)) }
func (d doubt) Ambiguous() bool { return bool(d) }

// One doubt anywhere in an error's tree is enough.
func TestIsAmbiguousLooksAtAll(t *testing.T) {
	plain := errors.New("plain")
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{plain, false},
		{doubt(true), true},
		{doubt(false), false},
		{errors.Join(doubt(false), doubt(true)), true},
		{errors.Join(plain, fmt.Errorf("x: %w", errors.Join(doubt(false), doubt(true)))), true},
		{fmt.Errorf("%w, %w", doubt(false), doubt(true)), true},
		{errors.Join(plain, doubt(false)), false},
	} {
		if got := client.IsAmbiguous(c.err); got != c.want {
			t.Errorf("%v: got %v, want %v", c.err, got, c.want)
		}
	}
}

// What a proxy answers by itself: whether the request has been passed on, whether to
// ask again, and what the error says.
func TestHTTPStatuses(t *testing.T) {
	for _, c := range []struct {
		status       int
		code         codes.Code // gRPC's for it
		again, doubt bool
	}{
		{http.StatusMovedPermanently, codes.Unknown, false, false},
		{http.StatusBadRequest, codes.Internal, false, false},
		{http.StatusForbidden, codes.PermissionDenied, false, false},
		{http.StatusRequestTimeout, codes.Unknown, true, false},
		{http.StatusRequestEntityTooLarge, codes.Unknown, false, false},
		{http.StatusMisdirectedRequest, codes.Unknown, true, false},
		{http.StatusTooManyRequests, codes.Unavailable, true, false},
		{http.StatusInternalServerError, codes.Unknown, false, true},
		{http.StatusBadGateway, codes.Unavailable, false, true},
		{http.StatusServiceUnavailable, codes.Unavailable, false, true},
		{http.StatusGatewayTimeout, codes.Unavailable, false, true},
		{494, codes.Unknown, false, false}, // nginx: request header too large
	} {
		run(t, 2, nil, func(r *rig) {
			text := fmt.Sprintf("unexpected HTTP status code received from server: %d (%s); transport: received unexpected content-type \"text/html\"", c.status, http.StatusText(c.status))
			r.cluster.Member(0).Intercept(times(100, pb.KV_Put_FullMethodName, refuse(status.Error(c.code, text+"\ndata: \"<html>\\r\\n<body>nginx</body>\""))))
			err := r.put(r.timeout(time.Second), "k", "v")
			if c.again {
				if err != nil || r.cluster.Member(1).Calls(pb.KV_Put_FullMethodName) == 0 {
					r.t.Errorf("%d: got %v, want that the next member is asked", c.status, err)
				}
				return
			}
			if err == nil || client.IsAmbiguous(err) != c.doubt || r.cluster.Member(1).Calls(pb.KV_Put_FullMethodName) > 0 {
				r.t.Errorf("%d: got %v (ambiguous: %v), want it at once, and doubt: %v", c.status, err, client.IsAmbiguous(err), c.doubt)
			}
			if s := errText(err); !strings.Contains(s, fmt.Sprint(c.status)) || strings.Contains(s, "html>") {
				r.t.Errorf("%d: got %q, want the status, and no page", c.status, s)
			}
		})
	}
}

// A stream that the server's side, a proxy often, has broken off says nothing of what became of the
// request. Reads and writes that are declared repeatable are sent again, and other writes are in doubt.
func TestStreamsThatAreReset(t *testing.T) {
	for _, text := range []string{
		"stream terminated by RST_STREAM with error code: INTERNAL_ERROR",
		"server closed the stream without sending trailers",
	} {
		for name, tt := range map[string]struct {
			method string
			call   func(r *rig) error
			again  bool
		}{
			"a read": {pb.KV_Range_FullMethodName, func(r *rig) error { _, err := r.get(r.timeout(time.Minute)); return err }, true},
			"a repeatable write": {pb.KV_Put_FullMethodName, func(r *rig) error {
				return r.put(client.WithIdempotentWrites(r.timeout(time.Minute)), "k", "v")
			}, true},
			"a write": {pb.KV_Put_FullMethodName, func(r *rig) error { return r.put(r.timeout(time.Minute), "k", "v") }, false},
		} {
			t.Run(name+", "+text, func(t *testing.T) {
				run(t, 2, nil, func(r *rig) {
					t := r.t
					r.warm()
					r.cluster.Member(0).Intercept(once(tt.method, refuse(status.Error(codes.Internal, text))))
					before := r.Counters().Attempts
					err := tt.call(r)
					if n := r.Counters().Attempts - before; tt.again && (err != nil || n != 2) || !tt.again && (!client.IsAmbiguous(err) || n != 1) {
						t.Errorf("error %v (ambiguous: %v) after %d attempts, want it sent again: %v", err, client.IsAmbiguous(err), n, tt.again)
					}
				})
			})
		}
	}
}

// A call that nobody could serve tells of all endpoints, also of those that it was
// never sent to.
func TestErrorNamesEveryEndpoint(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		t := r.t
		r.warm()
		for _, m := range r.cluster.Members()[1:] {
			m.Kill()
		}
		time.Sleep(2 * time.Second) // the bubble's clock; a lost connection is replaced within one
		r.cluster.Member(0).Intercept(times(1<<30, pb.KV_Put_FullMethodName, refuse(errLostAnswer)))
		lost := r.put(r.timeout(time.Second), "k", "v")
		r.cluster.Member(0).Intercept(times(1<<30, pb.KV_Range_FullMethodName, refuse(errLostAnswer)))
		_, late := r.get(r.timeout(time.Second))
		if !client.IsAmbiguous(lost) || !errors.Is(late, context.DeadlineExceeded) {
			t.Errorf("got %v and %v, want doubt and a deadline", lost, late)
		}
		for _, err := range []error{lost, late} {
			var e *client.Error
			if !errors.As(err, &e) || len(e.Attempts) != 3 || e.Attempts[0].Endpoint != m1 || strings.Count(err.Error(), "connection refused") != 2 {
				t.Errorf("got %v, want all three, the one that was tried first, and why the others were not", err)
			}
		}
	})
}

package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/connectivity"

	"github.com/getcd/getcd/balancer"
)

// Ping returns nil if the cluster serves this client: a member has answered a linearizable read
// that was sent for it, which takes a leader and a quorum, and the user, if there is one, is
// logged in. The user needs no permission. The read goes from member to member until ctx ends,
// as any read. The error is an *Error that names each endpoint and what is wrong with it.
// Middleware does not see it. Observers do, as a Range, which is no error if Ping succeeds.
func (c *Client) Ping(ctx context.Context) error {
	req := &pb.RangeRequest{Key: []byte{0}, CountOnly: true}
	err := c.conn.ask(ctx, pb.KV_Range_FullMethodName, req, &pb.RangeResponse{}, nil, func(err error) bool {
		// Permissions are looked at after the agreement (server's v3_server.go, Range).
		return errors.Is(err, rpctypes.ErrPermissionDenied)
	})
	if e, ok := errors.AsType[*Error](err); ok {
		e.Op = "Ping"
	}
	return err
}

// defaultPingTimeout is less than the second that Kubernetes waits for a probe.
const defaultPingTimeout = 800 * time.Millisecond

// ReadyHandler returns a handler for readiness probes. For each request it calls Ping, with the
// request's context and that timeout; 0 or less means 800 ms, since Kubernetes gives a probe
// 1 s. The status is 200 if Ping succeeds, and 503 otherwise. The body says why, in JSON:
//
//	{
//	  "ready": false,
//	  "error": "etcd Ping: context deadline exceeded […]",
//	  "endpoints": [
//	    {"address": "10.0.0.1:2379", "role": "active", "state": "READY", "error": "demoted: etcdserver: no leader"},
//	    {"address": "10.0.0.2:2379", "role": "idle", "state": "CONNECTING", "error": "connection refused"}
//	  ]
//	}
//
// Endpoints are in the order of Client.Endpoints. An endpoint without an error can be used. The
// error of an idle one is the last that was seen: it may have come back since, and is not tried
// again until it is needed. A name that can't be resolved is an endpoint without role and state.
// The body tells addresses, and nothing secret; serve it where your probes are.
func (c *Client) ReadyHandler(timeout time.Duration) http.Handler {
	if timeout <= 0 {
		timeout = defaultPingTimeout
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		body, code := readiness{Ready: true}, http.StatusOK
		if err := c.Ping(ctx); err != nil {
			body, code = readiness{Error: err.Error()}, http.StatusServiceUnavailable
		}
		for _, s := range c.Endpoints() {
			body.Endpoints = append(body.Endpoints, endpointReadiness{s.Address, s.Role.String(), s.State.String(), trouble(s)})
		}
		for _, o := range c.conn.unresolved() {
			body.Endpoints = append(body.Endpoints, endpointReadiness{Address: o.Endpoint, Error: text(o.Err)})
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(body) // if it can't be written, nobody reads it
	})
}

type readiness struct {
	Ready     bool                `json:"ready"`
	Error     string              `json:"error,omitempty"`
	Endpoints []endpointReadiness `json:"endpoints"`
}

type endpointReadiness struct {
	Address string `json:"address"`
	Role    string `json:"role,omitempty"`
	State   string `json:"state,omitempty"`
	Error   string `json:"error,omitempty"`
}

// trouble says why an endpoint can't be used; empty if it can.
func trouble(s balancer.Status) string {
	switch {
	case s.State == connectivity.Ready && s.Demoted != nil:
		return "demoted: " + text(s.Demoted)
	case s.State != connectivity.Ready && s.LastError != nil:
		return text(s.LastError)
	default:
		return ""
	}
}

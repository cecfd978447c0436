// Bluegreen is examples/bluegreen, written on clientv3.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/client/pkg/v3/srv"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string) error {
	c, err := connect()
	if err != nil {
		return err
	}
	defer c.Close()
	if args[0] == "switch" {
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		return switchTo(ctx, c, args[1], args[2])
	}
	return route(ctx, c)
}

// switchTo takes the traffic from one version to another.
func switchTo(ctx context.Context, c *clientv3.Client, from, to string) error {
	lease, err := until(ctx, func(ctx context.Context) (*clientv3.LeaseGrantResponse, error) {
		return c.Grant(ctx, 60) // seconds, more than the switch may take
	})
	if err != nil {
		return err
	}
	defer func() { // a copy that comes later finds no lease, and does nothing
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		_, _ = c.Revoke(ctx, lease.ID)
	}()
	// Of all copies the first that is applied decides, and notes down what it has decided.
	note := fmt.Sprintf("bluegreen/once/%x", lease.ID)
	answer, err := until(ctx, func(ctx context.Context) (*clientv3.TxnResponse, error) {
		return c.Txn(ctx).
			If(clientv3.Compare(clientv3.CreateRevision(note), "=", 0)).
			Then(clientv3.OpTxn(
				[]clientv3.Cmp{
					clientv3.Compare(clientv3.Value("bluegreen/active"), "=", from),
					clientv3.Compare(clientv3.Value("bluegreen/health/"+to), "=", "ok"),
				},
				[]clientv3.Op{
					clientv3.OpPut("bluegreen/active", to),
					clientv3.OpPut(note, "switched", clientv3.WithLease(lease.ID)),
				},
				[]clientv3.Op{clientv3.OpPut(note, "refused", clientv3.WithLease(lease.ID))},
			)).
			Else(clientv3.OpGet(note)).
			Commit()
	})
	if err != nil {
		return err
	}
	var switched bool
	if answer.Succeeded {
		switched = answer.Responses[0].GetResponseTxn().Succeeded
	} else { // by an attempt whose answer was lost
		switched = string(answer.Responses[0].GetResponseRange().Kvs[0].Value) == "switched"
	}
	if !switched {
		return fmt.Errorf("%s is not active any more, or %s is not healthy", from, to)
	}
	return nil
}

const patience = time.Second // with one request: a member that hangs never answers

// until repeats a request until it is answered.
func until[T any](ctx context.Context, request func(context.Context) (T, error)) (T, error) {
	for {
		attempt, cancel := context.WithTimeout(ctx, patience)
		resp, err := request(attempt)
		cancel()
		if err == nil || ctx.Err() != nil || refused(err) {
			return resp, err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return resp, ctx.Err()
		}
	}
}

// route follows the active version: each change once and in order.
func route(ctx context.Context, c *clientv3.Client) error {
	var r router
	for {
		now, err := until(ctx, func(ctx context.Context) (*clientv3.GetResponse, error) {
			return c.Get(ctx, "bluegreen/active")
		})
		if err != nil {
			return err
		}
		for _, kv := range now.Kvs {
			r.take(kv.Value)
		}
		r.next = now.Header.Revision + 1
		for !errors.Is(err, rpctypes.ErrCompacted) {
			if err = r.follow(ctx, c); refused(err) {
				return err
			}
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// A router knows how far it has followed the active version.
type router struct {
	next   int64 // revision to watch from
	active string
}

// follow ends when what it has to see was compacted, or its member has no leader.
func (r *router) follow(ctx context.Context, c *clientv3.Client) error {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	for resp := range c.Watch(ctx, "bluegreen/active", clientv3.WithRev(r.next)) {
		for _, e := range resp.Events {
			r.take(e.Kv.Value)
			r.next = e.Kv.ModRevision + 1
		}
		if err := resp.Err(); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (r *router) take(version []byte) {
	if string(version) != r.active { // what was read anew may be known
		r.active = string(version)
		fmt.Println("traffic goes to", r.active)
	}
}

// connect makes a client as etcdctl's variables say.
func connect() (*clientv3.Client, error) {
	user, password := os.Getenv("ETCDCTL_USER"), os.Getenv("ETCDCTL_PASSWORD")
	if password == "" {
		user, password, _ = strings.Cut(user, ":")
	}
	endpoints := strings.FieldsFunc(os.Getenv("ETCDCTL_ENDPOINTS"), func(r rune) bool { return r == ',' })
	domain := os.Getenv("ETCDCTL_DISCOVERY_SRV")
	if domain != "" {
		found, err := srv.GetClient("etcd-client", domain, os.Getenv("ETCDCTL_DISCOVERY_SRV_NAME"))
		if err != nil {
			return nil, err
		}
		endpoints = found.Endpoints
	}
	skipVerify := false
	if text := os.Getenv("ETCDCTL_INSECURE_SKIP_TLS_VERIFY"); text != "" {
		var err error
		if skipVerify, err = strconv.ParseBool(text); err != nil {
			return nil, fmt.Errorf("ETCDCTL_INSECURE_SKIP_TLS_VERIFY: %w", err)
		}
	}
	cfg, err := clientv3.NewClientConfig(&clientv3.ConfigSpec{
		Endpoints:        endpoints,
		DialTimeout:      5 * time.Second,
		KeepAliveTime:    10 * time.Second, // without these a watch waits forever for a member that hangs
		KeepAliveTimeout: 3 * time.Second,
		Secure: &clientv3.SecureConfig{
			Cacert:             os.Getenv("ETCDCTL_CACERT"),
			Cert:               os.Getenv("ETCDCTL_CERT"),
			Key:                os.Getenv("ETCDCTL_KEY"),
			ServerName:         domain,
			InsecureSkipVerify: skipVerify,
			InsecureTransport:  true, // unless an endpoint says https://
		},
		Auth: &clientv3.AuthConfig{Username: user, Password: password},
	}, zap.NewNop())
	if err != nil {
		return nil, err
	}
	return clientv3.New(*cfg)
}

// refused reports whether another try is of no use.
func refused(err error) bool {
	code := status.Code(err)
	if etcdErr, ok := errors.AsType[rpctypes.EtcdError](err); ok {
		code = etcdErr.Code()
	}
	switch code {
	case codes.InvalidArgument, codes.PermissionDenied, codes.Unauthenticated, codes.ResourceExhausted:
		return true
	default:
		return false
	}
}

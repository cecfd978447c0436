// Leader is examples/leader, written on clientv3.
package main

import (
	"cmp"
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
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1]); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

const (
	ttl      = 3           // seconds
	patience = time.Second // with one request: a member that hangs never answers
)

var errLost = errors.New("the lease may have expired")

func run(ctx context.Context, name string) error {
	c, err := connect()
	if err != nil {
		return err
	}
	defer c.Close()
	for {
		err := term(ctx, c, name)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errLost):
			fmt.Println("lost the lead:", err)
		case refused(err):
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil
		}
	}
}

// term campaigns with a lease of its own, and leads while that is sure to be there.
func term(ctx context.Context, c *clientv3.Client, name string) error {
	attempt, cancel := context.WithTimeout(ctx, patience)
	granted := time.Now()
	lease, err := c.Grant(attempt, ttl)
	cancel()
	if err != nil {
		return err
	}
	session, err := concurrency.NewSession(c, concurrency.WithLease(lease.ID), concurrency.WithTTL(ttl))
	if err != nil {
		return err
	}
	defer session.Close() // revokes the lease, and so deletes the key, after ctrl-C as well
	ctx, lose := context.WithCancelCause(ctx)
	defer lose(nil)
	go keep(ctx, c, lease.ID, granted, lose)
	e := concurrency.NewElection(session, "leader/election")
	if err := e.Campaign(ctx, name); err != nil {
		return cmp.Or(context.Cause(ctx), err)
	}
	return lead(ctx, c, e, name)
}

// keep ends the term before the lease can expire. The session would do that later: it
// counts the time from the answer to a renewal, and looks at the clock once a second.
func keep(ctx context.Context, c *clientv3.Client, lease clientv3.LeaseID, renewed time.Time, lose context.CancelCauseFunc) {
	expiry := time.AfterFunc(time.Until(renewed.Add(ttl*time.Second)), func() { lose(errLost) })
	defer expiry.Stop()
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		attempt, cancel := context.WithTimeout(ctx, patience)
		sent := time.Now()
		_, err := c.KeepAliveOnce(attempt, lease)
		cancel()
		switch {
		case err == nil:
			expiry.Reset(time.Until(sent.Add(ttl * time.Second)))
		case errors.Is(err, rpctypes.ErrLeaseNotFound):
			lose(errLost)
		}
	}
}

// lead counts until its context ends: at ctrl-C, or when the lead is lost.
func lead(ctx context.Context, c *clientv3.Client, e *concurrency.Election, name string) error {
	fmt.Println(name, "leads")
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for n := 1; ; n++ {
		// No former leader can write here, however late its request arrives.
		attempt, cancel := context.WithTimeout(ctx, patience)
		txn, err := c.Txn(attempt).
			If(clientv3.Compare(clientv3.CreateRevision(e.Key()), "=", e.Rev())).
			Then(clientv3.OpPut("leader/work", fmt.Sprintf("%s %d", name, n))).
			Commit()
		cancel()
		if err == nil && !txn.Succeeded {
			return errLost
		}
		if err != nil && refused(err) { // the next write makes up for an ambiguous one
			return err
		}
		fmt.Println(name, "has done", n)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
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

// Workerpool is examples/workerpool, written on clientv3.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
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
	if err := run(ctx, os.Args[1:]); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

const (
	interval = 250 * time.Millisecond
	ttl      = 3           // seconds
	patience = time.Second // with one request: a member that hangs never answers
	pause    = 100 * time.Millisecond
)

var errLost = errors.New("the lease may have expired")

func run(ctx context.Context, args []string) error {
	c, err := connect()
	if err != nil {
		return err
	}
	defer c.Close()
	if args[0] == "add" {
		return add(ctx, c, args[1:])
	}
	var workers sync.WaitGroup
	for i := range 3 {
		workers.Go(func() {
			name := fmt.Sprintf("%s.%d", args[0], i)
			for ctx.Err() == nil {
				if err := one(ctx, c, name); err != nil && ctx.Err() == nil {
					log.Print(name, ": ", err)
					wait(ctx)
				}
			}
		})
	}
	workers.Wait()
	return nil
}

// add adds each item once, though answers are lost. A copy of a request that comes late must
// not add an item that was taken meanwhile. So each is counted by a key with a lease, and
// after the lease no copy does anything.
func add(ctx context.Context, c *clientv3.Client, items []string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var lease *clientv3.LeaseGrantResponse
	if err := retry(ctx, func(ctx context.Context) (err error) {
		lease, err = c.Grant(ctx, 90)
		return err
	}); err != nil {
		return err
	}
	count := "workerpool/adding/" + rand.Text()
	for i, item := range items {
		key := "workerpool/queue/" + rand.Text()
		if err := retry(ctx, func(ctx context.Context) error {
			_, err := c.Txn(ctx).
				If(clientv3.Compare(clientv3.Version(count), "=", i)). // else it was added by the attempt before
				Then(clientv3.OpPut(key, item), clientv3.OpPut(count, "", clientv3.WithLease(lease.ID))).
				Commit()
			return err
		}); err != nil {
			return err
		}
	}
	return retry(ctx, func(ctx context.Context) error {
		_, err := c.Revoke(ctx, lease.ID)
		if errors.Is(err, rpctypes.ErrLeaseNotFound) {
			return nil
		}
		return err
	})
}

// one takes an item when the pool may take one, and works on it.
func one(ctx context.Context, c *clientv3.Client, name string) error {
	item, taken, err := next(ctx, c, name)
	if taken {
		fmt.Println(name, "has done", item) // the work itself: without the lock
	}
	return err
}

// next takes an item under the lock, which it holds for a while.
func next(ctx context.Context, c *clientv3.Client, name string) (item string, taken bool, err error) {
	attempt, cancel := context.WithTimeout(ctx, patience)
	granted := time.Now()
	lease, err := c.Grant(attempt, ttl)
	cancel()
	if err != nil {
		return "", false, err
	}
	session, err := concurrency.NewSession(c, concurrency.WithLease(lease.ID), concurrency.WithTTL(ttl))
	if err != nil {
		return "", false, err
	}
	defer session.Close() // revokes the lease, and so deletes the key, after ctrl-C as well
	held, lose := context.WithCancelCause(ctx)
	defer lose(nil)
	go keep(held, c, lease.ID, granted, lose)
	if err := concurrency.NewMutex(session, "workerpool/limit").Lock(held); err != nil {
		return "", false, cmp.Or(context.Cause(held), err)
	}
	for !taken {
		var first *clientv3.GetResponse
		if err := retry(held, func(ctx context.Context) (err error) {
			first, err = c.Get(ctx, "workerpool/queue/", clientv3.WithFirstCreate()...)
			return err
		}); err != nil {
			return "", false, cmp.Or(context.Cause(held), err)
		}
		if len(first.Kvs) == 0 {
			wait(held)
			continue
		}
		item = string(first.Kvs[0].Value)
		if taken, err = claim(ctx, c, string(first.Kvs[0].Key)); err != nil {
			return "", false, err
		}
	}
	fmt.Println(name, "has taken", item)
	select {
	case <-time.After(interval):
	case <-held.Done(): // the lock is lost: others may take the next one
	}
	return item, true, nil
}

// claim takes a key of the queue, and reports whether this call did: it leaves a mark, in
// case that the answer is lost. To find that out it has some time after ctx.
func claim(ctx context.Context, c *clientv3.Client, key string) (mine bool, err error) {
	settle, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(3*time.Second, cancel) })()
	mark, id := "workerpool/taken/"+strings.TrimPrefix(key, "workerpool/queue/"), rand.Text()
	err = retry(settle, func(ctx context.Context) error {
		txn, err := c.Txn(ctx).
			If(clientv3.Compare(clientv3.CreateRevision(key), ">", 0)).
			Then(clientv3.OpDelete(key), clientv3.OpPut(mark, id)).
			Else(clientv3.OpGet(mark)).
			Commit()
		if err != nil {
			return err
		}
		mine = txn.Succeeded
		if !mine {
			found := txn.Responses[0].GetResponseRange().Kvs
			mine = len(found) > 0 && string(found[0].Value) == id
		}
		return nil
	})
	if mine { // should this fail, the mark stays, and is in nobody's way
		_ = retry(settle, func(ctx context.Context) error {
			_, err := c.Delete(ctx, mark)
			return err
		})
	}
	return mine, err
}

// retry does a request until it is answered, or refused.
func retry(ctx context.Context, request func(context.Context) error) error {
	for {
		attempt, cancel := context.WithTimeout(ctx, patience)
		err := request(attempt)
		cancel()
		if err == nil || ctx.Err() != nil || refused(err) {
			return err
		}
		wait(ctx)
	}
}

func wait(ctx context.Context) {
	select {
	case <-time.After(pause):
	case <-ctx.Done():
	}
}

// keep cancels the context before the lease can expire. The session would do that later: it
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

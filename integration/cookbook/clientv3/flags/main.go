// Flags is examples/flags, written on clientv3.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
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
	if err := run(ctx); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

// Flag is what flags/NAME has, as JSON: the part of the users for whom the feature is on.
type Flag struct {
	Percent uint32 `json:"percent"`
}

// For says whether the feature is on for a user. It says the same of a user each time.
func (f Flag) For(user string) bool {
	h := fnv.New32a()
	h.Write([]byte(user))
	return h.Sum32()%100 < f.Percent
}

func run(ctx context.Context) error {
	c, err := connect()
	if err != nil {
		return err
	}
	defer c.Close()
	v := view{synced: make(chan struct{})}
	ended := make(chan error, 1)
	go func() { ended <- v.keep(ctx, c) }()
	select {
	case <-v.synced:
	case err := <-ended:
		return err
	}
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { listener.Close() })
	fmt.Println("listening on", listener.Addr())
	return http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, v.get("flags"+r.URL.Path).For(r.FormValue("user")))
	}))
}

// A view has the flags in memory.
type view struct {
	synced chan struct{} // closed when it has read them

	mu    sync.RWMutex
	flags map[string]entry
}

// An entry is a flag's last good value.
type entry struct {
	flag Flag
	mod  int64 // mod revision of the last value, good or bad
}

// get returns a flag. One that does not exist is off.
func (v *view) get(key string) Flag {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.flags[key].flag
}

// keep keeps the view in step until its context ends.
func (v *view) keep(ctx context.Context, c *clientv3.Client) error {
	synced := sync.OnceFunc(func() { close(v.synced) })
	for {
		next, err := v.read(ctx, c)
		if err == nil {
			synced()
			// A watch ends when what it has to send was compacted, or its member has no leader.
			err = v.follow(ctx, c, next)
		}
		if refused(err) {
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// read takes all flags as they are at one revision, and returns the one after it.
func (v *view) read(ctx context.Context, c *clientv3.Client) (next int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second) // a member that hangs never answers
	defer cancel()
	now, err := c.Get(ctx, "flags/", clientv3.WithPrefix())
	if err != nil {
		return 0, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	flags := make(map[string]entry) // without those that were deleted
	for _, kv := range now.Kvs {
		flags[string(kv.Key)] = v.flags[string(kv.Key)].take(kv)
	}
	v.flags = flags
	return now.Header.Revision + 1, nil
}

// follow takes each change from a revision on, all of a transaction at once.
func (v *view) follow(ctx context.Context, c *clientv3.Client, next int64) error {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	for resp := range c.Watch(ctx, "flags/", clientv3.WithPrefix(), clientv3.WithRev(next)) {
		v.mu.Lock()
		for _, e := range resp.Events {
			if e.Type == clientv3.EventTypePut {
				v.flags[string(e.Kv.Key)] = v.flags[string(e.Kv.Key)].take(e.Kv)
			} else {
				delete(v.flags, string(e.Kv.Key))
			}
		}
		v.mu.Unlock()
		if err := resp.Err(); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// take returns what comes after an entry. A bad value leaves the last good one in its place.
func (e entry) take(kv *mvccpb.KeyValue) entry {
	if kv.ModRevision == e.mod { // nothing new, though the watch had ended
		return e
	}
	var flag Flag
	if err := json.Unmarshal(kv.Value, &flag); err != nil {
		log.Printf("the value of %q, of revision %d, is bad: %v", kv.Key, kv.ModRevision, err)
		flag = e.flag
	}
	return entry{flag: flag, mod: kv.ModRevision}
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

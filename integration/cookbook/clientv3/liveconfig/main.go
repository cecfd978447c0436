// Liveconfig is examples/liveconfig, written on clientv3.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strconv"
	"strings"
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

// Settings are what the key liveconfig/settings has, as JSON.
type Settings struct {
	LogLevel string `json:"logLevel"`
	Workers  int    `json:"workers"`
}

func decode(value []byte) (s Settings, err error) {
	if err = json.Unmarshal(value, &s); err == nil && s.Workers < 1 {
		err = errors.New("workers must be at least 1")
	}
	return s, err
}

func run(ctx context.Context) error {
	c, err := connect()
	if err != nil {
		return err
	}
	defer c.Close()
	var v view
	for {
		// A watch ends when what it has to send was compacted, or its member has no leader.
		if err := v.follow(ctx, c); refused(err) {
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil
		}
	}
}

// A view has the last good value of the settings.
type view struct {
	settings Settings
	seen     int64 // mod revision of the last value, good or bad
}

// follow takes the present value, and then each change that comes after it.
func (v *view) follow(ctx context.Context, c *clientv3.Client) error {
	attempt, cancel := context.WithTimeout(ctx, time.Second) // a member that hangs never answers
	now, err := c.Get(attempt, "liveconfig/settings")
	cancel()
	if err != nil {
		return err
	}
	for _, kv := range now.Kvs {
		v.take(kv)
	}
	ctx, cancel = context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	for resp := range c.Watch(ctx, "liveconfig/settings", clientv3.WithRev(now.Header.Revision+1)) {
		for _, e := range resp.Events {
			if e.Type == clientv3.EventTypePut {
				v.take(e.Kv)
			}
		}
		if err := resp.Err(); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (v *view) take(kv *mvccpb.KeyValue) {
	if kv.ModRevision == v.seen { // nothing new, though the watch had ended
		return
	}
	v.seen = kv.ModRevision
	s, err := decode(kv.Value)
	if err != nil {
		fmt.Printf("kept the last good value: revision %d is bad: %v\n", v.seen, err)
		return
	}
	v.settings = s
	fmt.Printf("log level %s, %d workers\n", s.LogLevel, s.Workers)
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

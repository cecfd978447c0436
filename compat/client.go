package compat

import (
	"context"
	"errors"
	"log/slog"
	"math"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	getcd "github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/observability/zap"
)

// New is clientv3.New with getcd's connection. The client is clientv3's in
// everything except how its requests are sent, which is up to getcd. cfg's
// settings for retries are not used (see getcd's Config). Closing the client
// closes both.
func New(cfg clientv3.Config) (*clientv3.Client, error) {
	below, err := config(cfg)
	if err != nil {
		return nil, err
	}
	c, err := getcd.New(below)
	if err != nil {
		return nil, err
	}
	original, err := newClient(c, cfg, func() { _ = c.Close() }) // its error only says that it is closed
	if err != nil {
		_ = c.Close() // return the first error instead
		return nil, err
	}
	return original, nil
}

// Client returns an original client whose requests, streams and state are those
// of c's connection. It ends with c, and must be closed as well. Closing it does
// not close c.
//
// It starts with c's current endpoints. Its SetEndpoints and Sync also change c's
// endpoints. Do not use its Dial, since all calls on such a connection return an
// error; use c.Dial instead.
func Client(c *getcd.Client) (*clientv3.Client, error) {
	if c == nil || c.ActiveConnection() == nil {
		return nil, errors.New("compat: the client has no connection: use one that getcd's clientv3.New has made")
	}
	lg := getcdzap.FromSlog(c.GetLogger())
	cfg := clientv3.Config{Context: c.Ctx(), Username: c.Username, Password: c.Password, Token: c.Token, Logger: lg}
	cfg.Endpoints = c.Endpoints()
	return newClient(c, cfg, func() {})
}

// defaultLimit is a message size that no program chooses. clientv3 passes its
// client's limits to every call. Calls with this limit have it removed, so that
// the limits of the client below apply.
const defaultLimit = math.MaxInt32 - 1

// newClient makes an original client on c. closed is called when it is closed.
func newClient(c *getcd.Client, cfg clientv3.Config, closed func()) (*clientv3.Client, error) {
	w := &wire{below: c.ActiveConnection()}
	policy, forget := mirror(&reflection{w.below, c.SetEndpoints, closed})
	original, err := clientv3.New(clientv3.Config{
		Endpoints:          cfg.Endpoints,
		Context:            cfg.Context,
		Logger:             cfg.Logger,
		LogConfig:          cfg.LogConfig,
		MaxCallSendMsgSize: defaultLimit,
		MaxCallRecvMsgSize: defaultLimit,
		// These options come after clientv3's own and replace them.
		DialOptions: []grpc.DialOption{
			grpc.WithUnaryInterceptor(w.unary),
			grpc.WithStreamInterceptor(w.stream),
			grpc.WithTransportCredentials(insecure.NewCredentials()), // nothing is sent with these
			grpc.WithIdleTimeout(0),
			grpc.WithDisableServiceConfig(), // the resolver's service config asks for round_robin
			policy,
		},
	})
	if err != nil {
		forget()
		return nil, err
	}
	w.original, w.closing = original.ActiveConnection(), original.Ctx()
	original.Username, original.Password, original.Token = cfg.Username, cfg.Password, cfg.Token
	original.Lease = newLease(original, c.Lease)
	original.Maintenance = maintenance{original.Maintenance, c.Maintenance}
	w.original.Connect() // so that it reports its state
	return original, nil
}

// maintenance sends requests for single endpoints through getcd's client. The
// original would dial the endpoints.
type maintenance struct {
	clientv3.Maintenance

	of getcd.Maintenance
}

func (m maintenance) Defragment(ctx context.Context, endpoint string) (*clientv3.DefragmentResponse, error) {
	resp, err := m.of.Defragment(ctx, endpoint)
	return (*clientv3.DefragmentResponse)(resp), err
}

func (m maintenance) Status(ctx context.Context, endpoint string) (*clientv3.StatusResponse, error) {
	resp, err := m.of.Status(ctx, endpoint)
	return (*clientv3.StatusResponse)(resp), err
}

func (m maintenance) HashKV(ctx context.Context, endpoint string, rev int64) (*clientv3.HashKVResponse, error) {
	resp, err := m.of.HashKV(ctx, endpoint, rev)
	return (*clientv3.HashKVResponse)(resp), err
}

// config converts cfg to getcd's Config.
func config(cfg clientv3.Config) (getcd.Config, error) {
	lg, err := logger(&cfg)
	return getcd.Config{
		Endpoints:            cfg.Endpoints,
		AutoSyncInterval:     cfg.AutoSyncInterval,
		DialTimeout:          cfg.DialTimeout,
		DialKeepAliveTime:    cfg.DialKeepAliveTime,
		DialKeepAliveTimeout: cfg.DialKeepAliveTimeout,
		MaxCallSendMsgSize:   cfg.MaxCallSendMsgSize,
		MaxCallRecvMsgSize:   cfg.MaxCallRecvMsgSize,
		TLS:                  cfg.TLS,
		Username:             cfg.Username,
		Password:             cfg.Password,
		Token:                cfg.Token,
		RejectOldCluster:     cfg.RejectOldCluster,
		DialOptions:          cfg.DialOptions,
		Context:              cfg.Context,
		Logger:               lg,
		PermitWithoutStream:  cfg.PermitWithoutStream,
	}, err
}

// logger returns the configured logger, or nil, which selects getcd's default.
func logger(cfg *clientv3.Config) (*slog.Logger, error) {
	if cfg.Logger == nil && cfg.LogConfig != nil {
		lg, err := cfg.LogConfig.Build()
		if err != nil {
			return nil, err
		}
		cfg.Logger = lg
	}
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
		return nil, nil //nolint:nilnil // none is an answer
	}
	return getcdzap.New(cfg.Logger), nil
}

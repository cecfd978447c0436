package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/credentials"
	"go.etcd.io/etcd/client/v3/yaml"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

func configPrograms() map[string]program {
	return map[string]program{
		"config/full":        fullConfig,
		"config/several":     severalEndpoints,
		"config/metrics":     metrics,
		"config/stats":       statsHandler,
		"config/dialoptions": dialOptions,
		"config/sizes":       messageSizes,
		"config/unreachable": unreachable,
		"config/context":     itsContext,
		"config/spec":        fromSpec,
		"config/yaml":        fromYAML,
		"config/credentials": transportCredentials,
		"config/autosync":    autoSync,
	}
}

// used puts and gets with a new client.
func used(ctx context.Context, p *printer, cfg clientv3.Config) error {
	cli, err := clientv3.New(cfg)
	if err != nil {
		return err
	}
	if _, err := cli.Put(ctx, "color", "green"); err != nil {
		return errors.Join(err, cli.Close())
	}
	get, err := cli.Get(ctx, "color")
	if err != nil {
		return errors.Join(err, cli.Close())
	}
	p.pairs(get)
	p.line("closed: %v", cli.Close())
	return p.err
}

// fullConfig sets all fields except the logger's.
func fullConfig(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	return used(ctx, &printer{out: out}, clientv3.Config{
		Endpoints:             cli.Endpoints(),
		AutoSyncInterval:      time.Minute,
		DialTimeout:           5 * time.Second,
		DialKeepAliveTime:     30 * time.Second,
		DialKeepAliveTimeout:  10 * time.Second,
		MaxCallSendMsgSize:    1 << 20,
		MaxCallRecvMsgSize:    1 << 24,
		TLS:                   nil,
		Username:              "",
		Password:              "",
		Token:                 "",
		RejectOldCluster:      true,
		DialOptions:           nil,
		Context:               ctx,
		Logger:                nil,
		LogConfig:             nil,
		PermitWithoutStream:   true,
		MaxUnaryRetries:       5,
		BackoffWaitBetween:    10 * time.Millisecond,
		BackoffJitterFraction: 0.2,
	})
}

// severalEndpoints includes endpoints at which nobody listens.
func severalEndpoints(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	all := append([]string{"http://127.0.0.1:1", "127.0.0.1:2"}, cli.Endpoints()...)
	if err := used(ctx, p, clientv3.Config{Endpoints: all, DialTimeout: 5 * time.Second}); err != nil {
		return err
	}
	bare := strings.TrimPrefix(cli.Endpoints()[0], "http://")
	if err := used(ctx, p, clientv3.Config{Endpoints: []string{bare}}); err != nil {
		return err
	}
	other, err := clientv3.NewFromURLs(all)
	if err != nil {
		return err
	}
	p.line("%d endpoints", len(other.Endpoints()))
	other.SetEndpoints(cli.Endpoints()...)
	p.line("%d endpoint", len(other.Endpoints()))
	if _, err := other.Get(ctx, "color"); err != nil {
		return err
	}
	return errors.Join(other.Close(), p.err)
}

// metrics counts the requests of each kind for Prometheus.
func metrics(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	started := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "started_total"}, []string{"method", "type"})
	registry := prometheus.NewRegistry()
	if err := registry.Register(started); err != nil {
		return err
	}
	counted, err := clientv3.New(clientv3.Config{
		Endpoints: cli.Endpoints(),
		DialOptions: []grpc.DialOption{
			grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
				started.WithLabelValues(method, "unary").Inc()
				return invoker(ctx, method, req, reply, cc, opts...)
			}),
			grpc.WithStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
				started.WithLabelValues(method, "stream").Inc()
				return streamer(ctx, desc, cc, method, opts...)
			}),
		},
	})
	if err != nil {
		return err
	}
	defer func() { _ = counted.Close() }()
	if _, err := counted.Get(ctx, "color"); err != nil {
		return err
	}
	if err := begun(counted.Watch(ctx, "color", clientv3.WithCreatedNotify())); err != nil {
		return err
	}
	families, err := registry.Gather()
	if err != nil {
		return err
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			p.line("%s{%s, %s} %v", family.GetName(), m.GetLabel()[0].GetValue(), m.GetLabel()[1].GetValue(), m.GetCounter().GetValue())
		}
	}
	return p.err
}

// counter is a gRPC stats handler.
type counter struct {
	mu     sync.Mutex
	begun  map[string]int
	ended  map[string]int
	failed int
}

type methodKey struct{}

func (c *counter) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, methodKey{}, info.FullMethodName)
}

func (c *counter) HandleRPC(ctx context.Context, s stats.RPCStats) {
	method, _ := ctx.Value(methodKey{}).(string)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch s := s.(type) {
	case *stats.Begin:
		c.begun[method]++
	case *stats.End:
		c.ended[method]++
		if s.Error != nil {
			c.failed++
		}
	}
}

func (c *counter) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (c *counter) HandleConn(context.Context, stats.ConnStats)                       {}

func statsHandler(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	c := &counter{begun: make(map[string]int), ended: make(map[string]int)}
	if err := used(ctx, p, clientv3.Config{Endpoints: cli.Endpoints(), DialOptions: []grpc.DialOption{grpc.WithStatsHandler(c)}}); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, method := range []string{"/etcdserverpb.KV/Put", "/etcdserverpb.KV/Range"} {
		p.line("%s: %d begun, %d ended", method, c.begun[method], c.ended[method])
	}
	return p.err
}

// dialOptions uses options that programs give, including some that no longer have
// an effect.
func dialOptions(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	calls := make(chan string, 10)
	record := func(name string) grpc.UnaryClientInterceptor {
		return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			calls <- name + " " + method
			return invoker(ctx, method, req, reply, cc, opts...)
		}
	}
	err := used(ctx, p, clientv3.Config{
		Endpoints:   cli.Endpoints(),
		DialTimeout: 5 * time.Second,
		DialOptions: []grpc.DialOption{
			grpc.WithBlock(), //nolint:staticcheck // as programs do, to no effect
			grpc.WithUserAgent("gardener"),
			grpc.WithTransportCredentials(insecure.NewCredentials()), // likewise
			grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 5 * time.Second}),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1 << 25)),
			grpc.WithChainUnaryInterceptor(record("first"), record("second")),
			grpc.WithReadBufferSize(64 << 10),
			grpc.WithInitialWindowSize(1 << 20),
		},
	})
	close(calls)
	for call := range calls {
		p.line("%s", call)
	}
	return errors.Join(err, p.err)
}

func messageSizes(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	large := strings.Repeat("x", 1<<20+1<<19+1<<18)
	_, err := cli.Put(ctx, "large", large)
	p.line("too large for the server: %v, %v", err == rpctypes.ErrRequestTooLarge, err) //nolint:errorlint // as users of clientv3 do
	_, err = cli.Put(ctx, "large", large+large)
	p.line("too large for the client: %v", status.Code(err))
	small, err := clientv3.New(clientv3.Config{Endpoints: cli.Endpoints(), MaxCallSendMsgSize: 1000, MaxCallRecvMsgSize: 2000})
	if err != nil {
		return err
	}
	defer func() { _ = small.Close() }()
	_, err = small.Put(ctx, "large", large[:1100])
	p.line("to send: %v", status.Code(err))
	for i := range 3 {
		if _, err := cli.Put(ctx, fmt.Sprintf("large/%d", i), large[:800]); err != nil {
			return err
		}
	}
	_, err = small.Get(ctx, "large/", clientv3.WithPrefix())
	p.line("to receive: %v", status.Code(err))
	get, err := small.Get(ctx, "large/", clientv3.WithPrefix(), clientv3.WithLimit(2))
	if err != nil {
		return err
	}
	p.line("%d of %d", len(get.Kvs), get.Count)
	_, err = clientv3.New(clientv3.Config{Endpoints: cli.Endpoints(), MaxCallSendMsgSize: 2000, MaxCallRecvMsgSize: 1000})
	p.line("more to send than to receive: %v", err != nil)
	return p.err
}

// unreachable uses clients that get no response: at a port without a listener,
// and at one that accepts connections but never answers.
func unreachable(ctx context.Context, _ *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	silent, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is closed below
	if err != nil {
		return err
	}
	defer func() { _ = silent.Close() }()
	for _, endpoint := range []string{"http://127.0.0.1:1", "http://" + silent.Addr().String()} {
		cli, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: 300 * time.Millisecond})
		if err != nil {
			return err
		}
		late, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		_, err = cli.Get(late, "color")
		p.line("a read: %v", err == context.DeadlineExceeded) //nolint:errorlint // as users of clientv3 do
		_, err = cli.Put(late, "color", "green")
		p.line("a write: %v", err == context.DeadlineExceeded) //nolint:errorlint // as users of clientv3 do
		_, err = cli.Status(late, endpoint)
		p.line("a status: %v", err == context.DeadlineExceeded) //nolint:errorlint // as users of clientv3 do
		_, ok := <-cli.Watch(late, "color")
		p.line("a watch: %v", ok)
		cancel()
		p.line("closed: %v", cli.Close())
		_, err = clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: 300 * time.Millisecond, Username: "ann", Password: "green"})
		p.line("a login: %v", err == context.DeadlineExceeded) //nolint:errorlint // as users of clientv3 do
		_, err = clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: 300 * time.Millisecond, RejectOldCluster: true})
		p.line("a look at the version: %v", err == context.DeadlineExceeded) //nolint:errorlint // as users of clientv3 do
	}
	return p.err
}

func itsContext(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	type key struct{}
	base, cancel := context.WithCancel(context.WithValue(ctx, key{}, "value"))
	defer cancel()
	other, err := clientv3.New(clientv3.Config{Endpoints: cli.Endpoints(), Context: base})
	if err != nil {
		return err
	}
	p.line("it has its parent's %v", other.Ctx().Value(key{}))
	cancel()
	<-other.Ctx().Done()
	p.line("and ends with it: %v", other.Ctx().Err())
	p.line("requests have contexts of their own: %v", used(ctx, p, clientv3.Config{Endpoints: cli.Endpoints()}))
	_ = other.Close()
	return p.err
}

func fromSpec(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	spec := &clientv3.ConfigSpec{
		Endpoints:          cli.Endpoints(),
		RequestTimeout:     time.Second,
		DialTimeout:        2 * time.Second,
		KeepAliveTime:      11 * time.Second,
		KeepAliveTimeout:   3 * time.Second,
		MaxCallSendMsgSize: 4 << 20,
		Secure:             &clientv3.SecureConfig{InsecureTransport: true},
		Auth:               &clientv3.AuthConfig{},
	}
	copied := spec.Clone()
	copied.Endpoints[0] = "changed"
	p.line("a copy of its own: %v, no user: %v", spec.Endpoints[0] != "changed", copied.Auth.Empty())
	cfg, err := clientv3.NewClientConfig(spec, nil)
	if err != nil {
		return err
	}
	p.line("%v, %v, %v, %d, TLS: %v", cfg.DialTimeout, cfg.DialKeepAliveTime, cfg.DialKeepAliveTimeout, cfg.MaxCallSendMsgSize, cfg.TLS != nil)
	if err := used(ctx, p, *cfg); err != nil {
		return err
	}
	spec.Secure = &clientv3.SecureConfig{Cacert: "/does/not/exist"}
	_, err = clientv3.NewClientConfig(spec, nil)
	p.line("no such file: %v", errors.Is(err, os.ErrNotExist))
	return p.err
}

func fromYAML(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	dir, err := os.MkdirTemp("", "config")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "client.yaml")
	text := "endpoints:\n- " + cli.Endpoints()[0] + "\ndial-timeout: 3000000000\ninsecure-transport: true\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	cfg, err := yaml.NewConfig(file)
	if err != nil {
		return err
	}
	p.line("%d endpoint, %v", len(cfg.Endpoints), cfg.DialTimeout)
	return used(ctx, p, *cfg)
}

// transportCredentials makes credentials for connections that a program makes
// itself.
func transportCredentials(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	creds := credentials.NewTransportCredential(nil)
	p.line("%s", creds.Info().SecurityProtocol)
	bundle := credentials.NewPerRPCCredentialBundle()
	bundle.UpdateAuthToken("secret")
	md, err := bundle.PerRPCCredentials().GetRequestMetadata(ctx)
	p.line("%v, %v, needs TLS: %v", md, err, bundle.PerRPCCredentials().RequireTransportSecurity())
	return used(ctx, p, clientv3.Config{
		Endpoints:   cli.Endpoints(),
		DialOptions: []grpc.DialOption{grpc.WithPerRPCCredentials(bundle.PerRPCCredentials())},
	})
}

// autoSync learns the members' endpoints.
func autoSync(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	before := cli.Endpoints()
	if err := cli.Sync(ctx); err != nil {
		return err
	}
	p.line("the same: %v", len(before) == len(cli.Endpoints()))
	other, err := clientv3.New(clientv3.Config{
		Endpoints:        append([]string{"http://127.0.0.1:1"}, before...),
		AutoSyncInterval: 20 * time.Millisecond,
	})
	if err != nil {
		return err
	}
	for len(other.Endpoints()) != len(before) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
	p.line("those of the members alone")
	if _, err := other.Get(ctx, "color"); err != nil && status.Code(err) != codes.OK {
		return err
	}
	return errors.Join(other.Close(), p.err)
}

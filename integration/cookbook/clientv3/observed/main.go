// Observed is examples/observed, written on clientv3.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/client/pkg/v3/srv"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"go.yaml.in/yaml/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1]); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

const patience = time.Second // with one request: a member that hangs never answers

func run(ctx context.Context, file string) error {
	s, err := load(file) // has the endpoints, the CA, the user and a file with the password
	if err != nil {
		return err
	}
	probes, err := clientv3.New(s.config()) // has no user, and so connects to nothing yet
	if err != nil {
		return err
	}
	defer probes.Close()
	w := &writer{settings: s, probes: probes}
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		return err
	}
	defer listener.Close()
	prometheus.MustRegister(calls)
	http.Handle("/metrics", promhttp.Handler())
	http.HandleFunc("/ready", w.ready)
	go http.Serve(listener, nil)
	fmt.Println("listening on", listener.Addr())
	for n := 0; ctx.Err() == nil; n++ {
		if err := w.put(ctx, fmt.Sprint(n)); err != nil {
			log.Print(err) // unless it was refused, it may have been written
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil
}

// A writer has a client that is logged in, and one for readiness.
type writer struct {
	settings *settings
	client   atomic.Pointer[clientv3.Client] // nil if nobody is logged in
	probes   *clientv3.Client
}

// put writes, with a new client if the password of the last one is no longer right: a client
// has the same one for life, and New fails if it can't log in.
func (w *writer) put(ctx context.Context, value string) error {
	c := w.client.Load()
	if c == nil {
		cfg := w.settings.config(grpc.WithChainUnaryInterceptor(count))
		var err error
		if cfg.Password, err = w.settings.password(); err != nil {
			return err
		}
		cfg.Username = w.settings.Username
		if c, err = clientv3.New(cfg); err != nil {
			return err
		}
		w.client.Store(c)
	}
	attempt, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := c.Put(attempt, "observed/n", value)
	if errors.Is(err, rpctypes.ErrAuthFailed) {
		w.client.Store(nil)
		return errors.Join(err, c.Close())
	}
	return err
}

var calls = prometheus.NewCounterVec(prometheus.CounterOpts{
	Name: "observed_calls_total",
	Help: "Requests that have ended, by their outcome: ok, error (certainly not applied) or ambiguous (a write that may have been applied).",
}, []string{"grpc_service", "grpc_method", "outcome"})

// count counts the attempts of requests: clientv3 has no hook around the requests themselves.
func count(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	err := invoke(ctx, method, req, reply, conn, opts...)
	outcome := "ok"
	switch {
	case err != nil && method == pb.KV_Put_FullMethodName && !refused(err):
		outcome = "ambiguous"
	case err != nil:
		outcome = "error"
	}
	service, name := path.Split(strings.TrimPrefix(method, "/"))
	calls.WithLabelValues(strings.TrimSuffix(service, "/"), name, outcome).Inc()
	return err
}

// ready answers readiness probes: the user must be logged in, and a member must serve.
func (w *writer) ready(to http.ResponseWriter, r *http.Request) {
	type endpoint struct {
		Address string `json:"address"`
		Error   string `json:"error,omitempty"`
	}
	var body struct {
		Ready     bool       `json:"ready"`
		Error     string     `json:"error,omitempty"`
		Endpoints []endpoint `json:"endpoints"`
	}
	ctx, cancel := context.WithTimeout(r.Context(), 800*time.Millisecond)
	defer cancel()
	body.Endpoints = make([]endpoint, len(w.settings.Endpoints))
	var probing sync.WaitGroup
	for i, address := range w.settings.Endpoints {
		probing.Go(func() {
			body.Endpoints[i].Address = address
			if err := w.probe(ctx, address); err != nil {
				body.Endpoints[i].Error = err.Error()
			}
		})
	}
	probing.Wait()
	code := http.StatusOK
	switch {
	case w.client.Load() == nil:
		body.Error = "not logged in"
	case !slices.ContainsFunc(body.Endpoints, func(e endpoint) bool { return e.Error == "" }):
		body.Error = "no member serves"
	default:
		body.Ready = true
	}
	if !body.Ready {
		code = http.StatusServiceUnavailable
	}
	to.Header().Set("Content-Type", "application/json")
	to.Header().Set("Cache-Control", "no-store")
	to.WriteHeader(code)
	_ = json.NewEncoder(to).Encode(body)
}

// probe asks one member for a linearizable read. Members look at the user after it.
func (w *writer) probe(ctx context.Context, endpoint string) error {
	conn, err := w.probes.Dial(endpoint)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = pb.NewKVClient(conn).Range(ctx, &pb.RangeRequest{Key: []byte{0}, CountOnly: true})
	if err = rpctypes.Error(err); errors.Is(err, rpctypes.ErrUserEmpty) || errors.Is(err, rpctypes.ErrPermissionDenied) {
		return nil
	}
	return err
}

// Settings are those of the file.
type settings struct {
	Endpoints    []string `yaml:"endpoints"`
	CA           string   `yaml:"trusted-ca-file"`
	Cert         string   `yaml:"cert-file"`
	Key          string   `yaml:"key-file"`
	ServerName   string   `yaml:"server-name"`
	SkipVerify   bool     `yaml:"insecure-skip-tls-verify"`
	Username     string   `yaml:"username"`
	Password     string   `yaml:"password"`
	PasswordFile string   `yaml:"password-file"`
}

// load reads the file. What etcdctl's variables say replaces what it has.
func load(file string) (*settings, error) {
	text, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer text.Close()
	var s settings
	decoder := yaml.NewDecoder(text)
	decoder.KnownFields(true)
	if err := decoder.Decode(&s); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	s.CA = cmp.Or(os.Getenv("ETCDCTL_CACERT"), s.CA)
	s.Cert = cmp.Or(os.Getenv("ETCDCTL_CERT"), s.Cert)
	s.Key = cmp.Or(os.Getenv("ETCDCTL_KEY"), s.Key)
	user, password := os.Getenv("ETCDCTL_USER"), os.Getenv("ETCDCTL_PASSWORD")
	if password == "" {
		user, password, _ = strings.Cut(user, ":")
	}
	s.Username = cmp.Or(user, s.Username)
	if password != "" {
		s.Password, s.PasswordFile = password, ""
	}
	if endpoints := os.Getenv("ETCDCTL_ENDPOINTS"); endpoints != "" {
		s.Endpoints = strings.FieldsFunc(endpoints, func(r rune) bool { return r == ',' })
	}
	if domain := os.Getenv("ETCDCTL_DISCOVERY_SRV"); domain != "" {
		found, err := srv.GetClient("etcd-client", domain, os.Getenv("ETCDCTL_DISCOVERY_SRV_NAME"))
		if err != nil {
			return nil, err
		}
		s.Endpoints, s.ServerName = found.Endpoints, domain
	}
	if text := os.Getenv("ETCDCTL_INSECURE_SKIP_TLS_VERIFY"); text != "" {
		if s.SkipVerify, err = strconv.ParseBool(text); err != nil {
			return nil, fmt.Errorf("ETCDCTL_INSECURE_SKIP_TLS_VERIFY: %w", err)
		}
	}
	return &s, nil
}

// password reads the file with the password, if there is one.
func (s *settings) password() (string, error) {
	if s.PasswordFile == "" {
		return s.Password, nil
	}
	text, err := os.ReadFile(s.PasswordFile)
	return strings.TrimRight(string(text), "\r\n"), err
}

// config is the configuration of a client without a user.
func (s *settings) config(options ...grpc.DialOption) clientv3.Config {
	https := func(endpoint string) bool { return strings.HasPrefix(endpoint, "https://") }
	if slices.ContainsFunc(s.Endpoints, https) || s.CA != "" || s.Cert != "" || s.ServerName != "" || s.SkipVerify {
		options = append(options, grpc.WithTransportCredentials(files{
			credentials.NewTLS(nil),
			transport.TLSInfo{TrustedCAFile: s.CA, CertFile: s.Cert, KeyFile: s.Key, ServerName: s.ServerName, InsecureSkipVerify: s.SkipVerify},
		}))
	}
	return clientv3.Config{
		Endpoints:            s.Endpoints,
		DialTimeout:          5 * time.Second,
		DialKeepAliveTime:    10 * time.Second,
		DialKeepAliveTimeout: 3 * time.Second,
		DialOptions:          options,
		Logger:               zap.NewNop(),
	}
}

// files are read for each connection.
type files struct {
	credentials.TransportCredentials // for what does not depend on them
	info                             transport.TLSInfo
}

func (f files) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	cfg, err := f.info.ClientConfig()
	if err != nil {
		return nil, nil, err
	}
	return credentials.NewTLS(cfg).ClientHandshake(ctx, authority, conn)
}

func (f files) Clone() credentials.TransportCredentials { return f }

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

package clientv3

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/internal/endpoint"
)

// native converts cfg to the configuration of package client, which is stricter.
func (cfg *Config) native() client.Config {
	secure, endpoints := adapt(cfg.Endpoints, cfg.TLS)
	options := cfg.DialOptions
	if secure == nil {
		options = withoutInsecure(options)
	}
	n := client.Config{
		AllowClusterChange: true, // like clientv3, which does not check

		Endpoints:            endpoints,
		TLS:                  secure,
		Token:                cfg.Token,
		DialTimeout:          max(cfg.DialTimeout, 0),
		DialKeepAliveTime:    cfg.DialKeepAliveTime,
		DialKeepAliveTimeout: max(cfg.DialKeepAliveTimeout, 0),
		PermitWithoutStream:  cfg.PermitWithoutStream && cfg.DialKeepAliveTime >= 0,
		MaxCallSendMsgSize:   max(cfg.MaxCallSendMsgSize, 0),
		Logger:               newLogger(cfg),
		DialOptions:          options,
	}
	if cfg.Username != "" && cfg.Password != "" {
		n.Username, n.Password = cfg.Username, cfg.Password // a user without a password, or the reverse, counts as none
	}
	if n.DialKeepAliveTime > 0 {
		n.DialKeepAliveTime = max(n.DialKeepAliveTime, 10*time.Second)
		if n.DialKeepAliveTimeout == 0 {
			n.DialKeepAliveTimeout = 20 * time.Second // gRPC's default, as in clientv3
		}
	}
	if size := cfg.MaxCallRecvMsgSize; size > 0 {
		// This limit may be below that of requests, which package client refuses.
		limit := grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(size))
		n.DialOptions = append([]grpc.DialOption{limit}, options...)
	}
	return n
}

// withoutInsecure leaves out credentials that secure nothing, which clientv3's users add for plain
// endpoints. Package client refuses all credentials, since each endpoint says whether it is secured.
func withoutInsecure(opts []grpc.DialOption) []grpc.DialOption {
	return slices.DeleteFunc(slices.Clone(opts), func(o grpc.DialOption) bool {
		// gRPC makes no client without credentials, and none that would send a secret over
		// insecure ones. It connects to nothing.
		return o != nil && makes(o) && !makes(o, grpc.WithPerRPCCredentials(secret{}))
	})
}

func makes(opts ...grpc.DialOption) bool {
	cc, err := grpc.NewClient("passthrough:", opts...)
	if err == nil {
		_ = cc.Close() // can't fail
	}
	return err == nil
}

// secret is a secret that must not be sent in the clear.
type secret struct{}

func (secret) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return nil, nil
}
func (secret) RequireTransportSecurity() bool { return true }

// changed is native after NewWith's function.
func (cfg *Config) changed(change func(*client.Config)) (client.Config, error) {
	n := cfg.native()
	endpoints := slices.Clone(n.Endpoints)
	if change(&n); !slices.Equal(n.Endpoints, endpoints) {
		return n, fmt.Errorf("clientv3: NewWith: the function changed the endpoints to %q: set them in clientv3.Config", n.Endpoints)
	}
	return n, nil
}

// adapt decides by the first endpoint whether the client uses TLS, as clientv3
// does. It makes all endpoints agree, since package client would refuse a mix.
func adapt(endpoints []string, cfg *tls.Config) (*tls.Config, []string) {
	secure, out := endpoint.Adapt(endpoints, cfg != nil)
	switch {
	case !secure:
		cfg = nil
	case cfg == nil:
		cfg = &tls.Config{MinVersion: tls.VersionTLS12}
	case len(cfg.NextProtos) > 0:
		cfg = cfg.Clone()
		cfg.NextProtos = nil // gRPC sets its own
	}
	return cfg, out
}

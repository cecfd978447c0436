package clientv3

import (
	"crypto/tls"
	"net/url"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
)

// native is cfg as package client has it, which is stricter.
func (cfg *Config) native() client.Config {
	secure, endpoints := adapt(cfg.Endpoints, cfg.TLS)
	n := client.Config{
		AllowClusterChange: true, // as clientv3, which does not look

		Endpoints:            endpoints,
		TLS:                  secure,
		Token:                cfg.Token,
		DialTimeout:          max(cfg.DialTimeout, 0),
		DialKeepAliveTime:    cfg.DialKeepAliveTime,
		DialKeepAliveTimeout: max(cfg.DialKeepAliveTimeout, 0),
		PermitWithoutStream:  cfg.PermitWithoutStream && cfg.DialKeepAliveTime >= 0,
		MaxCallSendMsgSize:   max(cfg.MaxCallSendMsgSize, 0),
		Logger:               newLogger(cfg),
		DialOptions:          cfg.DialOptions,
	}
	if cfg.Username != "" && cfg.Password != "" {
		n.Username, n.Password = cfg.Username, cfg.Password // one without the other is none
	}
	if n.DialKeepAliveTime > 0 {
		n.DialKeepAliveTime = max(n.DialKeepAliveTime, 10*time.Second)
	}
	if size := cfg.MaxCallRecvMsgSize; size > 0 {
		// It may be less than the largest request, which package client refuses.
		limit := grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(size))
		n.DialOptions = append([]grpc.DialOption{limit}, cfg.DialOptions...)
	}
	return n
}

// adapt decides by the first endpoint whether the client uses TLS, as clientv3 does,
// and makes all endpoints agree, where package client would refuse them.
func adapt(endpoints []string, secure *tls.Config) (*tls.Config, []string) {
	var scheme string
	if len(endpoints) > 0 {
		scheme, _, _ = strings.Cut(endpoints[0], ":")
	}
	switch {
	case scheme == "http":
		secure = nil
	case (scheme == "https" || scheme == "unixs") && secure == nil:
		secure = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if secure != nil && len(secure.NextProtos) > 0 {
		secure = secure.Clone()
		secure.NextProtos = nil // gRPC's own
	}
	out := make([]string, len(endpoints))
	for i, e := range endpoints {
		out[i] = adaptEndpoint(e, secure != nil)
	}
	return secure, out
}

func adaptEndpoint(endpoint string, secure bool) string {
	scheme, rest, ok := strings.Cut(endpoint, ":")
	switch {
	case ok && (scheme == "unix" || scheme == "unixs"):
		if path, legacy := strings.CutPrefix(rest, "//"); legacy && !strings.HasPrefix(path, "/") {
			rest = path // unix://name is a relative path
		}
		return "unix:" + rest
	case ok && (scheme == "http" || scheme == "https"):
		if u, err := url.Parse(endpoint); err == nil && u.Host != "" {
			rest = "//" + u.Host // URLs of members may end in a slash
		}
		if secure {
			return "https:" + rest
		}
		return "http:" + rest
	}
	return endpoint
}

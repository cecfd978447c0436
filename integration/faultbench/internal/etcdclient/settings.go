package etcdclient

import (
	"crypto/tls"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"
)

// Settings are those of the bench. What is zero is clientv3's default.
type Settings struct {
	Endpoints          []string
	TLS                *tls.Config
	Username, Password string
	// LoginTimeout bounds the first authentication.
	LoginTimeout time.Duration

	KeepAliveTime, KeepAliveTimeout time.Duration
	DialOptions                     []grpc.DialOption
}

func silent() *zap.Logger { return zap.NewNop() }

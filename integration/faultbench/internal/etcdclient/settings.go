package etcdclient

import (
	"crypto/tls"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"
)

// Settings are the settings that the bench uses. Zero values mean clientv3's
// defaults.
type Settings struct {
	Endpoints          []string
	TLS                *tls.Config
	Username, Password string
	// LoginTimeout limits the first login.
	LoginTimeout time.Duration

	KeepAliveTime, KeepAliveTimeout time.Duration
	DialOptions                     []grpc.DialOption
}

func silent() *zap.Logger { return zap.NewNop() }

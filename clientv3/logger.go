package clientv3

import (
	"context"
	"log/slog"
	"os"
	"sync/atomic"

	"google.golang.org/grpc/grpclog"
)

// debugVariable turns on logging in programs that configure no logger.
const debugVariable = "ETCD_CLIENT_DEBUG"

// SetLogger sets gRPC's logger.
//
// Deprecated: use grpclog.SetLoggerV2, which it calls.
func SetLogger(l grpclog.LoggerV2) { grpclog.SetLoggerV2(l) }

// ClientLogLevel returns the level in the environment variable ETCD_CLIENT_DEBUG:
// debug, info, warn or error. For any other value it returns info.
func ClientLogLevel() slog.Level {
	var level slog.Level
	if err := level.UnmarshalText([]byte(os.Getenv(debugVariable))); err != nil {
		return slog.LevelInfo
	}
	return level
}

// newLogger returns the configured logger, or one that writes to standard error
// if the configuration or the environment requests that.
func newLogger(cfg *Config) *slog.Logger {
	switch {
	case cfg.Logger != nil:
		return cfg.Logger
	case cfg.LogConfig != nil:
		return slog.New(slog.NewJSONHandler(os.Stderr, cfg.LogConfig))
	case os.Getenv(debugVariable) != "":
		return slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: ClientLogLevel()}))
	default:
		return slog.New(slog.DiscardHandler)
	}
}

// beginner is the handler of a client that begins. Until the client has its first member, its
// records of level Info become Debug: clientv3 logs nothing then, and a command-line tool
// shows its user whatever is Info.
type beginner struct {
	slog.Handler

	begun *atomic.Bool
}

// begins returns the logger of a client that has not begun yet.
func begins(lg *slog.Logger) *slog.Logger {
	return slog.New(beginner{lg.Handler(), new(atomic.Bool)})
}

// Handle implements slog.Handler.
func (b beginner) Handle(ctx context.Context, r slog.Record) error {
	if r.Level == slog.LevelInfo && !b.begun.Load() {
		if r.Message == "etcd: active endpoint changed" {
			b.begun.Store(true)
		}
		if r.Level = slog.LevelDebug; !b.Enabled(ctx, r.Level) {
			return nil
		}
	}
	return b.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (b beginner) WithAttrs(attrs []slog.Attr) slog.Handler {
	return beginner{b.Handler.WithAttrs(attrs), b.begun}
}

// WithGroup implements slog.Handler.
func (b beginner) WithGroup(name string) slog.Handler {
	return beginner{b.Handler.WithGroup(name), b.begun}
}

package clientv3

import (
	"log/slog"
	"os"

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

package clientv3

import (
	"log/slog"
	"os"

	"google.golang.org/grpc/grpclog"
)

// debugVariable switches on logging for programs that configure none.
const debugVariable = "ETCD_CLIENT_DEBUG"

// SetLogger sets gRPC's logger.
//
// Deprecated: it is grpclog.SetLoggerV2.
func SetLogger(l grpclog.LoggerV2) { grpclog.SetLoggerV2(l) }

// ClientLogLevel is the level that the environment variable ETCD_CLIENT_DEBUG names:
// debug, info, warn or error; info if it names none.
func ClientLogLevel() slog.Level {
	var level slog.Level
	if err := level.UnmarshalText([]byte(os.Getenv(debugVariable))); err != nil {
		return slog.LevelInfo
	}
	return level
}

// newLogger is the logger of a configuration: its own, or one on standard error
// where it or the environment asks for it.
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

package client

import "log/slog"

// HandOver is handOver.
func HandOver(l *slog.Logger) *slog.Logger { return handOver(l) }

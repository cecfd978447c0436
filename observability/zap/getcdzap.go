// Package getcdzap converts between slog's loggers, which getcd uses, and zap's. It is a
// module of its own, so that getcd does not depend on zap.
//
//	cfg.Logger = getcdzap.New(logger)
package getcdzap

import (
	"context"
	"log/slog"

	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"
	"go.uber.org/zap/zapcore"
)

// New returns a slog logger that writes to lg, with lg's level, fields and name.
// If lg is nil, New returns nil, which means no logger in a Config.
func New(lg *zap.Logger) *slog.Logger {
	if lg == nil {
		return nil
	}
	return slog.New(zapslog.NewHandler(lg.Core(), zapslog.WithName(lg.Name())))
}

// FromSlog returns a zap logger that writes to lg, with lg's level. Entries above
// zap's ErrorLevel are written as errors; zap then panics or exits as usual. If
// lg is nil, FromSlog returns nil.
func FromSlog(lg *slog.Logger) *zap.Logger {
	if lg == nil {
		return nil
	}
	return zap.New(core{lg.Handler()})
}

// core is a zapcore.Core that writes to a handler.
type core struct{ handler slog.Handler }

func level(l zapcore.Level) slog.Level {
	switch {
	case l <= zapcore.DebugLevel:
		return slog.LevelDebug
	case l == zapcore.InfoLevel:
		return slog.LevelInfo
	case l == zapcore.WarnLevel:
		return slog.LevelWarn
	default:
		return slog.LevelError
	}
}

func (c core) Enabled(l zapcore.Level) bool {
	return c.handler.Enabled(context.Background(), level(l))
}

func (c core) With(fields []zapcore.Field) zapcore.Core {
	for i, f := range fields {
		if f.Type == zapcore.NamespaceType {
			// Everything that is logged from here on is inside this group.
			named := core{c.handler.WithAttrs(attrs(fields[:i])).WithGroup(f.Key)}
			return named.With(fields[i+1:])
		}
	}
	return core{c.handler.WithAttrs(attrs(fields))}
}

func (c core) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

func (c core) Write(e zapcore.Entry, fields []zapcore.Field) error {
	r := slog.NewRecord(e.Time, level(e.Level), e.Message, e.Caller.PC)
	if e.LoggerName != "" {
		r.AddAttrs(slog.String("logger", e.LoggerName))
	}
	r.AddAttrs(attrs(fields)...)
	return c.handler.Handle(context.Background(), r)
}

func (core) Sync() error { return nil }

// attrs converts the fields in order. A namespace becomes a group of the fields
// after it.
func attrs(fields []zapcore.Field) []slog.Attr {
	var out []slog.Attr
	for i, f := range fields {
		if f.Type == zapcore.NamespaceType {
			return append(out, slog.GroupAttrs(f.Key, attrs(fields[i+1:])...))
		}
		encoder := zapcore.NewMapObjectEncoder()
		f.AddTo(encoder)
		for key, value := range encoder.Fields { // there are several for an error, or for an inlined field
			out = append(out, slog.Any(key, value))
		}
	}
	return out
}

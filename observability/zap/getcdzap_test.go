package getcdzap_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/getcd/getcd/observability/zap"
)

func TestNew(t *testing.T) {
	core, heard := observer.New(zap.InfoLevel)
	lg := getcdzap.New(zap.New(core).Named("etcd").With(zap.String("who", "me")))
	lg.Debug("too low")
	lg.With("a", 1).Warn("something happens", slog.Group("g", "b", true))
	if heard.Len() != 1 {
		t.Fatalf("zap has heard %v, want one entry", heard.All())
	}
	e := heard.All()[0]
	if e.Message != "something happens" || e.Level != zap.WarnLevel || e.LoggerName != "etcd" {
		t.Errorf("the entry is %+v", e.Entry)
	}
	got := e.ContextMap()
	if got["who"] != "me" || got["a"] != int64(1) || got["g"] == nil {
		t.Errorf("the fields are %v", got)
	}
	if getcdzap.New(nil) != nil {
		t.Error("no logger has become one")
	}
}

func TestFromSlog(t *testing.T) {
	var out bytes.Buffer
	plain := &slog.HandlerOptions{Level: slog.LevelInfo, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
	lg := getcdzap.FromSlog(slog.New(slog.NewTextHandler(&out, plain)))
	lg.Debug("too low")
	lg.Named("etcd").With(zap.Int("a", 1)).Info("one", zap.Strings("b", []string{"x", "y"}), zap.Skip(), zap.Error(errors.New("no")))
	lg.With(zap.Namespace("n"), zap.Int("c", 2)).Warn("two", zap.Int("d", 3))
	lg.Error("three", zap.Int("e", 4), zap.Namespace("n"), zap.Int("f", 5))
	lg.Check(zapcore.DPanicLevel, "four").Write()
	want := strings.Join([]string{
		`level=INFO msg=one a=1 logger=etcd b="[x y]" error=no`,
		`level=WARN msg=two n.c=2 n.d=3`,
		`level=ERROR msg=three e=4 n.f=5`,
		`level=ERROR msg=four`,
		``,
	}, "\n")
	if out.String() != want {
		t.Errorf("slog has heard\n%s\nwant\n%s", &out, want)
	}
	if getcdzap.FromSlog(nil) != nil {
		t.Error("no logger has become one")
	}
}

package client_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/getcd/getcd/client"
)

// handler is a slog.Handler that does something else first.
type handler struct {
	slog.Handler

	first func()
}

func (h handler) Enabled(ctx context.Context, l slog.Level) bool {
	h.first()
	return h.Handler.Enabled(ctx, l)
}

func logging(h slog.Handler) func(*client.Config) {
	return func(cfg *client.Config) { cfg.Logger = slog.New(h) }
}

// A handler that calls the client gets its answers, and the records come in order.
func TestLoggerCallsTheClient(t *testing.T) {
	var shared atomic.Pointer[client.Client]
	got := new(records)
	h := handler{got, func() {
		if c := shared.Load(); c != nil {
			c.Endpoints()
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			if _, err := c.Get(ctx, "k"); err != nil && !errors.Is(err, client.ErrClosed) {
				t.Errorf("the handler's call: %v", err)
			}
		}
	}}
	run(t, 3, logging(h), func(r *rig) {
		shared.Store(r.Client)
		got.take()
		r.cluster.Member(0).Kill()
		synctest.Wait()
		if err := r.put(r.timeout(5*time.Second), "k", "v"); err != nil {
			t.Errorf("put: %v", err)
		}
		time.Sleep(time.Second)
		changed := slices.DeleteFunc(loud(got.take()), func(s string) bool { return !strings.Contains(s, "active endpoint changed") })
		if len(changed) == 0 || !strings.Contains(changed[0], "from=member-1:2379; to=member-2:2379") {
			t.Errorf("records %q, want the change from the first to the second member", changed)
		}
	})
}

// A handler that blocks holds up the log, and nothing else.
func TestLoggerBlocks(t *testing.T) {
	got := new(records)
	var release chan struct{}
	var logger *slog.Logger
	run(t, 3, func(cfg *client.Config) {
		release = make(chan struct{})
		cfg.Logger = slog.New(handler{got, func() { <-release }})
		logger = client.HandOver(cfg.Logger)
		cfg.Logger = logger
	}, func(r *rig) {
		for i := range 3 {
			r.cluster.Member(i).Kill()
			synctest.Wait()
			if err := r.put(r.timeout(5*time.Second), "k", "v"); err != nil && i < 2 {
				t.Errorf("put %d: %v", i, err)
			}
			r.cluster.Member(i).Start()
		}
		for range 3000 {
			logger.Info("flood")
		}
		start := time.Now()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("Close took %v, want at most 1 s", took)
		}
		close(release)
		synctest.Wait()
		all := got.take()
		loss := slices.IndexFunc(all, func(s string) bool { return strings.HasPrefix(s, "WARN etcd: log records dropped; records=") })
		if loss != len(all)-1 || len(all) != 1026 { // the one in the handler, those that waited, and the loss
			t.Errorf("%d records, the loss is number %d, want it last of 1026: %q", len(all), loss, all[max(0, len(all)-3):])
		}
	})
}

// Close waits for the last records, but not for a handler that calls Close.
func TestLoggerAtClose(t *testing.T) {
	for _, closes := range []bool{false, true} {
		t.Run(fmt.Sprint(closes), func(t *testing.T) {
			got := new(records)
			var shared atomic.Pointer[client.Client]
			h := handler{got, func() {
				time.Sleep(10 * time.Millisecond)
				if c := shared.Load(); closes && c != nil {
					_ = c.Close()
				}
			}}
			run(t, 1, logging(h), func(r *rig) {
				time.Sleep(time.Second)
				got.take()
				shared.Store(r.Client)
				r.cluster.Member(0).Kill()
				synctest.Wait()
				start := time.Now()
				_ = r.Close()
				if took := time.Since(start); took > 2*time.Second || !closes && took > 500*time.Millisecond {
					t.Errorf("Close took %v", took)
				}
				if all := got.take(); !closes && len(all) == 0 {
					t.Error("the records were not delivered when Close returned")
				}
			})
		})
	}
}

// What slog's own handlers do with attributes, groups and levels stays as it is.
func TestLoggerKeepsTheHandlersWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		text := slog.NewTextHandler(&out, &slog.HandlerOptions{
			Level: slog.LevelWarn,
			ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey && len(groups) == 0 {
					return slog.Attr{}
				}
				return a
			},
		})
		l := client.HandOver(slog.New(text))
		if again := client.HandOver(l); again != l {
			t.Error("a logger was wrapped twice")
		}
		l.Info("not this")
		l.With("a", 1).WithGroup("g").Warn("x", "b", 2)
		l.Warn("y")
		synctest.Wait()
		if want := "level=WARN msg=x a=1 g.b=2\nlevel=WARN msg=y\n"; out.String() != want {
			t.Errorf("got %q, want %q", out.String(), want)
		}
	})
}

// A handler that ends its goroutine loses one record.
func TestLoggerSurvivesGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := new(records)
		n := 0
		l := client.HandOver(slog.New(handler{got, func() {
			if n++; n == 1 {
				runtime.Goexit()
			}
		}}))
		l.Info("1")
		l.Info("2")
		synctest.Wait()
		l.Info("3")
		synctest.Wait()
		if all := got.take(); fmt.Sprint(all) != "[INFO 2 INFO 3]" {
			t.Errorf("records %q, want 2 and 3", all)
		}
	})
}

// records is a slog.Handler that keeps what it is given, as text without time.
type records struct {
	mu   sync.Mutex
	list []string
}

func (r *records) Enabled(context.Context, slog.Level) bool { return true }
func (r *records) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *records) WithGroup(string) slog.Handler            { return r }

func (r *records) Handle(_ context.Context, rec slog.Record) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %s", rec.Level, rec.Message)
	rec.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&b, "; %s=%v", a.Key, a.Value)
		return true
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, b.String())
	return nil
}

// take returns the records since it was last called.
func (r *records) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.list
	r.list = nil
	return out
}

// loud leaves out what is below the level Info.
func loud(records []string) []string {
	return slices.DeleteFunc(records, func(r string) bool { return strings.HasPrefix(r, "DEBUG ") })
}

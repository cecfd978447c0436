package client_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/client"
)

// notes is an observer that writes down what it is told, in lines.
type notes struct {
	mu    sync.Mutex
	lines []string
	open  int
}

type noteKey struct{}

func (n *notes) add(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, fmt.Sprintf(format, args...))
}

// take returns the lines since it was called last.
func (n *notes) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.lines
	n.lines = nil
	return l
}

func (n *notes) ClientOpened(*client.Client) { n.mu.Lock(); n.open++; n.mu.Unlock() }
func (n *notes) ClientClosed(*client.Client) { n.mu.Lock(); n.open--; n.mu.Unlock() }

func (n *notes) BeginCall(ctx context.Context, c *client.Call) context.Context {
	return context.WithValue(ctx, noteKey{}, op(c.Method))
}

func (n *notes) EndCall(ctx context.Context, c *client.Call, err error) {
	n.add("%v ends: %v after %d attempts%s", ctx.Value(noteKey{}), status.Code(err), c.Attempts, map[bool]string{true: ", ambiguous"}[client.IsAmbiguous(err)])
}

func (n *notes) BeginAttempt(ctx context.Context, a *client.Attempt) context.Context {
	return context.WithValue(ctx, noteKey{}, fmt.Sprintf("%v/%d", ctx.Value(noteKey{}), a.Number))
}

func (n *notes) EndAttempt(ctx context.Context, a *client.Attempt, err error) {
	var what []string
	if a.Hedge {
		what = append(what, "hedge")
	}
	if a.Superseded {
		what = append(what, "superseded")
	}
	n.add("%v at %s: %v %v", ctx.Value(noteKey{}), a.Endpoint, status.Code(err), what)
}

func op(method string) string { return method[strings.LastIndexByte(method, '/')+1:] }

func wantLines(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\ngot  %s\nwant %s", what, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

// An observer is told of calls and their attempts: first ones, retries, hedges, copies
// that were overtaken, and writes that may have been applied.
func TestObserver(t *testing.T) {
	n := &notes{}
	run(t, 2, func(cfg *client.Config) { cfg.Observers = []client.Observer{n} }, func(r *rig) {
		t := r.t
		if n.open != 1 {
			t.Errorf("ClientOpened was called %d times, want once", n.open)
		}
		a, b := r.cluster.Member(0).Addr(), r.cluster.Member(1).Addr()
		if err := r.put(r.timeout(time.Minute), "k", "v"); err != nil {
			t.Fatal(err)
		}
		wantLines(t, "a put", n.take(), []string{"Put/1 at " + a + ": OK []", "Put ends: OK after 1 attempts"})

		r.cluster.Member(0).Intercept(once(pb.KV_Put_FullMethodName, refuse(rpctypes.ErrGRPCTimeout)))
		if err := r.put(r.timeout(time.Minute), "k", "v"); !client.IsAmbiguous(err) {
			t.Fatalf("got %v, want an ambiguous error", err)
		}
		wantLines(t, "an ambiguous put", n.take(), []string{"Put/1 at " + a + ": Unavailable []", "Put ends: Unavailable after 1 attempts, ambiguous"})

		r.cluster.Member(0).Intercept(once(pb.KV_Range_FullMethodName, func(ctx context.Context, _ string, _ any, _ func() (any, error)) (any, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}))
		if _, err := r.get(r.timeout(time.Minute)); err != nil {
			t.Fatal(err)
		}
		wantLines(t, "a hedged read", n.take(), []string{
			"Range/2 at " + b + ": OK [hedge]", "Range/1 at " + a + ": Canceled [superseded]", "Range ends: OK after 2 attempts",
		})

		if err := r.put(context.Background(), "k", strings.Repeat("x", 3<<20)); err == nil {
			t.Error("a put of 3 MiB succeeded")
		}
		wantLines(t, "a put that is too large", n.take(), []string{"Put/1 at " + a + ": ResourceExhausted []", "Put ends: ResourceExhausted after 1 attempts"})
		r.cluster.Member(0).Intercept(once(pb.KV_Put_FullMethodName, refuse(rpctypes.ErrGRPCNoLeader)))
		if err := r.put(r.timeout(time.Minute), "k", "v"); err != nil {
			t.Fatal(err)
		}
		got := n.take()
		if len(got) != 3 || !strings.HasPrefix(got[1], "Put/2 at ") {
			t.Errorf("a put that is sent again: got %q, want a second attempt", got)
		}

		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if n.open != 0 {
			t.Errorf("ClientClosed was called %d times too few", n.open)
		}
	})
}

// A stream is one call from its opening to its end, whoever ends it.
func TestObserverOfStreams(t *testing.T) {
	n := &notes{}
	run(t, 2, func(cfg *client.Config) { cfg.Observers = []client.Observer{n} }, func(r *rig) {
		t := r.t
		a, b := r.cluster.Member(0).Addr(), r.cluster.Member(1).Addr()
		ctx, cancel := context.WithCancel(t.Context())
		events := r.Watch(ctx, "k")
		synctest.Wait()
		wantLines(t, "an open stream", n.take(), nil)
		r.cluster.Member(0).Kill()
		synctest.Wait()
		if err := r.put(r.timeout(time.Minute), "k", "v"); err != nil {
			t.Fatal(err)
		}
		if resp := <-events; len(resp.Events) != 1 {
			t.Fatalf("got %+v, want the event", resp)
		}
		got := n.take()
		want := []string{"Watch/1 at " + a + ": Unavailable []", "Watch ends: Unavailable after 1 attempts"}
		if len(got) < 2 || !slices.Equal(got[:2], want) {
			t.Errorf("a member was killed: got %q, want %q first", got, want)
		}
		cancel()
		synctest.Wait()
		got = n.take()
		want = []string{"Watch/1 at " + b + ": Canceled []", "Watch ends: Canceled after 1 attempts"}
		wantLines(t, "the watch was ended", got, want)
	})
}

func TestObserverMisuse(t *testing.T) {
	_, err := client.New(client.Config{Endpoints: []string{"127.0.0.1:1"}, Observers: []client.Observer{nil}})
	if err == nil || !strings.Contains(err.Error(), "Config.Observers[0] is nil: leave it out") {
		t.Errorf("got %v, want that the observer is nil", err)
	}
}

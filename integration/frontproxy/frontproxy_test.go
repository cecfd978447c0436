package frontproxy_test

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	lockpb "go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/frontproxy"
)

// mostGap is the longest allowed time without any success while a member fails
// for 2 s. The client has a second connection through the proxy, which may lead
// to another member, and an election takes a second at most; the rest is for busy
// machines. A write stays with a silent member for 2 s
// (client.Config.WritePatience). If an election has lost a write, its member
// reports that after 7 s at the latest (etcd's ReqTimeout): through a proxy that
// forwards requests to any member, the client cannot see that the write was lost.
var mostGap = map[string]time.Duration{"read": 5 * time.Second, "put": 8 * time.Second}

// some returns only the first and the last of kinds when time is short.
func some(kinds []frontproxy.Kind) []frontproxy.Kind {
	if !testing.Short() {
		return kinds
	}
	return []frontproxy.Kind{kinds[0], kinds[len(kinds)-1]}
}

// HAProxy in h2 mode is the difficult case. If a member dies during a request on
// a connection that was used before, HAProxy resets the stream with
// REFUSED_STREAM. That code means that nothing was processed (RFC 9113, section
// 8.7), but the request may have been applied.
func TestMembersFailBehind(t *testing.T) {
	for _, kind := range some(frontproxy.Kinds()) {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			c := startCluster(t, true)
			p := behind(t, c, frontproxy.Config{Kind: kind})
			direct := dial(t, c.Endpoints()...)
			membersFail(t, c, func(t *testing.T, prefix string) *load {
				t.Helper()
				return startLoad(t, dial(t, p.Address()), prefix)
			}, func(t *testing.T, l *load) {
				t.Helper()
				l.stop(direct)
				for what, gap := range l.gap {
					if gap > mostGap[what] {
						t.Errorf("%v without a %s, want %v at most", gap, what, mostGap[what])
					}
				}
			})
		})
	}
}

// nginx ends a connection with GOAWAY after a number of requests, and HAProxy
// after an idle time. Requests in progress continue.
func TestConnectionsAreRenewed(t *testing.T) {
	c := startCluster(t, false)
	direct := dial(t, c.Endpoints()...)
	for _, kind := range frontproxy.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			p := behind(t, c, frontproxy.Config{Kind: kind, Idle: 2 * time.Second, Requests: 50})
			l := startLoad(t, dial(t, p.Address()), string(kind)+"/")
			time.Sleep(5 * time.Second)
			l.stop(direct)
			if n := len(l.doubts); n > 0 {
				t.Errorf("%d puts are in doubt, although no member failed", n)
			}
		})
	}
}

// If a proxy ends a silent watch, the watch is reopened and misses nothing.
func TestIdleConnectionsAreEnded(t *testing.T) {
	c := startCluster(t, false)
	direct := dial(t, c.Endpoints()...)
	for _, kind := range some(frontproxy.Kinds()) {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			p := behind(t, c, frontproxy.Config{Kind: kind, Idle: time.Second})
			ctx, cancel := context.WithCancel(timeout(t))
			defer cancel()
			key := string(kind)
			events := dial(t, p.Address()).Watch(ctx, key)
			for _, value := range []string{"1", "2"} {
				time.Sleep(4 * time.Second) // longer than the proxy's idle time
				if _, err := direct.Put(timeout(t), key, value); err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				resp := <-events
				if resp.Err() != nil || len(resp.Events) != 1 || string(resp.Events[0].Kv.Value) != value {
					t.Fatalf("got %v, %v, want the one event %q", resp.Events, resp.Err(), value)
				}
				t.Logf("the event came after %v", time.Since(start))
			}
		})
	}
}

// A proxy that reaches no member answers 502 or 503 by itself, and 504 if a
// member is too slow. None of these is an answer of etcd.
func TestProxyAnswersByItself(t *testing.T) {
	c := startCluster(t, false)
	direct := dial(t, c.Endpoints()...)
	for _, kind := range []frontproxy.Kind{frontproxy.HAProxyH2, frontproxy.NginxGRPC} {
		t.Run(string(kind), func(t *testing.T) {
			p := behind(t, c, frontproxy.Config{Kind: kind, Idle: time.Second})
			l := startLoad(t, dial(t, p.Address()), string(kind)+"/")
			allFail(t, c)
			l.stop(direct)
			if !slices.ContainsFunc(l.doubts, func(err error) bool { return byProxy.MatchString(err.Error()) }) {
				t.Errorf("none of %d doubts names a status of the proxy's own", len(l.doubts))
			}
		})
	}
}

var byProxy = regexp.MustCompile(`status code .*\b50[234]\b`)

// A value that the proxy finds too large never reaches a member. The put has
// definitely failed, and the error says who refused it, without the proxy's error
// page.
func TestProxyFindsAValueTooLarge(t *testing.T) {
	c := startCluster(t, false)
	p := behind(t, c, frontproxy.Config{Kind: frontproxy.NginxGRPC, Body: 1 << 20})
	cl := dial(t, p.Address())
	_, err := cl.Put(timeout(t), "k", strings.Repeat("v", 1<<20+1))
	if err == nil || client.IsAmbiguous(err) || !strings.Contains(err.Error(), "413") || strings.Contains(strings.ToLower(err.Error()), "<html") {
		t.Errorf("got %v (ambiguous: %v), want a certain error that names the status 413 and has no page in it", err, client.IsAmbiguous(err))
	}
	if resp, err := cl.Get(timeout(t), "k"); err != nil || len(resp.Kvs) > 0 {
		t.Errorf("then: got %v, %v, want no key", resp, err)
	}
}

// A call that waits by design continues when the proxy renews the connection, as
// nginx does after a number of requests.
func TestWaitingLockOutlivesGOAWAY(t *testing.T) {
	c := startCluster(t, false)
	direct := dial(t, c.Endpoints()...)
	for _, kind := range some(frontproxy.Kinds()) {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			p := behind(t, c, frontproxy.Config{Kind: kind, Requests: 50})
			name := []byte(kind)
			holder, err := lockpb.NewLockClient(direct.Conn()).Lock(timeout(t), &lockpb.LockRequest{Name: name})
			if err != nil {
				t.Fatal(err)
			}
			through := dial(t, p.Address())
			got := make(chan error, 1)
			go func() {
				_, err := lockpb.NewLockClient(through.Conn()).Lock(timeout(t), &lockpb.LockRequest{Name: name})
				got <- err
			}()
			// Longer than the 5 s after which connections that the client had
			// left were once broken.
			for end := time.Now().Add(7 * time.Second); time.Now().Before(end); {
				if _, err := through.Put(timeout(t), "k", "v"); err != nil {
					t.Fatal(err)
				}
				select {
				case err := <-got:
					t.Fatalf("the waiting Lock ended early: %v", err)
				default:
				}
			}
			if _, err := lockpb.NewLockClient(direct.Conn()).Unlock(timeout(t), &lockpb.UnlockRequest{Key: holder.Key}); err != nil {
				t.Fatal(err)
			}
			if err := <-got; err != nil {
				t.Errorf("Lock: %v", err)
			}
		})
	}
}

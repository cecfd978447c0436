package balancer_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/resolver"
)

// records is a slog.Handler that keeps what it is given, as text without time.
type records struct {
	mu   sync.Mutex
	list []string
	odd  bool
}

func (r *records) Enabled(context.Context, slog.Level) bool { return true }
func (r *records) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *records) WithGroup(string) slog.Handler            { return r }

func (r *records) Handle(_ context.Context, rec slog.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "%v %s", rec.Level, rec.Message)
	rec.Attrs(func(a slog.Attr) bool {
		switch v := a.Value.Any().(type) {
		case string, []string, int, int64, uint64, error: // every handler shows these as they are
			fmt.Fprintf(&b, "; %s=%v", a.Key, v)
		default: // a nil error among them
			fmt.Fprintf(&b, "; %s=%v of type %T, WHICH HANDLERS SHOW EACH IN ITS OWN WAY", a.Key, v, v)
			r.odd = true
		}
		return true
	})
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

// logged is run with a client that logs.
func logged(t *testing.T, members int, test func(r *rig, logs *records)) {
	t.Helper()
	logs := new(records)
	run(t, members, func(c *client.Config) { c.Logger = slog.New(logs) }, func(r *rig) {
		r.t.Cleanup(func() { // before the client is closed; it has been waited for
			synctest.Wait()
			logs.mu.Lock()
			defer logs.mu.Unlock()
			if logs.odd {
				r.t.Errorf("a record has a nil or a structure among its values")
			}
		})
		test(r, logs)
	})
}

// Calls leave no record while nothing is wrong, not even at the level Debug.
func TestNoRecordPerCall(t *testing.T) {
	logged(t, 3, func(r *rig, logs *records) {
		t := r.t
		if len(logs.take()) == 0 {
			t.Fatal("no record of the connections: this test would not see one")
		}
		for i := range 500 {
			if err := r.put(r.timeout(time.Second), "k", fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
			if _, err := r.get(r.timeout(time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute) // the bubble's clock
		if got := logs.take(); len(got) > 0 {
			t.Errorf("1,000 calls left %d records, want none:\n%s", len(got), strings.Join(got, "\n"))
		}
	})
}

// Each transition leaves one record, however many calls meet it, and the record
// names the endpoint and the cause.
func TestRecordsOfTransitions(t *testing.T) {
	const (
		connected = "DEBUG etcd: connected; endpoint="
		lost      = "; cause=connection lost"
		silent    = "; cause=the member stopped answering: requests and probes stay unanswered"
		active    = "INFO etcd: active endpoint changed; from="
	)
	// many are 20 reads at once, of which all must be answered.
	many := func(r *rig) {
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if _, err := r.get(r.timeout(time.Minute)); err != nil {
					r.t.Errorf("get: %v", err)
				}
			})
		}
		wg.Wait()
	}
	for name, test := range map[string]struct {
		fault, heal     func(r *rig)
		broken, healthy []string // the records' beginnings
	}{
		"kill": {
			fault: func(r *rig) { r.cluster.Member(0).Kill() },
			heal: func(r *rig) {
				r.cluster.Member(0).Start()
				r.cluster.Member(2).Kill()
				time.Sleep(10 * time.Second) // the bubble's clock
			},
			broken: []string{
				"DEBUG etcd: connection failed; endpoint=" + m1 + lost,
				active + m1 + "; to=" + m2,
				connected + m3,
			},
			healthy: []string{"DEBUG etcd: connection failed; endpoint=" + m3 + lost, connected + m1},
		},
		"silence": {
			fault: func(r *rig) {
				r.cluster.Member(0).Hang()
				if err := r.put(r.timeout(time.Minute), "k", "v"); !client.IsAmbiguous(err) {
					r.t.Errorf("put: got %v, want an error that is ambiguous", err)
				}
			},
			heal: func(r *rig) {
				r.cluster.Member(0).Resume()
				time.Sleep(10 * time.Second)
			},
			broken: []string{
				"DEBUG etcd: endpoint suspected; endpoint=" + m1,
				"DEBUG etcd: endpoint doubted; endpoint=" + m1,
				active + m1 + "; to=" + m2,
				connected + m3,
				"WARN etcd: endpoint severed; endpoint=" + m1 + silent,
				"DEBUG etcd: connection failed; endpoint=" + m1 + silent,
				"WARN etcd: calls given up; endpoint=" + m1 + "; calls=1" + silent,
			},
		},
		"no leader": {
			fault: func(r *rig) { r.cluster.Member(0).SetNoLeader(true) },
			heal: func(r *rig) {
				r.cluster.Member(0).SetNoLeader(false)
				r.cluster.Member(1).Kill()
				r.cluster.Member(2).Kill()
				many(r)
			},
			broken: []string{
				"WARN etcd: endpoint demoted; endpoint=" + m1 + "; cause=rpc error: code = Unavailable desc = etcdserver: no leader",
				active + m1 + "; to=" + m2,
				connected + m3,
			},
			healthy: []string{
				active + m2 + "; to=", // the third, or none for a moment
				"INFO etcd: endpoint serves again; endpoint=" + m1,
			},
		},
		"not serving": {
			fault: func(r *rig) { r.cluster.Member(0).SetServing(false) },
			heal:  func(r *rig) { r.cluster.Member(0).SetServing(true) },
			broken: []string{
				"WARN etcd: endpoint demoted; endpoint=" + m1 + "; cause=it reports NOT_SERVING",
				active + m1 + "; to=" + m2,
				connected + m3,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			logged(t, 3, func(r *rig, logs *records) {
				t := r.t
				r.warm()
				logs.take()
				test.fault(r)
				many(r)
				time.Sleep(3 * time.Second) // the bubble's clock
				synctest.Wait()
				got := logs.take()
				if !slices.EqualFunc(got, test.broken, strings.HasPrefix) {
					t.Errorf("after the fault got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.broken, "\n"))
				}
				test.heal(r)
				synctest.Wait()
				got = logs.take()
				rest := got
				for _, want := range test.healthy {
					i := slices.IndexFunc(rest, func(r string) bool { return strings.HasPrefix(r, want) })
					if i < 0 {
						t.Errorf("after it got\n%s\nwant among it\n%s", strings.Join(got, "\n"), strings.Join(test.healthy, "\n"))
						break
					}
					rest = rest[i+1:]
				}
			})
		})
	}
}

// An outage of all members is one transition down and one up, however long it
// lasts and however often the members are dialed.
func TestRecordsOfAnOutage(t *testing.T) {
	logged(t, 3, func(r *rig, logs *records) {
		t := r.t
		logs.take()
		for _, i := range []int{2, 1, 0} { // the active one last
			r.cluster.Member(i).Kill()
			synctest.Wait()
		}
		time.Sleep(10 * time.Minute) // the bubble's clock
		r.cluster.Member(0).Start()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		want := []string{
			"INFO etcd: active endpoint changed; from=" + m1 + "; to=",
			"WARN etcd: no endpoint can be reached; endpoints=3; cause=" + m1 + ": transport: ",
			"INFO etcd: active endpoint changed; from=; to=" + m1,
		}
		if got := loud(logs.take()); !slices.EqualFunc(got, want, strings.HasPrefix) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		} else if all := got[1]; !strings.Contains(all, "; "+m2+": transport: ") || !strings.Contains(all, "; "+m3+": transport: ") {
			t.Errorf("got %q, want each endpoint and its reason", all)
		}
	})
}

// A member that says NOT_SERVING does not serve again before it says so, whatever
// it answers meanwhile.
func TestRecordsOfHealth(t *testing.T) {
	logged(t, 2, func(r *rig, logs *records) {
		t := r.t
		r.warm()
		logs.take()
		const again = "INFO etcd: endpoint serves again; endpoint=" + m1
		r.cluster.Member(0).SetServing(false)
		for range 100 {
			if _, err := r.get(r.timeout(time.Second)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond) // the bubble's clock
		}
		if got := logs.take(); slices.Contains(got, again) {
			t.Errorf("while it says that it does not serve got\n%s", strings.Join(got, "\n"))
		}
		if s := r.status(m1); s.Demoted == nil {
			t.Errorf("its status is %+v, want it demoted", s)
		}
		r.cluster.Member(0).SetServing(true)
		synctest.Wait()
		if got := logs.take(); !slices.Equal(got, []string{again}) {
			t.Errorf("when it serves got\n%s\nwant\n%s", strings.Join(got, "\n"), again)
		}
		if s := r.status(m1); s.Demoted != nil {
			t.Errorf("its status is %+v, want it not demoted", s)
		}
	})
}

// status is that of the endpoint.
func (r *rig) status(endpoint string) balancer.Status {
	for _, s := range r.Endpoints() {
		if s.Address == endpoint {
			return s
		}
	}
	return balancer.Status{}
}

// changing is a source whose list can be changed.
type changing struct{ list atomic.Pointer[tiers] }

func (c *changing) Resolve(ctx context.Context) (resolver.Result, error) {
	r, err := (*c.list.Load()).Resolve(ctx)
	r.TTL = 5 * time.Second
	return r, err
}

// Who gets the channel before the snapshot has seen the newest state whenever
// the client is quiet, whatever has happened meanwhile: connections lost and
// made, demotions, endpoints that come and go.
func TestChangesAreNotMissed(t *testing.T) {
	source := new(changing)
	source.list.Store(&tiers{0, 0, 0})
	run(t, 4, from(t, source), func(r *rig) {
		t := r.t
		ctx, cancel := context.WithCancel(t.Context())
		var followers sync.WaitGroup
		defer followers.Wait()
		defer cancel()
		latest := make([]atomic.Pointer[[]balancer.Status], 4)
		told := make([]atomic.Int64, len(latest))
		for i := range latest {
			followers.Go(func() {
				follow(ctx, r.Client, func(s []balancer.Status) {
					latest[i].Store(&s)
					told[i].Add(1)
				})
			})
		}
		kill := func(i int) func() { return r.cluster.Member(i).Kill }
		start := func(i int) func() { return r.cluster.Member(i).Start }
		leader := func(i int, without bool) func() {
			return func() {
				r.cluster.Member(i).SetNoLeader(without)
				_, _ = r.get(r.timeout(time.Second)) // without an answer it has shown as much
			}
		}
		list := func(l tiers) func() { return func() { source.list.Store(&l) } }
		steps := []func(){
			kill(0), start(0), kill(1), kill(2), start(1), list(tiers{0, 0, 0, 0}), start(2), leader(0, true), leader(1, true),
			leader(0, false), leader(1, false), list(tiers{10, 10, 0, 0}), kill(2), kill(3), list(tiers{0, 0, 0}), start(2),
			kill(0), kill(1), kill(2), start(0), start(1), start(2), start(3),
		}
		before := told[0].Load()
		for round := range 3 {
			for n, step := range steps {
				step()
				if (n+round)%3 == 0 {
					continue // several changes at once
				}
				time.Sleep(time.Duration((n+round)%4) * 2 * time.Second) // the bubble's clock
				synctest.Wait()
				want := r.Endpoints()
				for i := range latest {
					if got := *latest[i].Load(); !slices.EqualFunc(got, want, sameStatus) {
						t.Fatalf("round %d, step %d: follower %d was told\n%+v\nwant\n%+v", round, n, i, got, want)
					}
				}
			}
		}
		if n := told[0].Load() - before; n < 50 {
			t.Errorf("%d changes were told: this test needs more to mean something", n)
		}
	})
}

// sameStatus leaves out what changes without notice.
func sameStatus(a, b balancer.Status) bool {
	a.MemberID, a.Latency = b.MemberID, b.Latency
	if !errors.Is(a.LastError, b.LastError) || !errors.Is(a.Demoted, b.Demoted) {
		return false
	}
	a.LastError, a.Demoted = b.LastError, b.Demoted
	return a == b
}

// follow tells of each change until ctx ends.
func follow(ctx context.Context, c *client.Client, tell func([]balancer.Status)) {
	for {
		changed := c.EndpointsChanged() // before Endpoints, to miss nothing
		tell(c.Endpoints())
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

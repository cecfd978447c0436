package integration_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/election"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/kv"
)

func newElection(t *testing.T, cl *client.Client, opts ...election.Option) *election.Election {
	t.Helper()
	e, err := election.New(cl.Conn(), "job", opts...)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// candidate is a candidate in an election, through any of the APIs.
type candidate struct {
	name     string
	campaign func(context.Context) error
	resign   func(context.Context) error
}

// getcd's elections, clientv3's and those of the election service are the same:
// every candidate waits for the others, in the order of their arrival.
func TestElectionsAreOne(t *testing.T) {
	c := startCluster(t, cluster.Config{})
	cl := dial(t, client.Config{Endpoints: c.Endpoints()})
	ctx := timeout(t)

	session, err := cl.Grant(ctx, 30)
	if err != nil {
		t.Fatal(err)
	}
	keeper, err := cl.Keep(ctx, session.ID)
	if err != nil {
		t.Fatal(err)
	}
	own := newElection(t, cl)
	inSession := newElection(t, cl, election.WithSession(keeper), election.WithLeaseService(cl), election.WithWatcher(cl))

	v3, err := clientv3.New(clientv3.Config{Endpoints: c.Endpoints(), DialOptions: checkedPlain(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer v3.Close()
	v3Session, err := concurrency.NewSession(v3)
	if err != nil {
		t.Fatal(err)
	}
	defer v3Session.Close()
	rival := concurrency.NewElection(v3Session, "job")

	rpc := election.NewService(cl.Conn())
	rpcLease, err := cl.Grant(ctx, 60)
	if err != nil {
		t.Fatal(err)
	}
	candidates := []candidate{
		{"own lease", func(ctx context.Context) error { return own.Campaign(ctx, "own lease") }, own.Resign},
		{"clientv3", func(ctx context.Context) error { return rival.Campaign(ctx, "clientv3") }, rival.Resign},
		{"session", func(ctx context.Context) error { return inSession.Campaign(ctx, "session") }, inSession.Resign},
	}
	rpcCandidate := candidate{name: "service"}
	rpcCandidate.campaign = func(ctx context.Context) error {
		won, err := rpc.Campaign(ctx, "job", rpcLease.ID, "service")
		if err != nil {
			return err
		}
		rpcCandidate.resign = func(ctx context.Context) error {
			if _, err := rpc.Proclaim(ctx, won.Leader, "service"); err != nil {
				return err
			}
			_, err := rpc.Resign(ctx, won.Leader)
			if err == nil {
				if _, again := rpc.Proclaim(ctx, won.Leader, "x"); !errors.Is(again, election.ErrNotLeader) {
					t.Errorf("Proclaim after Resign: got %v, want %v", again, election.ErrNotLeader)
				}
			}
			return err
		}
		return nil
	}
	candidates = append(candidates, rpcCandidate)

	if _, err := rpc.Leader(ctx, "job"); !errors.Is(err, election.ErrNoLeader) {
		t.Errorf("Leader by the service: got %v, want %v", err, election.ErrNoLeader)
	}
	observing, stop := context.WithCancel(ctx)
	defer stop()
	observer := newElection(t, cl)
	observed := observer.Observe(observing)

	var wg sync.WaitGroup
	led := make(chan *candidate, len(candidates))
	for i := range candidates {
		wg.Go(func() {
			who := &candidates[i]
			if i == len(candidates)-1 {
				who = &rpcCandidate
			}
			if err := who.campaign(ctx); err != nil {
				t.Errorf("%s: %v", who.name, err)
			}
			led <- who
		})
		eventually(t, "a candidate is in the queue", func() bool {
			resp, err := cl.Get(ctx, "job/", kv.WithPrefix(), kv.WithCountOnly())
			if err != nil {
				t.Fatal(err)
			}
			return resp.Count == int64(i+1)
		})
	}
	for i := range candidates {
		want := candidates[i].name
		who := <-led
		if who.name != want {
			t.Errorf("%s leads, want %s", who.name, want)
		}
		for name, ask := range map[string]func() (string, error){
			"getcd": func() (string, error) {
				resp, err := observer.Leader(ctx)
				if err != nil {
					return "", err
				}
				return string(resp.Kvs[0].Value), nil
			},
			"clientv3": func() (string, error) {
				resp, err := rival.Leader(ctx)
				if err != nil {
					return "", err
				}
				return string(resp.Kvs[0].Value), nil
			},
			"service": func() (string, error) {
				resp, err := rpc.Leader(ctx, "job")
				if err != nil {
					return "", err
				}
				return string(resp.Kv.Value), nil
			},
		} {
			if got, err := ask(); err != nil || got != want {
				t.Errorf("%s says that %q leads, %v; want %q", name, got, err, want)
			}
		}
		if resp := <-observed; string(resp.Kvs[0].Value) != want {
			t.Errorf("observed %q, want %q", resp.Kvs[0].Value, want)
		}
		if err := who.resign(ctx); err != nil {
			t.Errorf("%s resigns: %v", who.name, err)
		}
		if who.name == "service" { // which proclaimed before
			<-observed
		}
	}
	wg.Wait()
	stop()
	if resp, ok := <-observed; ok {
		t.Errorf("observed %v after all", resp)
	}
}

// Members are killed and paused while candidates come, lead, give up and leave. A
// guarded write never succeeds for more than one leader at a time, revisions
// grow, and nothing is left behind.
func TestElectionUnderFaults(t *testing.T) {
	t.Parallel()
	faults := 12
	if testing.Short() {
		faults = 4
	}
	c := startCluster(t, cluster.Config{})
	const candidates = 6
	var (
		leads, canceled atomic.Int64
		mu              sync.Mutex
		highest         int64 // the highest revision that has led
		wg              sync.WaitGroup
	)
	leaders := make(chan struct{}, 1) // one leader at a time, as the leaders themselves see it
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	admin := dial(t, client.Config{Endpoints: c.Endpoints()})
	for i := range candidates {
		cl := dial(t, client.Config{Endpoints: c.Endpoints()})
		opts := []election.Option{election.WithTTL(5 * time.Second), election.WithWatcher(cl), election.WithLeaseService(cl)}
		wg.Go(func() {
			for ctx.Err() == nil {
				if i%2 == 1 { // every second one in a session
					campaignInSession(ctx, t, cl, opts, func(e *election.Election) { lead(ctx, t, e, fmt.Sprint(i), leaders, &mu, &highest, &leads, &canceled) })
					continue
				}
				lead(ctx, t, newElection(t, cl, opts...), fmt.Sprint(i), leaders, &mu, &highest, &leads, &canceled)
			}
		})
	}
	for i := range faults {
		before := leads.Load()
		m := c.Members()[i%3]
		if i%2 == 0 {
			if err := m.Kill(); err != nil {
				t.Fatal(err)
			}
		} else if err := m.Pause(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "others lead", func() bool { return leads.Load() > before+3 })
		if i%2 == 0 {
			if err := m.Restart(timeout(t)); err != nil {
				t.Fatal(err)
			}
		} else if err := m.Continue(); err != nil {
			t.Fatal(err)
		}
		if err := c.WaitHealthy(timeout(t)); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	wg.Wait()
	t.Logf("%d faults: led %d times, gave up %d times", faults, leads.Load(), canceled.Load())
	if canceled.Load() == 0 {
		t.Error("nobody gave up: the test has lost its subject")
	}
	// What a candidate could not clean up itself disappears with its lease of 5
	// s.
	eventually(t, "nothing is left", func() bool {
		resp, err := admin.Get(timeout(t), "job/", kv.WithPrefix(), kv.WithCountOnly())
		if err != nil {
			t.Fatal(err)
		}
		return resp.Count == 0
	})
}

func campaignInSession(ctx context.Context, t *testing.T, cl *client.Client, opts []election.Option, lead func(*election.Election)) {
	t.Helper()
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	g, err := cl.Grant(call, 5)
	if err != nil {
		return // caused by a fault
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		_, _ = cl.Revoke(end, g.ID)
	}()
	k, err := cl.Keep(call, g.ID)
	if err != nil {
		return
	}
	defer k.Close()
	lead(newElection(t, cl, append(slices.Clip(opts), election.WithSession(k))...))
}

// lead campaigns for a moment, leads for a moment, and resigns.
func lead(ctx context.Context, t *testing.T, e *election.Election, val string, leaders chan struct{}, mu *sync.Mutex, highest *int64, leads, canceled *atomic.Int64) {
	t.Helper()
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), 300*time.Millisecond)
	defer cancel()
	if err := e.Campaign(call, val); err != nil {
		canceled.Add(1)
		return
	}
	done := e.Done()
	mu.Lock()
	if e.Rev() <= *highest && e.Err() == nil {
		t.Errorf("revision %d leads after %d, want one that is greater", e.Rev(), *highest)
	}
	*highest = max(*highest, e.Rev())
	mu.Unlock()
	select {
	case leaders <- struct{}{}:
		write, stop := context.WithTimeout(context.WithoutCancel(ctx), 200*time.Millisecond)
		var stopped sync.WaitGroup
		stopped.Go(func() { // a former leader stops working
			select {
			case <-done:
				stop()
			case <-write.Done():
			}
		})
		if _, err := e.Txn(write).Then(kv.OpPut("led", val)).Commit(); err == nil {
			leads.Add(1)
		}
		stop()
		<-leaders
		stopped.Wait()
	default:
		// If another candidate believes that it leads, this one must have lost.
		select {
		case <-done:
		default:
			if e.Err() == nil {
				t.Error("two lead at once")
			}
		}
	}
	end, cancelEnd := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancelEnd()
	_ = e.Resign(end) // if this fails, the lease ends it
}

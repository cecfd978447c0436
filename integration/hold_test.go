package integration_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/election"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lock"
	"github.com/getcd/getcd/naming"
	"github.com/getcd/getcd/view"
)

// A member is stopped with a transaction in its socket, and goes on after Settle has told
// what has become of that. What Settle says stays true.
func TestSettleOnRealMembers(t *testing.T) {
	t.Parallel()
	c := startCluster(t, cluster.Config{})
	for round := range 3 {
		for _, stopFirst := range []bool{true, false} {
			key := fmt.Sprintf("balance/%d/%v", round, stopFirst)
			var victim *cluster.Member
			var marker *kv.Marker
			var n int
			var committed error
			eventually(t, key+": a transaction at a stopped member", func() bool {
				var cl *client.Client
				var err error
				cl, victim = dialTo(t, c, false)
				if marker, err = kv.NewMarker(cl, key+"/marker"); err != nil {
					t.Fatal(err)
				}
				commit := func() {
					n++
					_, committed = marker.Txn(timeout(t), cl).Then(kv.OpPut(key, strconv.Itoa(n))).Commit()
				}
				if commit(); committed != nil {
					t.Fatal(committed)
				}
				var wg sync.WaitGroup
				if stopFirst {
					pause(t, victim)
					wg.Go(commit)
				} else { // in the midst of many
					begun := make(chan struct{})
					end := time.Now().Add(limit / 4)
					wg.Go(func() {
						close(begun)
						for committed == nil && time.Now().Before(end) {
							commit()
						}
					})
					<-begun
					pause(t, victim)
				}
				wg.Wait()
				if committed == nil { // the client had just left the member
					if err := victim.Continue(); err != nil {
						t.Fatal(err)
					}
				}
				return committed != nil
			})
			if !client.IsAmbiguous(committed) {
				t.Errorf("%s: Commit at a stopped member: %v, want an ambiguous error", key, committed)
			}
			applied, err := marker.Settle(timeout(t))
			if err != nil {
				t.Errorf("%s: Settle: %v", key, err)
			}
			t.Logf("%s: transaction %d was applied: %v", key, n, applied)
			if err := victim.Continue(); err != nil {
				t.Fatal(err)
			}
			if err := c.WaitHealthy(timeout(t)); err != nil {
				t.Fatal(err)
			}
			// The member has read its socket once it answers what was sent after.
			direct := dial(t, client.Config{Endpoints: []string{victim.Endpoint()}})
			for range 20 {
				if _, err := direct.Put(timeout(t), key+"/after", ""); err != nil {
					t.Fatal(err)
				}
			}
			resp, err := direct.Get(timeout(t), key)
			if err != nil {
				t.Fatal(err)
			}
			want := n
			if !applied {
				want--
			}
			if got := string(resp.Kvs[0].Value); got != strconv.Itoa(want) {
				t.Errorf("%s is %s, and Settle has said that transaction %d was applied: %v", key, got, n, applied)
			}
		}
	}
}

func pause(t *testing.T, m *cluster.Member) {
	t.Helper()
	if err := m.Pause(); err != nil {
		t.Fatal(err)
	}
}

// A holder whose only member is stopped is told to stop before another one holds.
func TestRunOnRealMembers(t *testing.T) {
	t.Parallel()
	c := startCluster(t, cluster.Config{})
	victim := c.Members()[0]
	alone := dial(t, client.Config{Endpoints: []string{victim.Endpoint()}}).Conn()
	others := dial(t, client.Config{Endpoints: []string{c.Members()[1].Endpoint(), c.Members()[2].Endpoint()}}).Conn()
	type run func(context.Context, func(context.Context) error) error
	for name, begin := range map[string]func(t *testing.T) (a, b run){
		"mutex": func(t *testing.T) (a, b run) {
			t.Helper()
			first, err := lock.New(alone, "job", lock.WithTTL(3*time.Second))
			if err != nil {
				t.Fatal(err)
			}
			second, err := lock.New(others, "job", lock.WithTTL(3*time.Second))
			if err != nil {
				t.Fatal(err)
			}
			return first.Run, second.Run
		},
		"election": func(t *testing.T) (a, b run) {
			t.Helper()
			of := func(e *election.Election, err error) run {
				if err != nil {
					t.Fatal(err)
				}
				return func(ctx context.Context, f func(context.Context) error) error { return e.Run(ctx, "host", f) }
			}
			return of(election.New(alone, "head", election.WithTTL(3*time.Second))), of(election.New(others, "head", election.WithTTL(3*time.Second)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := begin(t)
			var stopped, began time.Time
			var wg sync.WaitGroup
			err := a(timeout(t), func(ctx context.Context) error {
				wg.Go(func() { //nolint:contextcheck // another client's
					if err := b(timeout(t), func(context.Context) error { began = time.Now(); return nil }); err != nil {
						t.Errorf("the next one's Run: %v", err)
					}
				})
				if err := victim.Pause(); err != nil {
					return err
				}
				<-ctx.Done()
				stopped = time.Now()
				wg.Wait()
				return errors.Join(context.Cause(ctx), victim.Continue())
			})
			if !errors.Is(err, lock.ErrLost) && !errors.Is(err, election.ErrLost) {
				t.Errorf("Run: %v, want ErrLost", err)
			}
			if !stopped.Before(began) {
				t.Errorf("told to stop %v after another one had begun", stopped.Sub(began))
			}
			t.Logf("told to stop %v before another one began", began.Sub(stopped))
			if err := c.WaitHealthy(timeout(t)); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// Members are killed one after the other, history is compacted, and the view has each
// value, in order.
func TestViewOnRealMembers(t *testing.T) {
	t.Parallel()
	c := startCluster(t, cluster.Config{})
	writer := dial(t, client.Config{Endpoints: c.Endpoints()})
	cl := dial(t, client.Config{Endpoints: c.Endpoints()})
	ctx, stop := context.WithCancel(t.Context())
	last, bad := -1, 0
	v, err := view.New(ctx, cl, "n/", view.Config[int]{
		Decode: func(_ string, value []byte) (int, error) { return strconv.Atoi(string(value)) },
		OnChange: func(changes []view.Change[int]) {
			for _, change := range changes {
				if change.New <= last || change.Had && change.Old != last {
					t.Errorf("got %d -> %d after %d", change.Old, change.New, last)
				}
				last = change.New
			}
		},
		OnBad: func(error) { bad++ },
	}, kv.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	if err := v.WaitSync(timeout(t)); err != nil {
		t.Fatal(err)
	}
	n := 0
	write := func(times int) {
		t.Helper()
		for range times {
			if _, err := writer.Put(timeout(t), "n/a", strconv.Itoa(n)); err != nil && !client.IsAmbiguous(err) {
				t.Fatal(err)
			}
			n++
		}
	}
	for _, m := range c.Members() {
		write(20)
		if err := m.Kill(); err != nil {
			t.Fatal(err)
		}
		write(20)
		resp, err := writer.Put(timeout(t), "n/a", "bad")
		for client.IsAmbiguous(err) {
			resp, err = writer.Put(timeout(t), "n/a", "bad")
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := writer.Compact(timeout(t), resp.Header.Revision); err != nil && !client.IsAmbiguous(err) {
			t.Fatal(err)
		}
		if err := m.Restart(timeout(t)); err != nil {
			t.Fatal(err)
		}
		if err := c.WaitHealthy(timeout(t)); err != nil {
			t.Fatal(err)
		}
	}
	write(1)
	eventually(t, "the last value", func() bool { got, _ := v.Get("n/a"); return got == n-1 })
	stop()
	<-v.Done()
	if bad == 0 {
		t.Error("no bad value was told")
	}
}

// The member that a server uses is stopped for longer than the lease lives, and all
// members are killed: the server is registered again.
func TestRegistrationOnRealMembers(t *testing.T) {
	t.Parallel()
	c := startCluster(t, cluster.Config{})
	victim := c.Members()[0]
	cl := dial(t, client.Config{Endpoints: []string{victim.Endpoint()}})
	others := dial(t, client.Config{Endpoints: c.Endpoints()[1:]})
	web, err := naming.New(cl, "web")
	if err != nil {
		t.Fatal(err)
	}
	seen, err := naming.New(others, "web")
	if err != nil {
		t.Fatal(err)
	}
	r, err := web.Register(timeout(t), cl, "web/a", naming.Endpoint{Addr: "10.0.0.1:80"}, naming.WithTTL(4*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	there := func() bool {
		all, err := seen.List(timeout(t))
		if err != nil {
			t.Fatal(err)
		}
		return len(all) == 1
	}
	pause(t, victim)
	eventually(t, "the end of the lease", func() bool { return !there() })
	if s := r.Status(); s.Registered {
		t.Errorf("the status is %+v when it is gone", s)
	}
	if err := victim.Continue(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "registered again", func() bool { return there() && r.Status().Registered })

	if err := c.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the loss", func() bool { return !r.Status().Registered })
	if err := c.Restart(timeout(t)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "registered again", func() bool { return r.Status().Registered })
	if s := r.Status(); s.Times != 3 {
		t.Errorf("the status is %+v, want that it was registered three times", s)
	}
	time.Sleep(5 * time.Second) // the leases of before end meanwhile
	if !there() || !r.Status().Registered {
		t.Errorf("it is there: %v, and the status %+v", there(), r.Status())
	}
	if err := r.Close(timeout(t)); err != nil {
		t.Error(err)
	}
	if there() {
		t.Error("it is there after Close")
	}
}

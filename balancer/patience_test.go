package balancer_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
)

// A write is waited for as long as Config.WritePatience says; reads are not.
func TestWritePatience(t *testing.T) {
	for _, patience := range []time.Duration{500 * time.Millisecond, 5 * time.Second} {
		for name, silence := range map[string]func(*etcdtest.Member){
			"stopped": (*etcdtest.Member).Freeze,
			"cut off": func(m *etcdtest.Member) { m.Intercept(onlyHealth) },
		} {
			t.Run(name+" "+patience.String(), func(t *testing.T) {
				run(t, 3, func(cfg *client.Config) { cfg.WritePatience = patience }, func(r *rig) {
					r.warm()
					silence(r.cluster.Member(0))
					r.wantPatience(patience)
					r.cluster.Member(0).Thaw()
				})
			})
		}
	}
}

// The clock of a write starts when its last byte has left: a member may be silent for
// as long as the patience in the middle of an upload, and after it.
func TestPatienceBeginsWithTheLastByte(t *testing.T) {
	const size, rate = 1.4e6, 0.5e6
	const upload = time.Duration(size / rate * float64(time.Second))
	const hiccup = 1500 * time.Millisecond
	t.Run("frozen in the middle", func(t *testing.T) {
		runSlow(t, 3, rate, func(r *rig) {
			time.AfterFunc(upload/3, func() { r.freeze(hiccup) })
			r.wantUpload(size, upload+hiccup/2)
		})
	})
	// What had not left yet went to no leader of before.
	t.Run("an election in the middle", func(t *testing.T) {
		runSlow(t, 3, rate, func(r *rig) {
			time.AfterFunc(upload/3, func() { r.cluster.Elect(r.cluster.Member(2)) })
			r.wantUpload(size, upload)
		})
	})
	// The member has the whole of the request when its handler runs.
	frozenAtTheEnd := func(r *rig, d time.Duration) (last *time.Time) {
		last = new(time.Time)
		for _, m := range r.cluster.Members() {
			m.Intercept(once(pb.KV_Put_FullMethodName, func(_ context.Context, _ string, _ any, next func() (any, error)) (any, error) {
				*last = time.Now()
				r.freeze(d)
				return next()
			}))
		}
		return last
	}
	t.Run("frozen after it", func(t *testing.T) {
		runSlow(t, 3, rate, func(r *rig) {
			frozenAtTheEnd(r, hiccup)
			r.wantUpload(size, upload+hiccup)
		})
	})
	// Before the first probe has looked, too: the shorter upload ends before that.
	for _, rate := range []float64{rate, 4e6} {
		t.Run(fmt.Sprintf("frozen for good, %g bytes a second", rate), func(t *testing.T) {
			runSlow(t, 3, rate, func(r *rig) {
				last := frozenAtTheEnd(r, time.Hour)
				if err := r.put(r.timeout(time.Minute), "k", strings.Repeat("v", size)); !client.IsAmbiguous(err) {
					r.t.Errorf("put: got %v, want an error that is ambiguous", err)
				}
				if d := time.Since(*last); d < 2*time.Second || d > 2300*time.Millisecond {
					r.t.Errorf("the put was given up %v after its last byte, want 2 to 2.3 s", d)
				}
				r.cluster.ByID(r.frozen).Thaw()
			})
		})
	}
}

// freeze stops the active member for d.
func (r *rig) freeze(d time.Duration) {
	for _, m := range r.cluster.Members() {
		if m.Addr() == r.activeNow() {
			r.frozen = m.ID()
			m.Freeze()
			time.AfterFunc(d, m.Thaw)
		}
	}
}

// wantUpload puts size bytes, which must succeed, and take least at least.
func (r *rig) wantUpload(size int, least time.Duration) {
	r.t.Helper()
	start := time.Now()
	err := r.put(r.timeout(time.Minute), "k", strings.Repeat("v", size))
	if d := time.Since(start); err != nil || d < least {
		r.t.Errorf("put: error %v after %v, want success, after %v at least: was the member frozen?", err, d, least)
	}
}

// New writes leave a doubted member at once, while the one that was under way is waited
// for.
func TestNewWritesLeaveADoubtedMember(t *testing.T) {
	for name, silence := range map[string]func(*etcdtest.Member){
		"stopped": (*etcdtest.Member).Freeze,
		"cut off": func(m *etcdtest.Member) { m.Intercept(onlyHealth) },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, 3, nil, func(r *rig) {
				t := r.t
				r.warm()
				silence(r.cluster.Member(0))
				first := make(chan error, 1)
				go func() { first <- r.put(r.timeout(time.Minute), "a", "v") }()
				time.Sleep(300 * time.Millisecond) // the bubble's clock
				start := time.Now()
				if err := r.put(r.timeout(time.Minute), "b", "v"); err != nil || time.Since(start) > 50*time.Millisecond {
					t.Errorf("the second put: error %v after %v, want success at once", err, time.Since(start))
				}
				synctest.Wait()
				select {
				case err := <-first:
					t.Fatalf("the first put: %v, want it to be waited for", err)
				default:
				}
				r.cluster.Member(0).Thaw()
				r.cluster.Member(0).Intercept(nil)
				if name == "stopped" {
					if err := <-first; err != nil {
						t.Errorf("the first put: %v, want success, as its member is back", err)
					}
				}
			})
		})
	}
}

package concurrency_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/concurrency"
	"github.com/getcd/getcd/clientv3/namespace"
)

// own is a lease service of a program's own that has only what a session needs. Its
// leases are the cluster's, and the test says what comes through KeepAlive's channel.
type own struct {
	clientv3.Lease // nil

	of      clientv3.Lease
	answers chan *clientv3.LeaseKeepAliveResponse
	kept    context.Context //nolint:containedctx // KeepAlive's
	err     error           // KeepAlive's
}

func (o *own) Grant(ctx context.Context, ttl int64) (*clientv3.LeaseGrantResponse, error) {
	return o.of.Grant(ctx, ttl)
}

func (o *own) KeepAlive(ctx context.Context, _ clientv3.LeaseID) (<-chan *clientv3.LeaseKeepAliveResponse, error) {
	o.kept = ctx
	return o.answers, o.err
}

func (o *own) Close() error { return nil }

// owning sets such a service in the client.
func (r *rig) owning() *own {
	o := &own{of: r.Lease, answers: make(chan *clientv3.LeaseKeepAliveResponse, 16)}
	r.Lease = o
	return o
}

func (o *own) answer(ttl int64) { o.answers <- &clientv3.LeaseKeepAliveResponse{TTL: ttl} }

// wantEnd waits for the end of a session, which is to come a little before d has passed
// since begin.
func wantEnd(t *testing.T, s *concurrency.Session, begin time.Time, d time.Duration) {
	t.Helper()
	<-s.Done()
	if got := time.Since(begin); got > d+50*time.Millisecond || got < d-time.Second { // answers have whole seconds
		t.Errorf("the session has ended after %v, want at most %v, and little less", got, d)
	}
}

// A session on a service of the program's own knows what the channel says.
func TestOwnLeaseService(t *testing.T) {
	for name, wrap := range map[string]func(clientv3.Lease) clientv3.Lease{
		"plain":          func(l clientv3.Lease) clientv3.Lease { return l },
		"in a namespace": func(l clientv3.Lease) clientv3.Lease { return namespace.NewLease(l, "ns/") },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(r *rig) {
				t := r.t
				o := r.owning()
				r.Lease = wrap(o)
				begin := time.Now()
				s := r.session(concurrency.WithTTL(30))
				if time.Since(begin) != 0 {
					t.Errorf("NewSession took %v, want it to wait for nothing", time.Since(begin))
				}
				for range 4 { // more than a TTL
					time.Sleep(10 * time.Second)
					begin = time.Now()
					o.answer(30)
				}
				if s.Native().Err() != nil {
					t.Errorf("the session has ended: %v", s.Native().Err())
				}
				o.answer(0) // says nothing
				wantEnd(t, s, begin, 27*time.Second)
				synctest.Wait()
				if o.kept.Err() == nil {
					t.Error("the context of KeepAlive has not ended")
				}
				o.answer(30) // changes nothing any more
				if s.Native().Err() == nil || s.Ctx().Err() == nil {
					t.Error("the session is back")
				}
			})
		})
	}
}

// It ends without an answer, when the channel closes, and with Orphan.
func TestOwnLeaseServiceEnds(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		o := r.owning()
		for _, ttl := range []int{2, 5, 60} {
			begin := time.Now()
			d := time.Duration(ttl) * time.Second
			wantEnd(t, r.session(concurrency.WithTTL(ttl)), begin, d-min(d/10, 5*time.Second))
		}
		s := r.session()
		o.answer(60)
		m := concurrency.NewMutex(s, "lock")
		r.lock(m)
		r.unlock(m)
		begin := time.Now()
		close(o.answers)
		<-s.Done()
		if time.Since(begin) != 0 || !errors.Is(s.Native().Err(), rpctypes.ErrLeaseNotFound) {
			t.Errorf("%v after the channel has closed: %v; want %v at once", time.Since(begin), s.Native().Err(), rpctypes.ErrLeaseNotFound)
		}
		if s = r.session(); s.Lease() == clientv3.NoLease {
			t.Error("there is no lease")
		}
		<-s.Done() // the channel had closed before

		o.answers = make(chan *clientv3.LeaseKeepAliveResponse)
		s = r.session()
		s.Orphan()
		synctest.Wait()
		if o.kept.Err() == nil {
			t.Error("after Orphan the context of KeepAlive has not ended")
		}
	})
}

// Of a lease that it has not granted a session knows nothing before the first answer. Until then it
// takes WithTTL's, since clientv3's NewSession does not wait for an answer either.
func TestOwnLeaseServiceWithLease(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		o := r.owning()
		var s *concurrency.Session
		for ttl, d := range map[int64]time.Duration{1: 900 * time.Millisecond, 5: 4500 * time.Millisecond} {
			time.AfterFunc(3*time.Second, func() { o.answer(ttl) })
			begin := time.Now()
			s = r.session(concurrency.WithLease(4711))
			if took := time.Since(begin); took > 0 {
				t.Errorf("NewSession took %v, want none", took)
			}
			wantEnd(t, s, begin.Add(3*time.Second), d)
		}
		wantEnd(t, r.session(concurrency.WithLease(4711), concurrency.WithTTL(10)), time.Now(), 9*time.Second)
		close(o.answers)
		s = r.session(concurrency.WithLease(4711))
		<-s.Done()
		if s.Lease() != 4711 {
			t.Errorf("the lease is %d, want 4711", s.Lease())
		}
	})
}

// Its errors are returned as they are, and nothing else is asked of it.
func TestOwnLeaseServiceFails(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		o := r.owning()
		o.err = errors.New("no")
		if _, err := concurrency.NewSession(r.Client); err != o.err { //nolint:errorlint // it must be the same
			t.Errorf("NewSession: %v, want %v", err, o.err)
		}
		o.err, o.answers = nil, nil
		if _, err := concurrency.NewSession(r.Client); err == nil {
			t.Error("NewSession without a channel: no error")
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := concurrency.NewSession(r.Client, concurrency.WithContext(ended)); err != context.Canceled { //nolint:errorlint // as callers do
			t.Errorf("NewSession: %v, want %v", err, context.Canceled)
		}
	})
}

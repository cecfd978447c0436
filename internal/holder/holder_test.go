package holder_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.uber.org/goleak"

	"github.com/getcd/getcd/internal/holder"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	errLost = errors.New("lost")
	errGone = errors.New("gone")
	errDone = errors.New("done")
)

func lost(cause error) error { return fmt.Errorf("%w: %w", errLost, cause) }

// renewals is a lease that is gone from a moment on, of which Done may tell late.
type renewals struct {
	done chan struct{}
	err  error
}

func (r *renewals) Done() <-chan struct{} { return r.done }
func (r *renewals) Err() error            { return r.err }

func TestLifeEndsWithItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &renewals{done: make(chan struct{})}
		l := holder.NewLife(t.Context(), lost)
		l.SetLease(r)
		l.WatchLease()
		synctest.Wait()
		if err := l.Err(); err != nil {
			t.Errorf("Err is %v while the lease lives, want nil", err)
		}
		r.err = errGone
		close(r.done)
		<-l.Done()
		if err := l.Err(); !errors.Is(err, errLost) || !errors.Is(err, errGone) {
			t.Errorf("Err is %v, want the lease's cause, wrapped", err)
		}
		l.Wait()
	})
}

// What closes Done may be late; the lease's clock is not.
func TestErrAsksTheLease(t *testing.T) {
	l := holder.NewLife(t.Context(), lost)
	l.SetLease(&renewals{err: errGone})
	if err := l.Err(); !errors.Is(err, errGone) {
		t.Errorf("Err is %v, want the lease's", err)
	}
	if l.Context().Err() == nil {
		t.Error("the life goes on, want it to end with the lease")
	}
}

func TestFirstCauseStays(t *testing.T) {
	l := holder.NewLife(t.Context(), lost)
	l.End(errDone)
	l.SetLease(&renewals{err: errGone})
	_ = l.Lost(errGone)
	if err := l.Err(); !errors.Is(err, errDone) || errors.Is(err, errLost) {
		t.Errorf("Err is %v, want %v", err, errDone)
	}
}

func TestBecause(t *testing.T) {
	for _, tc := range []struct {
		cause, last error
		want        string
	}{
		{errLost, nil, "lost"},
		{errLost, errGone, "lost (last failure: gone)"},
		{context.Canceled, fmt.Errorf("asking: %w", context.Canceled), "asking: context canceled"},
	} {
		if got := holder.Because(tc.cause, tc.last).Error(); got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
}

// The error of a call that has ended with its context has each reason once.
func TestEnded(t *testing.T) {
	kind := &holder.Kind{Package: "lock"}
	stopped, stop := context.WithCancelCause(t.Context())
	stop(errGone)
	plain, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tc := range []struct {
		ctx  context.Context //nolint:containedctx // a case of the table
		last error
		want string
	}{
		{plain, nil, `lock: "jobs": context canceled`},
		{plain, context.Canceled, `lock: "jobs": context canceled`},
		{plain, errDone, `lock: "jobs": context canceled (last failure: done)`},
		{stopped, nil, `lock: "jobs": context canceled: gone`},
		{stopped, errGone, `lock: "jobs": context canceled: gone`},
		{stopped, context.Canceled, `lock: "jobs": context canceled: gone`},
		{stopped, errDone, `lock: "jobs": context canceled: gone (last failure: done)`},
	} {
		err := kind.Ended(tc.ctx, "jobs", tc.last)
		if got := err.Error(); got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v: errors.Is does not find the context's error", err)
		}
	}
}

func TestCheckTTL(t *testing.T) {
	for _, ttl := range []time.Duration{time.Second, time.Minute, 9_000_000_000 * time.Second} {
		if err := holder.CheckTTL("x: WithTTL", ttl); err != nil {
			t.Errorf("%v: %v", ttl, err)
		}
	}
	for _, ttl := range []time.Duration{-time.Second, 0, time.Second - 1, 1500 * time.Millisecond} {
		if err := holder.CheckTTL("x: WithTTL", ttl); err == nil {
			t.Errorf("%v: want an error", ttl)
		}
	}
	if err := holder.CheckTTL("x: WithTTL", 9_000_000_001*time.Second); !errors.Is(err, rpctypes.ErrLeaseTTLTooLarge) {
		t.Errorf("got %v, want %v", err, rpctypes.ErrLeaseTTLTooLarge)
	}
}

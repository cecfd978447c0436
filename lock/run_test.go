package lock_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/lock"
)

type name struct{}

var errWork = errors.New("the work failed")

func TestContextEndsWithTheLock(t *testing.T) {
	forms(t, 2, func(r *rig) {
		t := r.t
		m := r.mutex(r.alone(0))
		none := m.Context()
		wantIs(t, "without a lock: the cause", context.Cause(none), lock.ErrNotHeld)

		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), name{}, "nightly"), time.Second)
		defer cancel()
		if err := m.Lock(ctx); err != nil {
			t.Fatal(err)
		}
		held := m.Context()
		cancel()
		time.Sleep(time.Minute)
		if err := held.Err(); err != nil || held.Value(name{}) != "nightly" {
			t.Errorf("got %v and the value %v after the end of Lock's context, want a living context with its values", err, held.Value(name{}))
		}
		if _, limited := held.Deadline(); limited {
			t.Error("it has Lock's deadline, want none")
		}
		r.unlock(m)
		if !isDone(held.Done()) || errors.Is(context.Cause(held), lock.ErrLost) {
			t.Errorf("after Unlock: the cause is %v, want one that is not ErrLost", context.Cause(held))
		}
		wantIs(t, "after Unlock: the cause", context.Cause(held), lock.ErrNotHeld)

		m = r.locked(r.alone(0))
		held = m.Context()
		r.cluster.Member(0).Hang()
		<-held.Done()
		wantIs(t, "after loss: the cause", context.Cause(held), lock.ErrLost)
		wantIs(t, "after loss: the cause", context.Cause(held), lease.ErrExpired)
		r.cluster.Member(0).Resume()
		wantIs(t, "Unlock", m.Unlock(t.Context()), lock.ErrLost)
		if again := r.locked(r.alone(0)); again.Context().Err() != nil {
			t.Errorf("the next lock's context has ended: %v", context.Cause(again.Context()))
		} else {
			r.unlock(again)
		}
	})
}

func TestContextOfALockersLock(t *testing.T) {
	forms(t, 2, func(r *rig) {
		t := r.t
		l, err := lock.NewLocker(r.alone(0), lock.Config{})
		if err != nil {
			t.Fatal(err)
		}
		h, err := l.Lock(context.WithValue(t.Context(), name{}, "nightly"), "job")
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Context().Err(); err != nil || h.Context().Value(name{}) != "nightly" {
			t.Errorf("got %v and the value %v, want a living context with Lock's values", err, h.Context().Value(name{}))
		}
		r.cluster.Member(0).Hang()
		<-h.Context().Done()
		wantIs(t, "the cause", context.Cause(h.Context()), lock.ErrLost)
		r.cluster.Member(0).Resume()
		wantIs(t, "Unlock", h.Unlock(t.Context()), lock.ErrLost)
	})
}

// Whatever becomes of the function, nothing is left.
func TestRun(t *testing.T) {
	for _, tt := range []struct {
		name string
		work func(r *rig, m *lock.Mutex, ctx context.Context, cancel context.CancelFunc) error
		want []error
		not  []error
	}{
		{"succeeds", func(r *rig, m *lock.Mutex, ctx context.Context, _ context.CancelFunc) error {
			if m.Err() != nil || ctx.Value(name{}) != "nightly" {
				r.t.Errorf("within: Err is %v and the value %v, want a held lock and the caller's values", m.Err(), ctx.Value(name{}))
			}
			_, err := m.Txn(ctx).Then(kv.OpPut("ran", "")).Commit()
			return err
		}, nil, nil},
		{"fails", func(*rig, *lock.Mutex, context.Context, context.CancelFunc) error { return errWork }, []error{errWork}, []error{lock.ErrNotHeld, lock.ErrLost}},
		{"is canceled", func(_ *rig, _ *lock.Mutex, ctx context.Context, cancel context.CancelFunc) error {
			cancel()
			<-ctx.Done()
			return context.Cause(ctx)
		}, []error{context.Canceled}, []error{lock.ErrNotHeld, lock.ErrLost}},
		{"loses the lock, and says so", func(r *rig, m *lock.Mutex, ctx context.Context, _ context.CancelFunc) error {
			r.delete(m.Key()) //nolint:contextcheck // with the test's
			<-ctx.Done()
			return context.Cause(ctx)
		}, []error{lock.ErrLost}, []error{context.Canceled}},
		{"loses the lock, and fails", func(r *rig, m *lock.Mutex, ctx context.Context, _ context.CancelFunc) error {
			r.delete(m.Key()) //nolint:contextcheck // with the test's
			<-ctx.Done()
			return errWork
		}, []error{errWork, lock.ErrLost}, nil},
		{"loses the lock, and goes on", func(r *rig, m *lock.Mutex, ctx context.Context, _ context.CancelFunc) error {
			r.delete(m.Key()) //nolint:contextcheck // with the test's
			<-ctx.Done()
			return nil
		}, []error{lock.ErrLost}, nil},
		{"unlocks it", func(r *rig, m *lock.Mutex, _ context.Context, _ context.CancelFunc) error {
			return m.Unlock(r.t.Context()) //nolint:contextcheck // f's ends with it
		}, []error{lock.ErrNotHeld}, []error{lock.ErrLost}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			forms(t, 1, func(r *rig) {
				m := r.mutex(r.alone(0))
				ctx, cancel := context.WithCancel(context.WithValue(r.t.Context(), name{}, "nightly"))
				defer cancel()
				err := m.Run(ctx, func(ctx context.Context) error { return tt.work(r, m, ctx, cancel) })
				if len(tt.want) == 0 && err != nil {
					r.t.Errorf("Run: %v", err)
				}
				for _, want := range tt.want {
					wantIs(r.t, "Run", err, want)
				}
				for _, not := range tt.not {
					if errors.Is(err, not) {
						r.t.Errorf("Run: got %v, want an error that is not %v", err, not)
					}
				}
				if err != nil && strings.Count(err.Error(), "lock: lost") > 1 {
					r.t.Errorf("Run: the loss is told twice: %v", err)
				}
				r.wantNothingLeft()
			})
		})
	}
}

// The function stops before another one gets the lock, and is waited for.
func TestRunWaitsForItsFunction(t *testing.T) {
	forms(t, 2, func(r *rig) {
		t := r.t
		m := r.mutex(r.alone(0))
		var stopped, got time.Time
		next := make(chan error, 1)
		err := m.Run(t.Context(), func(ctx context.Context) error {
			go func() { //nolint:contextcheck // it goes on after f
				other := r.mutex(r.alone(1))
				err := other.Run(t.Context(), func(context.Context) error { got = time.Now(); return nil })
				next <- err
			}()
			r.cluster.Member(0).Freeze()
			<-ctx.Done()
			stopped = time.Now()
			r.cluster.Member(0).Thaw()
			time.Sleep(time.Minute) // it does not stop
			return errWork
		})
		wantIs(t, "Run", err, lock.ErrLost)
		wantIs(t, "Run", err, errWork)
		if err := <-next; err != nil {
			t.Errorf("the other's Run: %v", err)
		}
		if !stopped.Before(got) {
			t.Errorf("told to stop at %v, when another has had the lock since %v", stopped, got)
		}
		if took := time.Since(stopped); took < time.Minute {
			t.Errorf("Run returned %v after the loss, want it to wait for the function", took)
		}
		r.wantNothingLeft()
	})
}

func TestRunReleasesAfterAPanic(t *testing.T) {
	forms(t, 1, func(r *rig) {
		m := r.mutex(r.alone(0))
		func() {
			defer func() {
				if p := recover(); p != errWork { //nolint:errorlint // it is that very one
					r.t.Errorf("recovered %v, want the function's panic", p)
				}
			}()
			_ = m.Run(r.t.Context(), func(context.Context) error { panic(errWork) })
		}()
		wantIs(r.t, "Err", m.Err(), lock.ErrNotHeld)
		r.wantNothingLeft()
	})
}

func TestRunWithoutTheLock(t *testing.T) {
	forms(t, 1, func(r *rig) {
		t := r.t
		held, m := r.locked(r.alone(0)), r.mutex(r.alone(0))
		never := func(context.Context) error { t.Error("the function ran without the lock"); return nil }
		wantIs(t, "Run", m.Run(timeout(t, time.Second), never), context.DeadlineExceeded)
		wantIs(t, "Run", held.Run(t.Context(), never), lock.ErrAlreadyLocked)
		wantIs(t, "TryRun", m.TryRun(t.Context(), never), lock.ErrLocked)
		if err := held.Err(); err != nil {
			t.Errorf("Run has taken the lock from its holder: %v", err)
		}
		r.unlock(held)
		if err := m.TryRun(t.Context(), func(context.Context) error { return errWork }); !errors.Is(err, errWork) {
			t.Errorf("TryRun: got %v, want the function's error", err)
		}
		if err := m.Run(t.Context(), nil); err == nil || err.Error() != "lock: Run: the function is nil; pass what is to be done while it is held" {
			t.Errorf("Run without a function: %v", err)
		}
		r.wantNothingLeft()
	})
}

package election_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/getcd/getcd/election"
	"github.com/getcd/getcd/lease"
)

type name struct{}

var errWork = errors.New("the work failed")

func TestContextEndsWithTheLeadership(t *testing.T) {
	inBothModes(t, 1, func(r *rig, options func() []election.Option) {
		t := r.t
		e := r.election(r.alone(0), options()...)
		wantIs(t, "without leadership: the cause", context.Cause(e.Context()), election.ErrNotLeader)

		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), name{}, "host-1"), time.Second)
		defer cancel()
		if err := e.Campaign(ctx, "a"); err != nil {
			t.Fatal(err)
		}
		led := e.Context()
		cancel()
		time.Sleep(time.Minute)
		if _, limited := led.Deadline(); led.Err() != nil || led.Value(name{}) != "host-1" || limited {
			t.Errorf("got %v and the value %v after the end of Campaign's context, want a living context with its values and no deadline", led.Err(), led.Value(name{}))
		}
		r.resign(e)
		wantIs(t, "after Resign: the cause", context.Cause(led), election.ErrResigned)

		if err := e.Campaign(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		led = e.Context() // which watches the key
		begin := time.Now()
		r.delete(e.Key())
		<-led.Done()
		if took := time.Since(begin); took > time.Second {
			t.Errorf("the context ended %v after the deletion of the key, want at once", took)
		}
		wantIs(t, "after loss: the cause", context.Cause(led), election.ErrLost)
		r.resign(e)
	})
}

func TestRun(t *testing.T) {
	for _, tt := range []struct {
		name string
		work func(r *rig, e *election.Election, ctx context.Context) error
		want []error
	}{
		{"succeeds", func(r *rig, e *election.Election, ctx context.Context) error {
			if e.Err() != nil || ctx.Value(name{}) != "host-1" {
				r.t.Errorf("within: Err is %v and the value %v, want leadership and the caller's values", e.Err(), ctx.Value(name{}))
			}
			r.wantCandidates("a") //nolint:contextcheck // with the test's
			return nil
		}, nil},
		{"fails", func(*rig, *election.Election, context.Context) error { return errWork }, []error{errWork}},
		{"loses the leadership, and fails", func(r *rig, e *election.Election, ctx context.Context) error {
			r.delete(e.Key()) //nolint:contextcheck // with the test's
			<-ctx.Done()
			return errWork
		}, []error{errWork, election.ErrLost, election.ErrNotLeader}},
		{"loses the leadership, and says so", func(r *rig, e *election.Election, ctx context.Context) error {
			r.delete(e.Key()) //nolint:contextcheck // with the test's
			<-ctx.Done()
			return context.Cause(ctx)
		}, []error{election.ErrLost}},
		{"resigns", func(r *rig, e *election.Election, ctx context.Context) error {
			r.resign(e) //nolint:contextcheck // f's ends with it
			<-ctx.Done()
			return nil
		}, []error{election.ErrResigned}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBothModes(t, 1, func(r *rig, options func() []election.Option) {
				e := r.election(r.alone(0), options()...)
				ctx := context.WithValue(r.t.Context(), name{}, "host-1")
				err := e.Run(ctx, "a", func(ctx context.Context) error { return tt.work(r, e, ctx) })
				if len(tt.want) == 0 && err != nil {
					r.t.Errorf("Run: %v", err)
				}
				for _, want := range tt.want {
					wantIs(r.t, "Run", err, want)
				}
				r.wantCandidates()
			})
		})
	}
}

// A leader that is cut off stops before the next one begins.
func TestRunOfACutOffLeader(t *testing.T) {
	run(t, 2, func(r *rig) {
		t := r.t
		a, b := r.election(r.alone(0)), r.election(r.alone(1))
		var stopped, began time.Time
		next := make(chan error, 1)
		err := a.Run(t.Context(), "a", func(ctx context.Context) error {
			go func() { //nolint:contextcheck // it goes on after f
				next <- b.Run(t.Context(), "b", func(context.Context) error { began = time.Now(); return nil })
			}()
			r.cluster.Member(0).Freeze()
			<-ctx.Done()
			stopped = time.Now()
			time.Sleep(5 * time.Second) // the next one does not wait for the end of this
			r.cluster.Member(0).Thaw()
			return nil
		})
		wantIs(t, "Run", err, election.ErrLost)
		wantIs(t, "Run", err, lease.ErrExpired)
		if err := <-next; err != nil {
			t.Errorf("the next one's Run: %v", err)
		}
		if !stopped.Before(began) {
			t.Errorf("told to stop at %v, when another has led since %v", stopped, began)
		}
		r.wantCandidates()
	})
}

func TestRunWithoutLeadership(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		leader, e := r.leader(r.alone(0), "a"), r.election(r.alone(0))
		never := func(context.Context) error { t.Error("the function ran without leadership"); return nil }
		wantIs(t, "Run", e.Run(timeout(t, time.Second), "b", never), context.DeadlineExceeded)
		if err := e.Run(t.Context(), "b", nil); err == nil || err.Error() != "election: Run: the function is nil; pass what is to be done while it is held" {
			t.Errorf("Run without a function: %v", err)
		}
		r.wantCandidates("a")
		r.resign(leader)
	})
}

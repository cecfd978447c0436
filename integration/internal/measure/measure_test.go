package measure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	Child("adder", add)
	goleak.VerifyTestMain(m)
}

// add returns the sum of the task's numbers and of what it is told, until it is told that
// this is done.
func add(_ context.Context, task []int, parent *Parent) (int, error) {
	sum := 0
	for _, n := range task {
		if n < 0 {
			return 0, errors.New("negative")
		}
		sum += n
	}
	if err := parent.Ready(); err != nil {
		return 0, err
	}
	for {
		line, err := parent.Next()
		if errors.Is(err, io.EOF) {
			return sum, nil
		}
		if line == "done" {
			return sum, nil
		}
		var n int
		if _, err := fmt.Sscan(line, &n); err != nil {
			return 0, err
		}
		sum += n
	}
}

func TestProcess(t *testing.T) {
	say := func(_ context.Context, say func(string) error) error { return errors.Join(say("10"), say("20")) }
	if got, err := Process[[]int, int](t.Context(), "adder", []int{1, 2}, io.Discard, say); got != 33 || err != nil {
		t.Errorf("got %d, %v; want 33", got, err)
	}
	if got, err := Process[[]int, int](t.Context(), "adder", []int{1, 2}, io.Discard, nil); got != 3 || err != nil {
		t.Errorf("without anything said: %d, %v; want 3", got, err)
	}
}

// The process may have its result before during has ended.
func TestProcessDoesNotWait(t *testing.T) {
	for range 20 {
		wait := func(ctx context.Context, say func(string) error) error {
			_ = say("done")
			<-ctx.Done()
			return ctx.Err()
		}
		if got, err := Process[[]int, int](t.Context(), "adder", []int{1, 2}, io.Discard, wait); got != 3 || err != nil {
			t.Fatalf("got %d, %v; want 3", got, err)
		}
	}
}

// Whoever fails, the other ends, and the error says why.
func TestProcessFails(t *testing.T) {
	wait := func(ctx context.Context, _ func(string) error) error { <-ctx.Done(); return ctx.Err() }
	if _, err := Process[[]int, int](t.Context(), "adder", []int{-1}, io.Discard, wait); err == nil || !strings.Contains(err.Error(), "negative") {
		t.Errorf("the process failed: %v, want its reason", err)
	}
	refuse := func(context.Context, func(string) error) error { return os.ErrPermission }
	if _, err := Process[[]int, int](t.Context(), "adder", []int{1}, io.Discard, refuse); !errors.Is(err, os.ErrPermission) {
		t.Errorf("the parent failed: %v, want its reason", err)
	}
}

func TestMedian(t *testing.T) {
	for want, of := range map[float64][]float64{0: nil, 2: {3, 1, 2}, 2.5: {4, 1, 3, 2}} {
		if got := Median(of, func(v float64) float64 { return v }); got != want {
			t.Errorf("of %v: %v, want %v", of, got, want)
		}
	}
}

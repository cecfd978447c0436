package ctxerr_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/getcd/getcd/internal/ctxerr"
)

func TestOf(t *testing.T) {
	t.Parallel()
	why := errors.New("the server stops")
	ctx, cancel := context.WithCancelCause(t.Context())
	if err := ctxerr.Of(ctx); err != nil {
		t.Errorf("before the end: got %v, want nil", err)
	}
	cancel(why)
	if err := ctxerr.Of(ctx); !errors.Is(err, why) || !errors.Is(err, context.Canceled) || err.Error() != "context canceled: the server stops" {
		t.Errorf("with a cause: got %v, want context.Canceled and the cause", err)
	}
	late, stop := context.WithTimeoutCause(t.Context(), 0, why)
	defer stop()
	if err := ctxerr.Of(late); !errors.Is(err, why) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after a deadline with a cause: got %v, want context.DeadlineExceeded and the cause", err)
	}
	plain, stop := context.WithDeadline(t.Context(), time.Now())
	defer stop()
	if err := ctxerr.Of(plain); err != context.DeadlineExceeded { //nolint:errorlint // the very value
		t.Errorf("without a cause: got %v, want context.DeadlineExceeded itself", err)
	}
}

package cli

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/getcd/getcd/cmd/getcd/internal/exit"
)

// interrupted is why a context has ended that untilSignal has made.
type interrupted struct{ signal os.Signal }

// Error is the name of the signal.
func (e *interrupted) Error() string { return e.signal.String() }

// untilSignal derives a context that SIGINT and SIGTERM end too, with an
// *interrupted as cause. A second signal ends the process, as if the first one
// had not been heeded. stop has to be called; it ends the context with a cause.
func untilSignal(parent context.Context) (_ context.Context, stop func(cause error)) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer signal.Stop(signals)
		select {
		case sig := <-signals:
			cancel(&interrupted{sig})
		case <-ctx.Done():
		}
	}()
	return ctx, func(cause error) {
		cancel(cause)
		<-ended
	}
}

// outcome is err, unless a signal has ended ctx: then it is the exit status that
// a shell sees of a process which the signal has ended, as it does etcdctl.
func outcome(ctx context.Context, err error) error {
	e, ok := errors.AsType[*interrupted](context.Cause(ctx))
	if !ok {
		return err
	}
	sig, ok := e.signal.(syscall.Signal)
	if !ok {
		return err
	}
	return &exit.Error{Code: 128 + int(sig)}
}

package cli

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
	"sync"

	"github.com/spf13/pflag"

	"github.com/getcd/getcd/cmd/getcd/internal/exit"
	"github.com/getcd/getcd/cmd/getcd/internal/request"
	"github.com/getcd/getcd/cmd/getcd/internal/txn"
)

// errNoInput ends the watches when no more lines are to be read. A command that
// runs for one of them may come to its end.
var errNoInput = errors.New("no more lines")

// converse runs the watches that are read from stdin, until its end.
func (v *viewer) converse(ctx context.Context, env watchEnv) error {
	ctx, stop := untilSignal(ctx)
	var watches sync.WaitGroup
	failed := make(chan error, 1)
	start := func(w watchArgs) {
		watches.Go(func() {
			if err := v.run(ctx, w); err != nil {
				select {
				case failed <- err:
				default: // another one was first
				}
			}
		})
	}
	err := v.readWatches(ctx, env, start, failed)
	stop(errNoInput)
	watches.Wait()
	return outcome(ctx, err)
}

// readWatches obeys line after line. It returns why there is no other.
func (v *viewer) readWatches(ctx context.Context, env watchEnv, start func(watchArgs), failed <-chan error) error {
	lines := readLines(ctx, v.In)
	for {
		select {
		case l := <-lines:
			if l.err != nil {
				return exit.Errorf(exit.InvalidInput, "error reading watch request line: %w", l.err)
			}
			if err := v.obey(ctx, l.text, env, start); err != nil {
				return err
			}
		case err := <-failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// obey does what a line says. Some mistakes cost the line alone, others end the
// tool; which of them is etcdctl's choice.
func (v *viewer) obey(ctx context.Context, text string, env watchEnv, start func(watchArgs)) error {
	words, err := txn.Words(text)
	if err != nil {
		return exit.With(exit.InvalidInput, err)
	}
	switch {
	case len(words) == 0 || words[0] != "watch" && words[0] != "progress":
		return v.refuse(text, "want watch or progress")
	case words[0] == "progress":
		return v.refuse(text, v.watcher.RequestProgress(ctx)) // some servers have no answer; the watches go on
	case len(words) == 1 && env.key == "":
		return v.refuse(text, "watch needs a key")
	}
	var req request.Watch
	flags := watchLineFlags(&req)
	if err := flags.Parse(words[1:]); err != nil {
		return exit.With(exit.BadArgs, err)
	}
	var w watchArgs
	args, command, err := env.split(flags.Args(), flags.ArgsLenAtDash())
	if err != nil {
		return err
	}
	w.command = command
	if w.key, w.opts, err = req.Options(args); err == nil {
		start(w)
	}
	return v.refuse(text, err)
}

// refuse says what is wrong with a line, unless that is nil.
//
//go:noinline
func (v *viewer) refuse(text string, why any) error {
	if why != nil {
		say(v.Err, "Invalid command %s (%v)\n", text, why)
	}
	return nil
}

// watchLineFlags are the flags of a line, which owe nothing to those of the
// command line.
func watchLineFlags(req *request.Watch) *pflag.FlagSet {
	fs := pflag.NewFlagSet("watch", pflag.ContinueOnError)
	fs.Usage = func() {}
	req.Register(fs)
	fs.BoolP("interactive", "i", false, "") // for whoever pastes a whole command
	return fs
}

// line is a line of input without its end, or the error that came instead.
type line struct {
	text string
	err  error
}

// readLines reads in the background, until ctx ends. Nothing can interrupt a
// read of stdin, so that the goroutine may be left in one when the tool ends.
func readLines(ctx context.Context, in io.Reader) <-chan line {
	lines := make(chan line)
	go func() {
		for r := bufio.NewReader(in); ; {
			text, err := r.ReadString('\n')
			select {
			case lines <- line{strings.TrimSuffix(text, "\n"), err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return lines
}

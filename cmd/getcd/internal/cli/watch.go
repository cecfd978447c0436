package cli

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/cmd/getcd/internal/exit"
	"github.com/getcd/getcd/cmd/getcd/internal/output"
	"github.com/getcd/getcd/cmd/getcd/internal/request"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

func (a *app) watchCommand() *cobra.Command {
	var req request.Watch
	var interactive bool
	cmd := &cobra.Command{
		Use:   "watch [options] [key or prefix] [range_end] [--] [exec-command arg1 arg2 ...]",
		Short: "Print what changes, or run a command for each change",
		Long: `Print each change of a key, or of the keys from [key] up to but without
[range_end], until the process is interrupted. ETCDCTL_WATCH_KEY and
ETCDCTL_WATCH_RANGE_END stand for the arguments.

A command after '--' is run for each event, one after the other. Its environment
has ETCD_WATCH_REVISION, ETCD_WATCH_EVENT_TYPE, ETCD_WATCH_KEY and
ETCD_WATCH_VALUE; all but the first are in double quotes:
  $ getcd watch name -- sh -c 'echo "$ETCD_WATCH_VALUE"'

With --interactive, watches are read from stdin and run together. Each is a line
with flags of its own; the line "progress" asks the server how far they are:
  watch name
  watch --prefix --rev=1 names/ -- echo changed
  progress`,
		GroupID: groupKV,
		RunE: func(cmd *cobra.Command, args []string) error {
			env, err := a.watchEnv()
			if err != nil {
				return err
			}
			var w watchArgs
			if !interactive {
				if err := w.parse(&req, env, args, cmd.ArgsLenAtDash()); err != nil {
					return err
				}
			}
			s, err := a.open(cmd, output.KeyValues)
			if err != nil {
				return err
			}
			defer s.close()
			v := newViewer(s)
			defer v.close()
			if interactive {
				return v.converse(cmd.Context(), env)
			}
			return v.one(cmd.Context(), w)
		},
	}
	req.Register(cmd.Flags())
	cmd.Flags().BoolVarP(&interactive, "interactive", "i", false, "read watches from stdin, and run them together")
	return cmd
}

// watchEnv is what the environment says in place of arguments.
type watchEnv struct{ key, end string }

func (a *app) watchEnv() (env watchEnv, err error) {
	for _, item := range a.environ {
		switch name, value, _ := strings.Cut(item, "="); name {
		case envWatchKey:
			env.key = value
		case envWatchEnd:
			env.end = value
		}
	}
	if env.key == "" && env.end != "" {
		err = exit.Errorf(exit.BadArgs, "%s is %q, and %s is not set", envWatchEnd, env.end, envWatchKey)
	}
	return env, err
}

// watchArgs is one watch.
type watchArgs struct {
	key     string
	opts    []kv.OpOption
	command []string // to run for each event; empty for none
}

func (w *watchArgs) parse(req *request.Watch, env watchEnv, args []string, dash int) error {
	args, command, err := env.split(args, dash)
	if err != nil {
		return err
	}
	w.command = command
	w.key, w.opts, err = req.Options(args)
	return err
}

// split takes the command, which begins at dash, off the arguments. A negative
// dash means that there was no "--".
func (e watchEnv) split(args []string, dash int) (words, command []string, err error) {
	if dash >= 0 {
		args, command = args[:dash:dash], args[dash:]
		if len(command) == 0 {
			return nil, nil, exit.Errorf(exit.BadArgs, "'--' needs a command after it")
		}
	}
	switch {
	case e.key == "" && len(args) == 0 && len(command) == 0:
		return nil, nil, exit.Errorf(exit.BadArgs, "watch needs a key, as an argument or in %s", envWatchKey)
	case e.key == "":
		return args, command, nil
	case len(args) > 0:
		return nil, nil, exit.Errorf(exit.BadArgs, "there are two keys: %q in %s, and the argument %q", e.key, envWatchKey, args[0])
	case e.end == "":
		return []string{e.key}, command, nil
	default:
		return []string{e.key, e.end}, command, nil
	}
}

// viewer runs watches, prints what they tell, and runs commands for it.
type viewer struct {
	Streams

	watcher watch.Watcher
	print   output.Printer
	environ []string

	mu sync.Mutex // one response is printed at a time
}

// newViewer makes a viewer. Close it.
func newViewer(s *session) *viewer {
	// The buffer is wide enough for what a server sends in one response, which
	// is then printed as one, as long as stdout takes what comes.
	w := watch.New(s.Conn(), watch.WithBuffer(1<<17, 64<<20))
	return &viewer{Streams: s.settings.Streams, watcher: w, print: s.print, environ: s.settings.environ}
}

func (v *viewer) close() { _ = v.watcher.Close() } // it returns no error

// one runs a single watch until it ends.
func (v *viewer) one(ctx context.Context, w watchArgs) error {
	ctx, stop := untilSignal(ctx)
	defer stop(nil)
	err := v.run(ctx, w)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = exit.Errorf(exit.Interrupted, "watch is canceled by the server")
	}
	return outcome(ctx, err)
}

// run prints a watch's responses and runs its command for each event. When the
// watch ends it says so and returns nil; an error is about printing or the
// command.
func (v *viewer) run(ctx context.Context, w watchArgs) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the watch, if an error has ended the loop
	for resp := range v.watcher.Watch(ctx, w.key, w.opts...) {
		if ctx.Err() != nil {
			return nil
		}
		if err := v.show(&resp); err != nil {
			return err
		}
		if len(w.command) == 0 {
			continue
		}
		for _, event := range resp.Events {
			if err := v.runCommand(ctx, w.command, resp.Header.GetRevision(), event); err != nil || ctx.Err() != nil {
				return err
			}
		}
	}
	return nil
}

func (v *viewer) show(resp *watch.WatchResponse) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if resp.Canceled {
		say(v.Err, "watch was canceled (%v)\n", resp.Err())
	}
	if resp.IsProgressNotify() {
		if _, err := fmt.Fprintf(v.Out, "progress notify: %d\n", resp.Header.GetRevision()); err != nil {
			return err
		}
	}
	// Without the reason: etcdctl has it in the error alone.
	return v.print.Watch(&pb.WatchResponse{
		Header: resp.Header, Events: resp.Events, CompactRevision: resp.CompactRevision,
		Canceled: resp.Canceled, Created: resp.Created,
	})
}

// runCommand runs the command for an event and waits for it, also when ctx ends.
func (v *viewer) runCommand(ctx context.Context, command []string, revision int64, event *watch.Event) error {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(slices.Clip(v.environ), // the last one of a name counts
		fmt.Sprintf("ETCD_WATCH_REVISION=%d", revision),
		fmt.Sprintf("ETCD_WATCH_EVENT_TYPE=%q", event.GetType()),
		fmt.Sprintf("ETCD_WATCH_KEY=%q", event.GetKv().GetKey()),
		fmt.Sprintf("ETCD_WATCH_VALUE=%q", event.GetKv().GetValue()),
	)
	cmd.Stdout, cmd.Stderr = v.Out, v.Err
	cmd.Cancel = func() error {
		switch sig, ok := errors.AsType[*interrupted](context.Cause(ctx)); {
		case ok && sig.signal == syscall.SIGTERM:
			return cmd.Process.Signal(sig.signal)
		case ok, errors.Is(context.Cause(ctx), errNoInput):
			return nil // a terminal has sent its interrupt to the command, too
		default:
			return cmd.Process.Kill()
		}
	}
	if err := cmd.Run(); err != nil && ctx.Err() == nil {
		say(v.Err, "command %q error (%v)\n", command, err)
		return &exit.Error{Code: exit.Failure}
	}
	return nil
}

package bench

import (
	"context"
	"errors"
	"time"

	"github.com/getcd/getcd/integration/cluster"
)

// fault is a fault and its repair.
type fault struct {
	name, text string
	// missing says why it is not available here. It is empty if it is available.
	missing string
	// whole says that it affects the whole cluster, or that prepare chooses the
	// victim, so that roles have no meaning.
	whole bool
	// unasked says that it is not included by default and has to be requested.
	unasked bool
	// lone says that it cannot be one of several random faults.
	lone bool
	// counts says that what the clients send is counted from the first call on.
	counts bool
	// silent says that the member stops answering while its connections stay.
	silent bool
	// breaks says that connections break while calls are in progress.
	breaks bool
	// prepare, if not nil, is called before the clients connect.
	prepare func(context.Context, *stage) error
	// begin starts the fault, and end repairs it. Either may take some time.
	begin, end func(context.Context, *stage) error
}

// ongoing makes a fault of something that continues until it is ended.
func ongoing(f fault, run func(context.Context, *stage) error) fault {
	f.begin = func(ctx context.Context, s *stage) error {
		s.during(ctx, func(ctx context.Context) error { return run(ctx, s) })
		return nil
	}
	f.end = func(_ context.Context, s *stage) error { return s.halt() }
	return f
}

// slowness is the delay of a slow link in one direction.
const slowness = 200 * time.Millisecond

func faults() []fault {
	return []fault{
		{
			name: "none", text: "nothing goes wrong; what the clients send is counted",
			whole: true, unasked: true, lone: true, counts: true, begin: nothing, end: nothing,
		},
		{
			name: "kill", breaks: true, text: "SIGKILL, and a restart on the same port",
			begin: func(_ context.Context, s *stage) error { return s.victim.Kill() },
			end:   restartVictim,
		},
		{
			name: "terminate", text: "SIGTERM, a clean shutdown, and a restart on the same port",
			begin: func(_ context.Context, s *stage) error { return s.victim.Terminate() },
			end:   restartVictim,
		},
		{
			name: "sigstop", text: "SIGSTOP: the member hangs, its connections stay", silent: true,
			begin: func(_ context.Context, s *stage) error { return s.victim.Pause() },
			end:   func(_ context.Context, s *stage) error { return s.victim.Continue() },
		},
		{
			name: "blackhole", text: "nothing passes between the member and its clients; its peers reach it", silent: true,
			begin: func(_ context.Context, s *stage) error { return s.victim.ClientLink().Blackhole() },
			end:   func(_ context.Context, s *stage) error { return s.victim.ClientLink().Heal() },
		},
		{
			name: "cut", text: "connections with the member's peers are reset and refused; its clients reach it", silent: true,
			begin: func(_ context.Context, s *stage) error { return s.victim.CutPeers() },
			end:   func(_ context.Context, s *stage) error { return s.victim.HealPeers() },
		},
		{
			name: "poweroff", text: "nothing passes between the member and anybody", silent: true,
			begin: func(_ context.Context, s *stage) error {
				return errors.Join(s.victim.ClientLink().Blackhole(), s.victim.BlackholePeers())
			},
			end: func(_ context.Context, s *stage) error {
				return errors.Join(s.victim.ClientLink().Heal(), s.victim.HealPeers())
			},
		},
		{
			name: "slow", text: "what clients send to the member arrives 200 ms later",
			begin: func(_ context.Context, s *stage) error { return s.victim.ClientLink().SetDelay(slowness, 0) },
			end:   func(_ context.Context, s *stage) error { return s.victim.ClientLink().Heal() },
		},
		{
			name: "restart-all", breaks: true, text: "SIGKILL of all members, and at once a restart of all", whole: true,
			begin: func(ctx context.Context, s *stage) error {
				if err := s.cluster.Kill(); err != nil {
					return err
				}
				return s.cluster.Restart(ctx)
			},
			end: nothing,
		},
		ongoing(fault{
			name: "lossy", text: "from time to time nothing passes between the member and its clients for 200 or 600 ms, as after lost packets",
		}, lose),
		ongoing(fault{
			name: "defragment", text: "the member defragments a database of 64 MiB, again a second after each time", prepare: ballast,
		}, defragment),
		{
			name: "move", breaks: true, text: "all members move to other ports at once, and DNS follows when they are back; clientv3 has the addresses of its start", whole: true, lone: true,
			prepare: publish, begin: move, end: nothing,
		},
		{
			name: "token", text: "all members forget all tokens at once", whole: true,
			prepare: enableAuth, begin: expireTokens, end: nothing,
		},
		{
			name: "disk", text: "the member's disk stalls: every fsync and fdatasync waits (held by seccomp_unotify(2), which needs no root)", silent: true,
			missing: unsupported(cluster.DisksSupported()),
			begin:   func(ctx context.Context, s *stage) error { return s.victim.StallDisk(ctx) },
			end:     func(ctx context.Context, s *stage) error { return s.victim.HealDisk(ctx) },
		},
		learner(),
		{
			name: "replace", breaks: true, text: "the member is removed from the cluster and exits; a new one then takes its place and its endpoint",
			begin: dismiss, end: replace,
		},
	}
}

// learner is a fault that ends with the removal of a learner.
func learner() fault {
	f := ongoing(fault{
		name: "learner", breaks: true,
		text:  "a learner is among the endpoints when the connections to all others break; it is promoted halfway, and removed at the end",
		whole: true, lone: true, prepare: addLearner,
	}, promoteLater)
	f.end = func(ctx context.Context, s *stage) error { return errors.Join(s.halt(), dismiss(ctx, s)) }
	return f
}

// unsupported returns the text of an error, or an empty string.
func unsupported(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func restartVictim(ctx context.Context, s *stage) error { return s.victim.Restart(ctx) }

// nothing is the repair of faults that end by themselves.
func nothing(context.Context, *stage) error { return nil }

package etcdctltest

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// put returns the function of a step that puts a pair.
func (b *bench) put(t *testing.T, key, value string) func() {
	t.Helper()
	return func() {
		if _, err := b.kv.Put(t.Context(), &pb.PutRequest{Key: []byte(key), Value: []byte(value)}); err != nil {
			t.Error(err)
		}
	}
}

func (b *bench) del(t *testing.T, key string) func() {
	t.Helper()
	return func() {
		if _, err := b.kv.DeleteRange(t.Context(), &pb.DeleteRangeRequest{Key: []byte(key)}); err != nil {
			t.Error(err)
		}
	}
}

// several changes several keys at one revision.
func (b *bench) several(t *testing.T, value string, keys ...string) func() {
	t.Helper()
	return func() {
		r := &pb.TxnRequest{}
		for _, k := range keys {
			r.Success = append(r.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestPut{
				RequestPut: &pb.PutRequest{Key: []byte(k), Value: []byte(value)},
			}})
		}
		if _, err := b.kv.Txn(t.Context(), r); err != nil {
			t.Error(err)
		}
	}
}

// rest is what etcdctl, which writes some formats in pieces, prints after the
// value of an event, and after the first piece of a progress notification.
type rest struct{ value, progress []string }

func restOf(format string) rest {
	switch format {
	case "json":
		end := `"CancelReason":""}` + "\n"
		return rest{[]string{end}, []string{end}}
	case "fields":
		return rest{[]string{`"Lease" : 0`, "\n"}, []string{`"RaftTerm" : `, "\n"}}
	case "protobuf":
		return rest{}
	default:
		return rest{[]string{"\n"}, []string{"\n"}}
	}
}

func (b *bench) watches(t *testing.T) {
	b.watchMistakes(t)
	b.watchEnds(t)
	b.watchHistory(t)
	for _, format := range []string{"simple", "json", "fields"} {
		b.watchLive(t, format)
		b.watchCommands(t, format)
	}
	b.watchCommandsEnd(t)
	b.watchPromises(t)
}

// watchHistory replays the history, on one state and in every format.
func (b *bench) watchHistory(t *testing.T) {
	t.Helper()
	base := b.wipe(t)
	b.put(t, "k", "value one")()
	b.put(t, "k", "<&>\x00\xff\n")()
	b.put(t, "k0", "value three")()
	b.del(t, "k")()
	for i := range 30 {
		b.put(t, fmt.Sprint("k", i%4), fmt.Sprint("value ", i))()
	}
	b.several(t, "the last one", "k", "k1", "k2", "ключ")()
	for _, format := range []string{"simple", "json", "fields", "protobuf"} {
		for _, tt := range []struct {
			flags []string
			last  int // events in the last revision
		}{
			{[]string{"k"}, 1},
			{[]string{"k", "--prefix"}, 3},
			{[]string{"--prev-kv", "k"}, 1},
			{[]string{"k", "k2"}, 2},
			{[]string{"--hex", "k", "--prefix", "--prev-kv"}, 3},
			{[]string{"--prefix", ""}, 4},
			{[]string{"", "k2"}, 2},
			{[]string{"k", ""}, 1},
			{[]string{"ключ"}, 1},
		} {
			b.sameHeld(t, dialogue{
				invocation: at(words(append([]string{"watch", "-w=" + format, fmt.Sprintf("--rev=%d", base+1)}, tt.flags...)...)),
				steps:      []step{{await: append(slices.Repeat([]string{"the last one"}, tt.last), restOf(format).value...)}},
			})
		}
	}
}

// watchLive compares changes that are made one at a time. Each watch starts with
// the next revision, so that it misses none, whenever the server receives it.
func (b *bench) watchLive(t *testing.T, name string) {
	t.Helper()
	b.held(t, func(base int64) dialogue {
		return dialogue{
			invocation: at(words("watch", "-w="+name, fmt.Sprintf("--rev=%d", base+1), "--prefix", "k", "--prev-kv")),
			steps: []step{
				{do: b.put(t, "k", "value one"), await: []string{"value one"}},
				{do: b.put(t, "k", "value two"), await: []string{"value two"}},
				{do: b.put(t, "other", "not seen")},
				{do: b.del(t, "k"), await: []string{"value two"}},
				{do: b.several(t, "value five", "k", "k5", "kk", "l"), await: []string{"value five"}},
				{do: b.put(t, "kk", "value six"), await: append([]string{"value six"}, restOf(name).value...)},
			},
		}
	})
	// The server decides how often it reports progress by itself.
	b.held(t, func(base int64) dialogue {
		return dialogue{
			invocation: at(words("watch", "-w="+name, "k", "--progress-notify", fmt.Sprintf("--rev=%d", base+1))),
			steps: []step{
				{do: b.put(t, "k", "a value"), await: []string{"a value"}},
				{await: append([]string{"progress notify"}, restOf(name).progress...)},
			},
			distinct: true,
		}
	})
}

// watchCommands runs commands for events.
func (b *bench) watchCommands(t *testing.T, name string) {
	t.Helper()
	const show = `echo "$ETCD_WATCH_EVENT_TYPE $ETCD_WATCH_KEY $ETCD_WATCH_VALUE"; env | grep -a ^ETCD_WATCH | sort; echo done`
	b.held(t, func(base int64) dialogue {
		return dialogue{
			invocation: at(words("watch", "-w="+name, fmt.Sprintf("--rev=%d", base+1), "k", "--prefix", "--", "sh", "-c", show)),
			steps: []step{
				{do: b.put(t, "k", "value one"), await: []string{"done\n"}},
				{do: b.put(t, "k", "a \"quote\" and\nlines \x00\xff"), await: []string{"done\n"}},
				{do: b.del(t, "k"), await: []string{"done\n"}},
				{do: b.several(t, "value four", "k1", "k2"), await: []string{"done\n", "done\n"}},
			},
		}
	})
}

// watchCommandsEnd tests how commands may end.
func (b *bench) watchCommandsEnd(t *testing.T) {
	t.Helper()
	b.held(t, func(base int64) dialogue { // the variable in the environment is replaced
		i := at(words("watch", fmt.Sprintf("--rev=%d", base+1), "--", "sh", "-c", "echo $ETCD_WATCH_KEY; cat; echo done"))
		i.env = append(i.env, "ETCDCTL_WATCH_KEY=k", "ETCDCTL_WATCH_RANGE_END=l", "ETCD_WATCH_KEY=outer")
		return dialogue{invocation: i, steps: []step{{do: b.put(t, "k3", "v"), await: []string{"done\n"}}}}
	})
	for _, command := range [][]string{{"false"}, {"sh", "-c", "exit 7"}, {"no-such-command-anywhere"}} {
		b.held(t, func(base int64) dialogue {
			i := at(words(append([]string{"watch", fmt.Sprintf("--rev=%d", base+1), "k", "--"}, command...)...))
			return dialogue{invocation: i, steps: []step{{do: b.put(t, "k", "a value")}}, ends: true}
		})
	}
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGTERM} {
		b.held(t, func(base int64) dialogue {
			return dialogue{
				invocation: words("--endpoints", "‹eps›", "watch", "k", fmt.Sprintf("--rev=%d", base+1)), end: sig,
				steps: []step{{do: b.put(t, "k", "a value"), await: []string{"a value\n"}}},
			}
		})
	}
}

// watchPromises are the intended differences of getcd's watch.
func (b *bench) watchPromises(t *testing.T) {
	t.Helper()
	rev := b.wipe(t)
	vars := strings.NewReplacer(b.vars...)
	// It refuses arguments that would be ignored.
	if r := b.getcdRun(t, at(sh("watch a b c"))); r.code != 128 || !strings.Contains(r.stderr, "'--'") {
		t.Errorf("watch a b c: got exit status %d, stderr %q, want 128 and a hint", r.code, r.stderr)
	}
	// A command with the name of an argument is not mistaken for the argument.
	b.put(t, "echo", "a value")()
	r := hold(t, b.getcd, dialogue{
		invocation: at(words("watch", "echo", fmt.Sprintf("--rev=%d", rev), "--", "echo", "echo")),
		steps:      []step{{await: []string{"a value\n", "echo\n"}}},
	}, vars)
	if want := "PUT\necho\na value\necho\n"; r.stdout != want || r.code != 130 {
		t.Errorf("got exit status %d, stdout %q, want 130, %q", r.code, r.stdout, want)
	}
	// It does not leave a command running, since it also forwards SIGTERM.
	r = hold(t, b.getcd, dialogue{
		invocation: at(words("watch", "echo", fmt.Sprintf("--rev=%d", rev), "--",
			"sh", "-c", `trap 'echo told; exit 7' TERM; echo started; while :; do sleep 0.01; done`)),
		steps: []step{{await: []string{"started\n"}}}, end: syscall.SIGTERM,
	}, vars)
	if want := "PUT\necho\na value\nstarted\ntold\n"; r.stdout != want || r.code != 143 {
		t.Errorf("got exit status %d, stdout %q, want 143, %q", r.code, r.stdout, want)
	}
}

// watchEnds are watches that the server ends.
func (b *bench) watchEnds(t *testing.T) {
	t.Helper()
	b.wipe(t)
	for i := range 5 {
		b.put(t, "k", fmt.Sprint("value ", i))()
	}
	rev := b.wipe(t)
	if _, err := b.kv.Compact(t.Context(), &pb.CompactionRequest{Revision: rev - 1}); err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"simple", "json", "fields", "protobuf"} {
		b.same(t, at(words("watch", "k", fmt.Sprintf("--rev=%d", rev-3), "-w="+format)))
		b.same(t, at(words("watch", "k", "--rev=-1", "-w="+format)))
		b.same(t, at(words("watch", "k", "a", "-w="+format))) // an empty range
	}
	b.same(t, at(words("watch", "k", fmt.Sprintf("--rev=%d", rev-3), "--", "echo", "hi")))
}

func (b *bench) watchMistakes(t *testing.T) {
	t.Helper()
	b.pairs(t, 3)
	for _, i := range []invocation{
		sh("watch"), sh("watch --prefix"), sh("watch k l --prefix"), sh("watch k --"), sh("watch k l --"), sh("watch --"),
		sh("watch -- echo hi"), sh("watch k --rev=x"), sh("watch k --nonsense"), sh("watch k -w xml"), sh("watch k --prefix=maybe"),
		sh("watch key00 --rev=1 -w table"), sh("watch k --cert=nosuchfile"),
		sh("watch").with("ETCDCTL_WATCH_RANGE_END=l"),
		sh("watch -i").with("ETCDCTL_WATCH_RANGE_END=l"),
		sh("watch k").with("ETCDCTL_WATCH_KEY=k"),
		sh("watch k -- echo hi").with("ETCDCTL_WATCH_KEY=k"),
		sh("watch --prefix").with("ETCDCTL_WATCH_KEY=k", "ETCDCTL_WATCH_RANGE_END=l"),
		sh("watch -- ").with("ETCDCTL_WATCH_KEY=k"),
	} {
		b.same(t, at(i))
	}
	// Interactively, each line alone, followed by the end of the input.
	for _, line := range []string{
		"", "\n", "nonsense\n", "watch\n", "watch --prefix\n", "watch --nonsense\n", "watch k --rev=x\n", "watch k --\n", "watch k l --prefix\n",
		"watch -- echo hi\n", "watch \"bad \\q escape\"\n", "progress", "watch k", "\n\n  \nprogress\nfrob\n",
	} {
		b.same(t, at(sh("watch -i").in(line)))
		b.same(t, at(sh("watch -i --prefix").in(line)).with("ETCDCTL_ENDPOINTS=‹ep0›", "ETCDCTL_WATCH_KEY=env"))
	}
}

func (b *bench) interactiveWatches(t *testing.T) {
	for _, format := range []string{"simple", "json", "fields"} {
		b.held(t, func(base int64) dialogue {
			next := fmt.Sprintf("--rev=%d", base+1)
			return dialogue{
				invocation: at(words("watch", "-i", "-w="+format, "--prefix", "--rev=1")), // these are ignored
				steps: []step{
					{say: "nonsense"},
					{say: "watch a " + next, do: b.put(t, "a", "value one"), await: []string{"value one"}},
					{say: "progress", await: append([]string{"progress notify"}, restOf(format).progress...)},
					{say: "watch --prefix b --prev-kv --rev=" + fmt.Sprint(base+2), do: b.put(t, "bb", "value two"), await: []string{"value two"}},
					{do: b.put(t, "aa", "not seen")},
					{do: b.put(t, "bb", "value three"), await: []string{"value three"}},
					{say: `watch "two words" 'two wordt' -i --rev=` + fmt.Sprint(base+5) + ` -- sh -c "echo ran for $ETCD_WATCH_KEY"`, do: b.put(t, "two words", "value four"), await: []string{"ran for"}},
					{say: "frob"},
					{do: b.put(t, "two words", "value five"), await: []string{"ran for", "\n"}},
				},
			}
		})
	}
	// The keys of watches come from the environment.
	b.held(t, func(base int64) dialogue {
		i := at(sh("watch -i"))
		i.env = append(i.env, "ETCDCTL_WATCH_KEY=a")
		return dialogue{invocation: i, steps: []step{
			{say: "watch --rev=" + fmt.Sprint(base+1), do: b.put(t, "a", "value one"), await: []string{"value one"}},
			{say: "watch --prefix --rev=" + fmt.Sprint(base+2) + " -- echo for the other", do: b.put(t, "ab", "value two"), await: []string{"for the other\n"}},
		}}
	})
	// A command that fails ends the tool; a watch that ends does not.
	b.held(t, func(base int64) dialogue {
		return dialogue{ends: true, invocation: at(sh("watch -i")), steps: []step{
			{say: "watch a --rev=-1"},
			{say: fmt.Sprintf("watch a --rev=%d", base+1), do: b.put(t, "a", "value one"), await: []string{"value one"}},
			{say: fmt.Sprintf("watch b --rev=%d -- false", base+2), do: b.put(t, "b", "value two")},
		}}
	})
}

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/getcd/getcd/cmd/getcd/internal/exit"
	"github.com/getcd/getcd/cmd/getcd/internal/output"
	"github.com/getcd/getcd/cmd/getcd/internal/request"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// How watch prints, and its commands, are compared with etcdctl in the
// integration module. Here is what that comparison cannot reach.

func TestWatchArguments(t *testing.T) {
	const noDash = -1
	for _, tt := range []struct {
		args      string
		dash      int
		env       watchEnv
		key, end  string
		command   string
		wantError string
	}{
		{args: "k", dash: noDash, key: "k"},
		{args: "k l", dash: noDash, key: "k", end: "l"},
		{args: "k echo hi", dash: 1, key: "k", command: "echo hi"},
		{args: "k l echo hi", dash: 2, key: "k", end: "l", command: "echo hi"},
		{args: "echo echo echo", dash: 1, key: "echo", command: "echo echo"}, // etcdctl looks for the last one
		{dash: noDash, env: watchEnv{key: "k"}, key: "k"},
		{dash: noDash, env: watchEnv{key: "k", end: "l"}, key: "k", end: "l"},
		{args: "echo hi", dash: 0, env: watchEnv{key: "k", end: "l"}, key: "k", end: "l", command: "echo hi"},
		{args: "", dash: noDash, wantError: "needs a key"},
		{args: "k", dash: 1, wantError: "needs a command"},
		{args: "", dash: 0, env: watchEnv{key: "k"}, wantError: "needs a command"},
		{args: "echo hi", dash: 0, wantError: "needs a key"},
		{args: "a b c", dash: noDash, wantError: "after '--'"},
		{args: "k", dash: noDash, env: watchEnv{key: "k"}, wantError: "two keys"},
		{args: "k echo", dash: 1, env: watchEnv{key: "k"}, wantError: "two keys"},
	} {
		var w watchArgs
		var req request.Watch
		err := w.parse(&req, tt.env, strings.Fields(tt.args), tt.dash)
		if tt.wantError != "" {
			if err == nil || !strings.Contains(err.Error(), tt.wantError) || exit.Code(err) != exit.BadArgs {
				t.Errorf("%q with %+v: got error %v, want one with %q and status %d", tt.args, tt.env, err, tt.wantError, exit.BadArgs)
			}
			continue
		}
		op := kv.OpWatch(w.key, w.opts...)
		if err != nil || w.key != tt.key || string(op.RangeBytes()) != tt.end || strings.Join(w.command, " ") != tt.command {
			t.Errorf("%q with %+v: got %+v up to %q, error %v; want %+v", tt.args, tt.env, w, op.RangeBytes(), err, tt)
		}
	}
}

// transcript is output that a test can wait for.
type transcript struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	added chan struct{}
}

func newTranscript() *transcript { return &transcript{added: make(chan struct{}, 1)} }

func (s *transcript) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.added <- struct{}{}:
	default:
	}
	return s.buf.Write(p)
}

func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

func (s *transcript) await(t *testing.T, text string) {
	t.Helper()
	limit := time.After(20 * time.Second)
	for !strings.Contains(s.String(), text) {
		select {
		case <-s.added:
		case <-limit:
			t.Fatalf("no %q in %q", text, s)
		}
	}
}

// stage is a viewer on a fake cluster.
type stage struct {
	*viewer
	store    kv.KV
	out, err *transcript
	in       *io.PipeWriter
}

func newStage(t *testing.T, format string) *stage {
	t.Helper()
	c := etcdtest.Start(t, 1)
	s := &stage{store: kv.New(c.Conn(t)), out: newTranscript(), err: newTranscript()}
	in, w := io.Pipe()
	s.in = w
	p, err := output.New(output.Options{Format: format, Out: s.out, Err: s.err})
	if err != nil {
		t.Fatal(err)
	}
	s.viewer = &viewer{
		Streams: Streams{In: in, Out: s.out, Err: s.err},
		watcher: watch.New(c.Conn(t)), print: p, environ: []string{"PATH=/usr/bin:/bin", "ETCD_WATCH_KEY=outer"},
	}
	t.Cleanup(func() {
		_ = w.Close() // and with it the reader of lines
		s.close()
	})
	return s
}

func (s *stage) put(t *testing.T, key, value string) {
	t.Helper()
	if _, err := s.store.Put(t.Context(), key, value); err != nil {
		t.Fatal(err)
	}
}

func (s *stage) say(t *testing.T, line string) {
	t.Helper()
	if _, err := io.WriteString(s.in, line+"\n"); err != nil {
		t.Error(err)
	}
}

func TestWatchUntilSignal(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		s := newStage(t, "simple")
		s.put(t, "k", "v")
		done := make(chan error, 1)
		go func() { done <- s.one(t.Context(), watchArgs{key: "k", opts: []kv.OpOption{kv.WithRev(2)}}) }()
		s.out.await(t, "v\n")
		if err := syscall.Kill(syscall.Getpid(), sig); err != nil {
			t.Fatal(err)
		}
		err := <-done
		if said, ok := errors.AsType[*exit.Error](err); !ok || said.Code != 128+int(sig) || said.Err != nil {
			t.Errorf("%v: got %v, want status %d without words", sig, err, 128+int(sig))
		}
		if s.out.String() != "PUT\nk\nv\n" || s.err.String() != "" {
			t.Errorf("%v: got stdout %q, stderr %q", sig, s.out, s.err)
		}
	}
}

func TestWatchUntilContextEnds(t *testing.T) {
	s := newStage(t, "simple")
	s.put(t, "k", "v")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- s.one(ctx, watchArgs{
			key: "k", opts: []kv.OpOption{kv.WithRev(2)}, command: []string{"sh", "-c", "echo started; exec sleep 1000"},
		})
	}()
	s.out.await(t, "started")
	cancel() // kills the command
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func TestWatchEndedByServer(t *testing.T) {
	s := newStage(t, "json")
	s.put(t, "k", "1")
	s.put(t, "k", "2")
	if _, err := s.store.Compact(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	err := s.one(t.Context(), watchArgs{key: "k", opts: []kv.OpOption{kv.WithRev(2)}})
	if exit.Code(err) != exit.Interrupted {
		t.Errorf("got %v, want status %d", err, exit.Interrupted)
	}
	// etcd's header has no revision here.
	if !strings.Contains(s.out.String(), `"raft_term":2}`) || !strings.Contains(s.out.String(), `"CompactRevision":3,"Canceled":true`) {
		t.Errorf("stdout is %q, want the server's header and the revision", s.out)
	}
	if !strings.Contains(s.err.String(), "watch was canceled (") {
		t.Errorf("stderr is %q, want the cause", s.err)
	}
}

func TestConverse(t *testing.T) {
	s := newStage(t, "simple")
	done := make(chan error, 1)
	go func() { done <- s.converse(t.Context(), watchEnv{}) }()
	s.say(t, "nonsense")
	s.say(t, "watch k l --prefix")
	s.say(t, "watch gone --rev=-1") // ends, and nothing else does
	s.err.await(t, "watch was canceled")
	s.say(t, "watch a --rev=2")
	s.put(t, "a", "one")
	s.out.await(t, "one\n")
	s.say(t, "progress")
	s.out.await(t, "progress notify: 2\n")
	s.say(t, `watch 'b c' --rev=3 -- sh -c 'echo "for $ETCD_WATCH_KEY $ETCD_WATCH_VALUE"'`)
	s.put(t, "b c", "two")
	s.out.await(t, "for \"b c\" \"two\"\n")
	s.say(t, "watch c --rev=4 -- sh -c 'echo began; sleep 0.2; echo ended; exit 1'")
	s.put(t, "c", "three")
	s.out.await(t, "began\n")
	_ = s.in.Close()
	if err := <-done; exit.Code(err) != exit.InvalidInput || !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want the end of input and status %d", err, exit.InvalidInput)
	}
	// A command that runs comes to its end; how it ends, nobody asks any more.
	const want = "PUT\na\none\nprogress notify: 2\nPUT\nb c\ntwo\nfor \"b c\" \"two\"\nPUT\nc\nthree\nbegan\nended\n"
	if s.out.String() != want {
		t.Errorf("stdout\n got %q\nwant %q", s.out, want)
	}
	for _, part := range []string{"Invalid command nonsense (", "Invalid command watch k l --prefix ("} {
		if !strings.Contains(s.err.String(), part) {
			t.Errorf("stderr lacks %q: %q", part, s.err)
		}
	}
}

// mute is a watcher on a server that answers no requests for progress.
type mute struct{ watch.Watcher }

func (mute) RequestProgress(context.Context) error {
	return fmt.Errorf("this server is mute: %w", errors.ErrUnsupported)
}

func TestConverseWithAMuteServer(t *testing.T) {
	s := newStage(t, "simple")
	s.watcher = mute{s.watcher}
	done := make(chan error, 1)
	go func() { done <- s.converse(t.Context(), watchEnv{}) }()
	s.say(t, "watch a --rev=2")
	s.say(t, "progress")
	s.err.await(t, "Invalid command progress (this server is mute")
	s.put(t, "a", "one")
	s.out.await(t, "one\n")
	_ = s.in.Close()
	if err := <-done; exit.Code(err) != exit.InvalidInput {
		t.Errorf("got %v, want the end of input", err)
	}
}

func TestConverseEnds(t *testing.T) {
	for _, tt := range []struct {
		line string
		env  watchEnv
		code int
	}{
		{"watch --nonsense", watchEnv{}, exit.BadArgs},
		{"watch k --", watchEnv{}, exit.BadArgs},
		{"watch --prefix", watchEnv{}, exit.BadArgs},
		{"watch k", watchEnv{key: "k"}, exit.BadArgs},
		{`watch "bad \q"`, watchEnv{}, exit.InvalidInput},
		{"watch k --rev=2 -- false", watchEnv{}, exit.Failure},
	} {
		s := newStage(t, "simple")
		s.put(t, "k", "v")
		done := make(chan error, 1)
		go func() { done <- s.converse(t.Context(), tt.env) }()
		s.say(t, tt.line)
		if err := <-done; exit.Code(err) != tt.code {
			t.Errorf("%s: got %v, want status %d", tt.line, err, tt.code)
		}
	}
}

package grpcproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/integration/internal/child"
	"github.com/getcd/getcd/integration/loopback"
)

// Config says what to run.
type Config struct {
	// Endpoints are the members' endpoints, as "host:port" or URLs. There must be
	// at least one.
	Endpoints []string
	// Flags are additional flags of "etcd grpc-proxy start", such as
	// "--namespace=app/".
	Flags []string
}

// Proxy is a gRPC proxy. Only Endpoint and Log are safe for concurrent use.
type Proxy struct {
	cfg  Config
	port *loopback.Port
	dir  string

	life *life // nil while it is not running
}

// life is one process of the proxy.
type life struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser // open as long as the proxy should live
	exited chan struct{}  // closed when the process is gone and reaped
}

// Start starts a proxy and returns when it serves or ctx ends.
func Start(ctx context.Context, cfg Config) (*Proxy, error) {
	if len(cfg.Endpoints) == 0 {
		return nil, errors.New("grpcproxy: Config.Endpoints is empty; name at least one member")
	}
	if !mainCalled.Load() {
		return nil, errors.New("grpcproxy: Main was not called; call it first in main or TestMain")
	}
	port, err := loopback.Reserve()
	if err != nil {
		return nil, fmt.Errorf("grpcproxy: %w", err)
	}
	dir, err := os.MkdirTemp("", "grpcproxy")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("grpcproxy: %w", err), port.Release())
	}
	p := &Proxy{cfg: cfg, port: port, dir: dir}
	if err := p.Restart(ctx); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

// Endpoint returns the proxy's address, "host:port". It is the same after a
// restart.
func (p *Proxy) Endpoint() string { return p.port.Address() }

// Kill kills the process with SIGKILL and waits for it. Clients are refused until
// Restart.
func (p *Proxy) Kill() {
	if p.life == nil {
		return
	}
	_ = p.life.cmd.Process.Kill() // fails only if the process is already gone
	<-p.life.exited
	p.life = nil
}

// Restart kills the proxy if it is running, starts another one at the same
// endpoint, and returns when it serves or ctx ends.
func (p *Proxy) Restart(ctx context.Context) error {
	p.Kill()
	if err := p.start(); err != nil {
		return fmt.Errorf("grpcproxy: %w", err)
	}
	if err := p.await(ctx); err != nil {
		return fmt.Errorf("grpcproxy: the proxy does not serve: %w; its log ends with:\n%s", err, p.Log())
	}
	return nil
}

// Stop ends the proxy and removes its files.
func (p *Proxy) Stop() error {
	p.Kill()
	return errors.Join(p.port.Release(), os.RemoveAll(p.dir))
}

// Log returns the last output of all of the proxy's processes, at most 16 KiB.
func (p *Proxy) Log() string {
	b, err := os.ReadFile(p.logPath())
	if err != nil {
		return ""
	}
	return string(b[max(0, len(b)-16<<10):])
}

// Logged counts the lines with the given text in the log of all of the proxy's
// processes.
func (p *Proxy) Logged(text string) int {
	b, err := os.ReadFile(p.logPath())
	if err != nil {
		return 0
	}
	n := 0
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

func (p *Proxy) logPath() string { return filepath.Join(p.dir, "log") }

func (p *Proxy) start() error {
	program, err := child.Program()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(p.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }() // the process has its own descriptor
	cmd := exec.Command(program)       //nolint:noctx // the proxy outlives the call that starts it; Kill ends it
	cmd.Args = append([]string{
		"etcd", "grpc-proxy", "start",
		"--endpoints=" + strings.Join(p.cfg.Endpoints, ","),
		"--listen-addr=" + p.port.Address(),
		"--advertise-client-url=" + p.port.Address(),
		"--data-dir=" + p.dir,
	}, p.cfg.Flags...)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), ofProxies), proxyEnv+"=1")
	cmd.Dir = p.dir
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = processAttributes()
	l := &life{cmd: cmd, exited: make(chan struct{})}
	if l.stdin, err = cmd.StdinPipe(); err != nil {
		return err
	}
	started := make(chan error, 1)
	go l.run(started)
	if err := <-started; err != nil {
		return err
	}
	p.life = l
	return nil
}

// run starts and reaps the process on one thread. Linux sends Pdeathsig when the
// thread that started the child exits. For an unlocked goroutine that can happen
// at any time; for this one, it happens when the whole program dies.
func (l *life) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := l.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	_ = l.cmd.Wait() // it was killed, or its log has the reason
	close(l.exited)
}

// ofProxies reports whether the variable configures an HTTP proxy, which would
// divert the connections to the members.
func ofProxies(variable string) bool {
	key, _, _ := strings.Cut(variable, "=")
	switch strings.ToUpper(key) {
	case "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY":
		return true
	}
	return strings.HasPrefix(key, "ETCD_")
}

// await returns when a member has answered a read through the proxy, even with a
// refusal.
func (p *Proxy) await(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func(exited <-chan struct{}) {
		select {
		case <-exited:
			cancel(errors.New("the process has ended"))
		case <-ctx.Done():
		}
	}(p.life.exited)
	conn, err := grpc.NewClient(p.Endpoint(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	for {
		call, over := context.WithTimeout(ctx, time.Second)
		_, err := pb.NewKVClient(conn).Range(call, &pb.RangeRequest{Key: []byte("grpcproxy")})
		over()
		if code := status.Code(err); code != codes.Unavailable && code != codes.DeadlineExceeded && code != codes.Canceled {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
			conn.ResetConnectBackoff()
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

package frontproxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/getcd/getcd/integration/loopback"
)

// Proxy is a running proxy program. The caller must call Stop.
type Proxy struct {
	port *loopback.Port
	dir  string
	cmd  *exec.Cmd
	log  *output
	done chan struct{} // closed when the program has ended

	stopping sync.Once
}

// streamModule is the path of Debian's libnginx-mod-stream.
const streamModule = "/usr/lib/nginx/modules/ngx_stream_module.so"

// Start runs the program and returns when it listens. The error is
// exec.ErrNotFound if the program, or a part of it, is not installed.
func Start(ctx context.Context, cfg Config) (*Proxy, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	program := "nginx"
	switch cfg.Kind {
	case HAProxyTCP, HAProxyH2:
		program = "haproxy"
	case NginxTCP:
		if _, err := os.Stat(streamModule); err != nil {
			return nil, fmt.Errorf("frontproxy: %s is missing (Debian: apt-get install libnginx-mod-stream): %w", streamModule, exec.ErrNotFound)
		}
	case NginxGRPC, NginxHTTP:
	default:
		return nil, fmt.Errorf("frontproxy: Config.Kind is %q: must be one of %q", cfg.Kind, append(Kinds(), NginxHTTP))
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return nil, fmt.Errorf("frontproxy: %w (Debian: apt-get install %s)", err, program)
	}
	p := &Proxy{log: new(output), done: make(chan struct{})}
	if p.port, err = loopback.Reserve(); err != nil {
		return nil, err
	}
	if p.dir, err = os.MkdirTemp("", "frontproxy"); err != nil {
		return nil, errors.Join(err, p.port.Release())
	}
	if err := p.run(ctx, program, path, cfg); err != nil {
		return nil, errors.Join(err, p.clean())
	}
	if err := p.listens(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("frontproxy: %s does not listen: %w\n%s", program, err, p.Log()), p.Stop())
	}
	return p, nil
}

func (p *Proxy) run(ctx context.Context, program, path string, cfg Config) error {
	file := filepath.Join(p.dir, "config")
	text, args := cfg.haproxy(p.Address()), []string{"-db", "-f", file}
	if program == "nginx" {
		text, args = cfg.nginx(p.Address(), streamModule), []string{"-p", p.dir, "-c", file, "-e", "stderr"}
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	p.cmd = exec.CommandContext(context.WithoutCancel(ctx), path, args...) // Stop ends it
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = processAttributes()
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("frontproxy: %w", err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // a signal ended it
	}()
	return nil
}

func (p *Proxy) listens(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", p.Address())
		if err == nil {
			return conn.Close()
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-p.done:
			return errors.New("it has ended")
		case <-ctx.Done():
			return err
		}
	}
}

// Address returns the proxy's address, "127.0.0.1:port".
func (p *Proxy) Address() string { return p.port.Address() }

// Log returns the program's output.
func (p *Proxy) Log() string { return p.log.String() }

// Stop ends the program at once and removes its files. It may be called more than
// once.
func (p *Proxy) Stop() (err error) {
	p.stopping.Do(func() {
		_ = p.cmd.Process.Signal(syscall.SIGKILL) // it may already have ended
		<-p.done
		err = p.clean()
	})
	return err
}

func (p *Proxy) clean() error { return errors.Join(os.RemoveAll(p.dir), p.port.Release()) }

// output keeps the last part of what is written to it.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

const maxOutput = 64 << 10

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.b.Len() > maxOutput {
		o.b.Next(o.b.Len() / 2)
	}
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.TrimSpace(o.b.String())
}

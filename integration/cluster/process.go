package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/getcd/getcd/integration/internal/child"
)

// process is one process of a member.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser // open as long as the member should live

	serving chan struct{} // closed when the member serves its peers
	exited  chan struct{} // closed when the process is gone and reaped
	err     error         // why; valid once exited is closed
	watched chan struct{} // closed when Member.watch has processed the end
}

// servingLine is printed by a member when it serves its peers.
const servingLine = "getcd-cluster: serving peers\n"

// output appends what a member prints, except for servingLine, to its log.
type output struct {
	log     *os.File
	serving chan struct{}
	said    bool
}

func (o *output) Write(b []byte) (int, error) {
	rest := b
	if before, after, found := bytes.Cut(b, []byte(servingLine)); found && !o.said {
		o.said = true
		close(o.serving)
		rest = slices.Concat(before, after)
	}
	if _, err := o.log.Write(rest); err != nil {
		return 0, err
	}
	return len(b), nil
}

// startProcess starts the member that spec describes, with the working directory
// dir, and appends its output to logPath. The process is either an etcd binary or
// child.Program, which becomes the member itself, or becomes the binary once it
// controls its disk. Its goroutine ends with the process; wait for exited to join
// it.
func startProcess(spec *memberSpec, dir, logPath string) (*process, error) {
	program, err := child.Program()
	if err != nil {
		return nil, err
	}
	described, err := json.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("describing the member: %w", err)
	}
	// The member's previous process may have left its sockets behind; etcd 3.4
	// does not remove them.
	for _, name := range []string{controlSocket, clientSocket, peerSocket} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	logFile, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	var cmd *exec.Cmd
	direct := spec.Server != "" && !spec.Disks
	if direct {
		cmd = spec.command()
		cmd.Env = memberEnvironment()
	} else {
		cmd = exec.Command(program) //nolint:noctx // a member outlives the call that starts it; process.kill ends it
		cmd.Args = []string{"etcd-" + spec.Name}
		cmd.Env = append(memberEnvironment(), memberEnv+"="+spec.Name)
	}
	cmd.Dir = dir
	p := &process{
		cmd:     cmd,
		serving: make(chan struct{}),
		exited:  make(chan struct{}),
		watched: make(chan struct{}),
	}
	cmd.Stdout, cmd.Stderr = &output{log: logFile, serving: p.serving}, logFile
	cmd.SysProcAttr = processAttributes()
	p.stdin, err = cmd.StdinPipe()
	if err == nil {
		started := make(chan error, 1)
		go p.run(logFile, started)
		err = <-started
	}
	if err != nil {
		return nil, errors.Join(err, logFile.Close())
	}
	if direct {
		return p, nil
	}
	// The description fits into the pipe's buffer. If the child dies meanwhile,
	// its exit says more than this error.
	if _, err := p.stdin.Write(append(described, '\n')); err != nil {
		p.kill()
		return nil, fmt.Errorf("describing the member to its process: %w", err)
	}
	return p, nil
}

// run starts and reaps the process on one thread. Linux sends Pdeathsig when the
// thread that started the child exits. For an unlocked goroutine that can happen
// at any time; for this one, it happens when the whole program dies.
func (p *process) run(logFile *os.File, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := p.cmd.Start(); err != nil {
		started <- err
		return
	}
	started <- nil
	p.err = p.cmd.Wait()
	_ = logFile.Close() // there is nothing left to write
	if p.err == nil {
		p.err = errors.New("exit status 0")
	}
	close(p.exited)
}

// kill kills the process with SIGKILL and waits for it. If the process is gone,
// kill does nothing.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // fails only if the process is already gone
	<-p.exited
}

// running reports whether the process has not been reaped yet.
func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// memberEnvironment returns this program's environment without the variables for
// HTTP proxies, which would divert messages between members, and without the
// variables that etcd would read as flags.
func memberEnvironment() []string {
	env := make([]string, 0, len(os.Environ())+1) // one more for memberEnv
	for _, kv := range os.Environ() {
		key, _, _ := strings.Cut(kv, "=")
		switch upper := strings.ToUpper(key); {
		case upper == "HTTP_PROXY", upper == "HTTPS_PROXY", upper == "ALL_PROXY", upper == "NO_PROXY":
		case strings.HasPrefix(upper, "ETCD_"):
		default:
			env = append(env, kv)
		}
	}
	return env
}

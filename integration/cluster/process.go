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
)

// process is one life of a member.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser // open for as long as the member is to live

	serving chan struct{} // closed when the member serves its peers
	exited  chan struct{} // closed when the process is gone and reaped
	err     error         // why; valid once exited is closed
	watched chan struct{} // closed by Member.watch when it has seen to the end
}

// servingLine is what a member prints when it serves its peers.
const servingLine = "getcd-cluster: serving peers\n"

// output appends what a member prints to its log, except for servingLine.
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

// startProcess starts the member that spec describes, with its working directory
// in dir and its output appended to logPath: an etcd binary, or this program again,
// which becomes one itself, or the binary as soon as it controls its disk. Its
// goroutine ends with the process; exited is the join.
func startProcess(spec *memberSpec, dir, logPath string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	described, err := json.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("describing the member: %w", err)
	}
	// The member's last life may have left its sockets behind; etcd 3.4 does not
	// remove those.
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
		cmd = exec.Command(self) //nolint:noctx // a member outlives the call that starts it; process.kill ends it
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
	// The description fits a pipe's buffer; should the child die meanwhile,
	// its exit tells more than this error.
	if _, err := p.stdin.Write(append(described, '\n')); err != nil {
		p.kill()
		return nil, fmt.Errorf("describing the member to its process: %w", err)
	}
	return p, nil
}

// run starts and reaps the process on one thread: Linux sends Pdeathsig when
// the thread that started the child exits, which for an unlocked goroutine can
// be at any time, and for this one is when the whole program dies.
func (p *process) run(logFile *os.File, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := p.cmd.Start(); err != nil {
		started <- err
		return
	}
	started <- nil
	p.err = p.cmd.Wait()
	_ = logFile.Close() // nothing is left to be written
	if p.err == nil {
		p.err = errors.New("exit status 0")
	}
	close(p.exited)
}

// kill ends the process with SIGKILL and waits for it. Killing a process that
// is gone does nothing.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // fails only when the process is gone already
	<-p.exited
}

// running says whether the process has not been reaped yet.
func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// memberEnvironment is this program's environment without the proxies that
// would carry one member's messages to another elsewhere, and without the
// variables that etcd takes for flags.
func memberEnvironment() []string {
	env := make([]string, 0, len(os.Environ())+1) // room for memberEnv
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

// Package shell keeps a cluster running for somebody to play with, and does to its
// members what the keyboard says.
package shell

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/getcd/getcd/cmd/playground/internal/local"
	"github.com/getcd/getcd/integration/cluster"
)

// faults is what can be done to a member.
var faults = []struct {
	name, does string
	do         func(m *cluster.Member) error
}{
	{"kill", "ends member N at once (SIGKILL)", (*cluster.Member).Kill},
	{"pause", "stops member N (SIGSTOP): its connections stay, and nothing is answered", (*cluster.Member).Pause},
	{"cut", "cuts member N off from the other members; clients still reach it", (*cluster.Member).CutPeers},
	{"hole", "swallows every byte between member N and its clients", func(m *cluster.Member) error { return m.ClientLink().Blackhole() }},
}

// Run starts three members and a DNS server, prints how to use them, and obeys the
// commands that it reads from in until ctx ends or a line says "quit". It goes on when in
// ends. A goroutine that reads from in stays behind until in ends.
func Run(ctx context.Context, in io.Reader, out io.Writer) error {
	c, err := local.Start(ctx, cluster.Config{Links: true})
	if err != nil {
		return err
	}
	s := &shell{out: out, cluster: c}
	s.welcome()
	s.obey(ctx, in)
	s.say("stopping")
	return c.Close()
}

type shell struct {
	out     io.Writer
	cluster *local.Cluster
}

func (s *shell) say(format string, args ...any) {
	_, _ = fmt.Fprintf(s.out, format+"\n", args...) // nobody is left to tell that nobody reads
}

func (s *shell) welcome() {
	s.say("Three etcd members run, each a process of its own, and a DNS server:\n")
	s.status()
	for _, r := range s.cluster.Records() {
		s.say("  %s", r)
	}
	s.say("\nIn another terminal, to name the members, or the domain that names them:\n")
	s.say("  export ETCDCTL_ENDPOINTS=%s", strings.Join(s.cluster.Members.Endpoints(), ","))
	s.say("  export ETCDCTL_ENDPOINTS=%s", s.cluster.URI())
	s.say("  go run ./cmd/getcd put foo bar")
	s.help()
}

func (s *shell) help() {
	s.say("\nCommands here (N is 1, 2 or 3):\n")
	for _, f := range faults {
		s.say("  %-8s %s", f.name+" N", f.does)
	}
	s.say("  heal N   undoes all that was done to member N")
	s.say("  status   shows the members; help: this text; quit, or Ctrl-C: the end\n")
}

func (s *shell) status() {
	for _, m := range s.cluster.Members.Members() {
		state := fmt.Sprintf("process %d", m.PID())
		if !m.Running() {
			state = "does not run"
		}
		s.say("  %s  %s  %s", m.Name(), m.Endpoint(), state)
	}
}

// obey carries out the lines of in.
func (s *shell) obey(ctx context.Context, in io.Reader) {
	lines := make(chan string)
	go func() {
		for scanner := bufio.NewScanner(in); scanner.Scan(); {
			select {
			case lines <- scanner.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case line := <-lines:
			words := strings.Fields(line)
			if len(words) == 0 {
				continue
			}
			if words[0] == "quit" {
				return
			}
			if err := s.do(ctx, words[0], words[1:]); err != nil {
				s.say("%v", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

func (s *shell) do(ctx context.Context, command string, args []string) error {
	switch command {
	case "help":
		s.help()
		return nil
	case "status":
		s.status()
		return nil
	}
	do := func(m *cluster.Member) error { return heal(ctx, m) }
	if command != "heal" {
		do = nil
		for _, f := range faults {
			if f.name == command {
				do = f.do
			}
		}
	}
	if do == nil {
		return fmt.Errorf("unknown command %q; help lists them", command)
	}
	members := s.cluster.Members.Members()
	n := 0
	if len(args) == 1 {
		n, _ = strconv.Atoi(args[0]) // what is no number is 0, which is no member
	}
	if n < 1 || n > len(members) {
		return fmt.Errorf("%s takes the number of a member, 1 to %d", command, len(members))
	}
	m := members[n-1]
	if err := do(m); err != nil {
		return err
	}
	s.say("%s: %s done", m.Name(), command)
	return nil
}

// heal undoes every fault of a member.
func heal(ctx context.Context, m *cluster.Member) error {
	err := errors.Join(m.HealPeers(), m.ClientLink().Heal())
	if !m.Running() {
		return errors.Join(err, m.Restart(ctx))
	}
	return errors.Join(err, m.Continue())
}

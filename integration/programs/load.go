package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/miekg/dns"
)

// driven runs a driver, which reports its operations as lines of JSON.
func driven(ctx context.Context, s *stage, binary string) error {
	return s.follow(ctx, func(line string) {
		var did sample
		if json.Unmarshal([]byte(line), &did) == nil {
			s.add(did)
		}
	}, binary, "-endpoints", strings.Join(s.cluster.Endpoints(), ","))
}

// follow runs a program until ctx ends, and calls each with every line that it
// prints. It then gives the program some time to end by itself. If the program
// ends earlier, that is an error.
func (s *stage) follow(ctx context.Context, each func(string), name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = patience
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		each(lines.Text())
	}
	err = cmd.Wait()
	if ctx.Err() != nil {
		return nil //nolint:nilerr // it was told to end
	}
	if err == nil {
		err = errors.New("exit status 0")
	}
	text := said.String()
	return fmt.Errorf("%s %s has ended: %w: %s", filepath.Base(name), args, err, text[max(0, len(text)-400):])
}

// coredns queries the DNS server for existing names.
func coredns(ctx context.Context, s *stage, binary string) error {
	const names = 20
	for i := range names {
		if err := s.put(ctx, "/skydns/example/www-"+strconv.Itoa(i), fmt.Sprintf(`{"host":"10.0.0.%d"}`, i+1)); err != nil {
			return err
		}
	}
	l, err := net.ListenPacket("udp", "127.0.0.1:0") //nolint:noctx // it is closed at once
	if err != nil {
		return err
	}
	address := l.LocalAddr().String()
	_ = l.Close() // only its port is needed
	_, port, _ := net.SplitHostPort(address)
	file := filepath.Join(s.cluster.Dir(), "Corefile")
	text := fmt.Sprintf("example.:%s {\n bind 127.0.0.1\n etcd {\n  path /skydns\n  endpoint http://%s\n }\n}\n",
		port, strings.Join(s.cluster.Endpoints(), " http://"))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	var tasks sync.WaitGroup
	defer tasks.Wait()
	served := make(chan error, 1)
	tasks.Go(func() { served <- s.follow(ctx, func(string) {}, binary, "-conf", file) })
	if err := sleep(ctx, time.Second); err != nil {
		return err
	}
	asker := dns.Client{Timeout: 8 * time.Second} // CoreDNS gives up after 5 s
	for i := range 4 {
		tasks.Go(func() {
			for n := i; ctx.Err() == nil; n++ {
				began := time.Now()
				q := new(dns.Msg).SetQuestion(fmt.Sprintf("www-%d.example.", n%names), dns.TypeA)
				resp, _, err := asker.Exchange(q, address)
				if err == nil && (resp.Rcode != dns.RcodeSuccess || len(resp.Answer) != 1) {
					err = errors.New(dns.RcodeToString[resp.Rcode])
				}
				s.did("a DNS query", began, err)
				_ = sleep(ctx, 50*time.Millisecond) // the loop checks ctx
			}
		})
	}
	return <-served
}

// etcdctl runs some of etcdctl's commands.
func etcdctl(ctx context.Context, s *stage, binary string) error {
	endpoints := "--endpoints=" + strings.Join(s.cluster.Endpoints(), ",")
	var tasks sync.WaitGroup
	errs := make(chan error, 8)
	// The watched key is written through a member that faults do not affect.
	tasks.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			if err := s.put(ctx, "watched", strconv.Itoa(i)); err != nil && ctx.Err() == nil {
				errs <- fmt.Errorf("what is watched could not be written: %w", err)
				return
			}
			_ = sleep(ctx, 100*time.Millisecond) // the loop checks ctx
		}
	})
	tasks.Go(func() {
		next, lines := -1, 0
		errs <- s.follow(ctx, func(line string) {
			if lines++; lines%3 != 0 { // PUT, the key, the value
				return
			}
			n, _ := strconv.Atoi(line)
			var err error
			if next >= 0 && n != next {
				err = fmt.Errorf("event %d came in place of %d", n, next)
			}
			next = n + 1
			s.did("watch: an event", time.Now(), err)
		}, binary, endpoints, "watch", "watched")
	})
	tasks.Go(func() { s.lock(ctx, binary, endpoints) })
	tasks.Go(func() { errs <- s.keepAlive(ctx, binary, endpoints) })
	for kind, args := range map[string][]string{"put": {"put", "key", "value"}, "get": {"get", "key"}} {
		tasks.Go(func() {
			for ctx.Err() == nil {
				began := time.Now()
				limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
				_, err := run(limited, ".", binary, append([]string{endpoints}, args...)...)
				cancel()
				s.did(kind+": a process", began, err)
				_ = sleep(ctx, time.Until(began.Add(500*time.Millisecond))) // the loop checks ctx
			}
		})
	}
	tasks.Wait()
	close(errs)
	var err error
	for e := range errs {
		err = errors.Join(err, e)
	}
	return err
}

// lock acquires a lock, which is held as long as the command runs.
func (s *stage) lock(ctx context.Context, binary, endpoints string) {
	held, lost := context.WithCancel(ctx)
	var ticks sync.WaitGroup
	var once sync.Once
	err := s.follow(ctx, func(string) {
		once.Do(func() { // it prints its key when it holds the lock
			ticks.Go(func() {
				for held.Err() == nil {
					s.did("lock: held", time.Now(), nil)
					_ = sleep(held, 100*time.Millisecond) // the loop checks ctx
				}
			})
		})
	}, binary, endpoints, "lock", "name")
	lost()
	ticks.Wait()
	if err != nil {
		s.did("lock: held", time.Now(), err)
	}
}

func (s *stage) keepAlive(ctx context.Context, binary, endpoints string) error {
	out, err := run(ctx, ".", binary, endpoints, "lease", "grant", "5")
	if err != nil {
		return err
	}
	words := strings.Fields(out) // lease ID granted with TTL(5s)
	if len(words) < 2 {
		return io.ErrUnexpectedEOF
	}
	err = s.follow(ctx, func(line string) {
		if strings.Contains(line, "keepalived") { // otherwise it has expired, and the command ends
			s.did("lease keep-alive", time.Now(), nil)
		}
	}, binary, endpoints, "lease", "keep-alive", words[1])
	if err != nil {
		s.did("lease keep-alive", time.Now(), err)
	}
	return nil
}

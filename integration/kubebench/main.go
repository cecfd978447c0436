// Command kubebench runs kube-apiservers that were built with different etcd
// clients. While custom resources are created, changed, read, listed and watched
// through a server, it applies faults to the member that the server uses.
// docs/measurements/programs-kube.md explains how to build the servers, and has the results.
//
//	go run ./integration/kubebench -server clientv3=PATH -server getcd=PATH
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/getcd/getcd/integration/cluster"
)

func main() {
	cluster.Main() // this program also runs the members of the cluster
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "kubebench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("kubebench", flag.ContinueOnError)
	var servers [][2]string // names and paths
	flags.Func("server", "`name=path` of a kube-apiserver; may be repeated", func(s string) error {
		name, path, ok := strings.Cut(s, "=")
		if !ok {
			return errors.New("want name=path")
		}
		servers = append(servers, [2]string{name, path})
		return nil
	})
	names := flags.String("faults", "kill,sigstop,blackhole,cut", "the `faults`, separated by commas")
	roles := flags.String("roles", "follower,leader", "the member's `roles`, separated by commas")
	out := flags.String("json", "", "the `file` for the results")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if len(servers) == 0 {
		return errors.New("no -server: see docs/measurements/programs-kube.md on how to build one")
	}
	var results []result
	for role := range strings.SplitSeq(*roles, ",") {
		for fault := range strings.SplitSeq(*names, ",") {
			if _, ok := faults[fault]; !ok || !slices.Contains([]string{"follower", "leader"}, role) {
				return fmt.Errorf("%s of a %s: want kill, sigstop, blackhole or cut, of a follower or leader", fault, role)
			}
			for _, s := range servers {
				r, err := cell(ctx, s[0], s[1], fault, role)
				if err != nil {
					return fmt.Errorf("%s, %s of the %s: %w", s[0], fault, role, err)
				}
				results = append(results, r)
				fmt.Print(r) //nolint:forbidigo // it is what the program is for
			}
		}
	}
	fmt.Print("\n", table(results)) //nolint:forbidigo // likewise
	if *out == "" {
		return nil
	}
	text, err := json.MarshalIndent(results, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(*out, append(text, '\n'), 0o644)
}

// String returns the complete result.
func (r result) String() string {
	var b strings.Builder
	_, _ = fmt.Fprintf(&b, "%s, %s of a %s: ready after %.1f s; idle: %.0f %% CPU, %.0f MiB, %.0f goroutines, %d connections, %.0f calls/s of etcd; %d calls failed while the leadership moved\n",
		r.Client, r.Fault, r.Role, r.Ready, r.Idle.CPU, r.Idle.RSS, r.Idle.Goroutines, r.Idle.Connections, r.Idle.EtcdCalls, r.Moving)
	for _, name := range kindNames {
		k := r.Kinds[name]
		_, _ = fmt.Fprintf(&b, "  %-7s %5d done, %3d failed, %.2f s\n", name, k.Done, k.Failed, k.Longest)
		for e, n := range k.Errors {
			_, _ = fmt.Fprintf(&b, "          %d × %.300s\n", n, strings.TrimSpace(e))
		}
	}
	w := r.Watch
	_, _ = fmt.Fprintf(&b, "  watch   %5d events, %d missed, %d twice, %d restarts, %d expired, %.2f s\n", w.Events, w.Missed, w.Twice, w.Restarts, w.Expired, w.Longest)
	return b.String()
}

// table returns the page's table: failed calls and the longest time without a
// success.
func table(results []result) string {
	var b strings.Builder
	b.WriteString("| fault | client | " + strings.Join(kindNames, " | ") + " | watch | missed |\n|---|---|" + strings.Repeat("--:|", len(kindNames)+2) + "\n")
	for _, r := range results {
		_, _ = fmt.Fprintf(&b, "| %s of a %s | %s |", r.Fault, r.Role, r.Client)
		for _, name := range kindNames {
			_, _ = fmt.Fprintf(&b, " %d / %.1f s |", r.Kinds[name].Failed, r.Kinds[name].Longest)
		}
		_, _ = fmt.Fprintf(&b, " %d / %.1f s | %d |\n", r.Watch.Restarts, r.Watch.Longest, r.Watch.Missed)
	}
	return b.String()
}

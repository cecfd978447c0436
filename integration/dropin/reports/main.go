// Command reports reproduces bugs of clientv3 that its users have reported, one program for each.
// A test compiles them twice, once unchanged and once with the import paths of getcd's clientv3,
// and docs/reference/reports.md says what became of them.
//
//	reports -endpoints http://127.0.0.1:2379 NAME
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
)

// report is one of etcd's issues, or of another project's.
type report struct {
	name   string // as in owner/repository#number
	expect string // what its users expect
	why    string // why getcd does not do it; nothing if it does
	// run reproduces it on a cluster with these members. It returns what there is to see instead
	// of what was expected, nothing if all is well.
	run func(ctx context.Context, members []string) (seen string, err error)
}

func all() []report {
	return slices.Concat(lockReports(), electionReports(), stallReports(), otherReports())
}

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("reports", flag.ContinueOnError)
	endpoints := flags.String("endpoints", "", "the members' `URLs`, separated by commas")
	if err := flags.Parse(args); err != nil {
		return err
	}
	for _, r := range all() {
		if r.name != flags.Arg(0) {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		seen, err := r.run(ctx, strings.Split(*endpoints, ","))
		if err == nil {
			_, err = io.WriteString(out, seen)
		}
		return err
	}
	return fmt.Errorf("there is no report %q", flags.Arg(0))
}

// own returns a key of this process, since what another one has left may live on for a minute.
func own(key string) string { return fmt.Sprintf("%d/%s", os.Getpid(), key) }

// dial returns a client.
func dial(endpoint string, options ...grpc.DialOption) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialOptions: options})
}

// seenUnless returns what was seen, unless all is well.
func seenUnless(well bool, seen string) string {
	if well {
		return ""
	}
	return seen
}

// attempt calls f with a context that ends after a time.
func attempt(ctx context.Context, d time.Duration, f func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return f(ctx)
}

// within reports whether a channel has something, or is closed, in time.
func within[T any](ctx context.Context, d time.Duration, c <-chan T) (v T, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	select {
	case v = <-c:
		return v, true
	case <-ctx.Done():
		return v, false
	}
}

// started runs f, and returns a channel for its error.
func started(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

// watch watches a key, and returns once the server has the watch.
func watch(ctx context.Context, cli *clientv3.Client, key string) (clientv3.WatchChan, error) {
	events := cli.Watch(ctx, key, clientv3.WithCreatedNotify())
	if resp := <-events; !resp.Created {
		return nil, fmt.Errorf("the watch was not created: %w", resp.Err())
	}
	return events, nil
}

// count returns how many keys have a prefix.
func count(ctx context.Context, cli *clientv3.Client, prefix string) (int64, error) {
	resp, err := cli.Get(ctx, prefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return 0, err
	}
	return resp.Count, nil
}

// eventually waits until the number of keys with a prefix is n.
func eventually(ctx context.Context, cli *clientv3.Client, prefix string, n int64) error {
	for {
		have, err := count(ctx, cli, prefix)
		if err != nil {
			return fmt.Errorf("waiting for %d keys under %s: %w", n, prefix, err)
		}
		if have == n {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
}

var errNone = errors.New("there was no error, but the report needs one")

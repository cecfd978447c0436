// Command programs has small programs that use clientv3, one for each topic of
// its documentation. A test compiles them twice, once unchanged and once with the
// import paths of getcd's clientv3, and compares what they print.
//
//	programs -endpoints http://127.0.0.1:2379 NAME
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// program uses a cluster without keys, and prints results that do not differ
// between two runs.
type program func(ctx context.Context, cli *clientv3.Client, out io.Writer) error

func all() map[string]program {
	every := make(map[string]program)
	for _, some := range []map[string]program{kvPrograms(), leasePrograms(), watchPrograms(), clusterPrograms(), concurrencyPrograms(), wrapperPrograms(), leasingPrograms(), configPrograms(), failurePrograms(), idiomPrograms(), behaviorPrograms(), accessPrograms(), namingPrograms(), holdingPrograms(), lenientPrograms()} {
		maps.Copy(every, some)
	}
	return every
}

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("programs", flag.ContinueOnError)
	endpoints := flags.String("endpoints", "", "the members' `URLs`, separated by commas")
	var files transport.TLSInfo
	flags.StringVar(&files.TrustedCAFile, "cacert", "", "the certificate authority's `file`")
	flags.StringVar(&files.CertFile, "cert", "", "the client's certificate `file`")
	flags.StringVar(&files.KeyFile, "key", "", "its key's `file`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.Arg(0) == "list" {
		_, err := fmt.Fprintln(out, strings.Join(slices.Sorted(maps.Keys(all())), "\n"))
		return err
	}
	p, ok := all()[flags.Arg(0)]
	if !ok {
		p, ok = severalPrograms()[flags.Arg(0)]
	}
	if !ok {
		return fmt.Errorf("there is no program %q", flags.Arg(0))
	}
	cfg := clientv3.Config{Endpoints: strings.Split(*endpoints, ","), DialTimeout: 5 * time.Second}
	if files.TrustedCAFile != "" {
		var err error
		if cfg.TLS, err = files.ClientConfig(); err != nil {
			return err
		}
	}
	cli, err := clientv3.New(cfg)
	if err != nil {
		return err
	}
	defer func() { _ = cli.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return p(ctx, cli, out)
}

// printer prints lines and keeps the first error.
type printer struct {
	out io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.out, format+"\n", args...)
	}
}

// pairs prints keys and values.
func (p *printer) pairs(resp *clientv3.GetResponse) {
	for _, kv := range resp.Kvs {
		p.line("%s = %s (version %d)", kv.Key, kv.Value, kv.Version)
	}
	p.line("%d of %d, more: %v", len(resp.Kvs), resp.Count, resp.More)
}

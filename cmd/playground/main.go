// Command playground starts a real etcd cluster on this machine and shows what getcd
// does with it. It needs nothing but Go: the members are this program, started again.
//
//	go run ./cmd/playground demo         the main job: discover, use, lock, survive
//	go run ./cmd/playground cluster      a cluster to play with, until Ctrl-C
//	go run ./cmd/playground lesson 1     a lesson of the guided tour, docs/tour
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/cmd/playground/internal/demo"
	"github.com/getcd/getcd/cmd/playground/internal/lesson"
	"github.com/getcd/getcd/cmd/playground/internal/shell"
	"github.com/getcd/getcd/integration/cluster"
)

const usage = `usage: playground <command>

  demo [-endpoints URI,...]   show the main job, and measure it; with -endpoints on that
                              cluster, below a key prefix of its own, breaking nothing
  cluster                     keep a cluster of three members and a DNS server running,
                              and kill, pause or cut off its members on command
  lesson [-raw] N             run lesson N of docs/tour; -raw shows IDs, ports and times as
                              they are, and does not make two runs print the same
`

func main() {
	cluster.Main() // members are this program, started again
	// An interrupted command must not leave members behind.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if errors.Is(err, flag.ErrHelp) {
		_, err = fmt.Fprint(os.Stdout, usage)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "playground:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	name := "help"
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	switch name {
	case "demo":
		return runDemo(ctx, args)
	case "cluster":
		if len(args) > 0 {
			return fmt.Errorf("cluster takes no argument, and got %q", args[0])
		}
		return shell.Run(ctx, os.Stdin, os.Stdout)
	case "lesson":
		return runLesson(ctx, args)
	case "help", "-h", "-help", "--help":
		return flag.ErrHelp
	default:
		return fmt.Errorf("unknown command %q; 'playground help' lists them", name)
	}
}

// newFlags returns a command's flags. What is wrong with them is for main to print.
func newFlags(command string) *flag.FlagSet {
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return flags
}

// runDemo shows the demo. A step that fails is an error.
func runDemo(ctx context.Context, args []string) error {
	flags := newFlags("demo")
	endpoints := flags.String("endpoints", "", "your cluster's `URIs`, separated by commas; without them the demo starts its own")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("demo takes no argument, and got %q", flags.Arg(0))
	}
	o := demo.Options{Out: os.Stdout}
	if *endpoints != "" {
		cfg := client.Config{Endpoints: strings.Split(*endpoints, ",")}
		o.Dial = func(ctx context.Context) (*client.Client, error) { return client.Dial(ctx, cfg) }
	}
	_, failed, err := demo.Run(ctx, o)
	switch {
	case err != nil:
		return err
	case failed > 0:
		return fmt.Errorf("%d of the demo's steps failed", failed)
	}
	return ctx.Err()
}

// runLesson runs a lesson of the tour.
func runLesson(ctx context.Context, args []string) error {
	flags := newFlags("lesson")
	raw := flags.Bool("raw", false, "show IDs, ports and times as they are")
	if err := flags.Parse(args); err != nil {
		return err
	}
	lessons := lesson.Lessons()
	n, err := strconv.Atoi(flags.Arg(0))
	if err != nil || flags.NArg() != 1 || n < 1 || n > len(lessons) {
		return fmt.Errorf("lesson takes the number of one, 1 to %d; docs/tour/README.md lists them", len(lessons))
	}
	return lessons[n-1].Run(ctx, os.Stdout, *raw)
}

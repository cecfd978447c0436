package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"time"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/grpcproxy"
	"github.com/getcd/getcd/integration/soak/internal/chaos"
)

// profileRate is how many allocated bytes give one sample of the heap profile. It
// is fine enough to measure the memory of watches.
const profileRate = 64 << 10

func main() {
	cluster.Main()
	grpcproxy.Main()
	runtime.MemProfileRate = profileRate
	o := options{}
	flag.DurationVar(&o.lasting, "for", 10*time.Minute, "for how long there are faults, for each check")
	flag.Uint64Var(&o.seed, "seed", 1, "what chance decides")
	names := flag.String("check", "watch,coordination,once,cas", "the checks, separated by commas")
	faults := flag.String("faults", "", "the faults, separated by commas: "+strings.Join(chaos.Names(), ", ")+"; empty means all")
	flag.DurationVar(&o.least, "least", 0, "the shortest fault, and the shortest healthy time")
	flag.DurationVar(&o.most, "most", 0, "the longest; 0 for both means 500ms and 6s")
	flag.StringVar(&o.through, "through", "", "what clients go through: "+strings.Join(ways(), ", ")+" (the first is killed now and then as well); empty means to the members")
	flag.Parse()
	o.checks = strings.Split(*names, ",")
	if *faults != "" {
		o.faults = strings.Split(*faults, ",")
	}
	began := time.Now()
	o.log = func(format string, args ...any) {
		line := fmt.Sprintf("%7.1fs  ", time.Since(began).Seconds()) + strings.TrimSuffix(fmt.Sprintf(format, args...), "\n")
		_, _ = fmt.Fprintln(os.Stdout, line)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	text, err := soak(ctx, o)
	stop()
	_, _ = fmt.Fprint(os.Stdout, text)
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

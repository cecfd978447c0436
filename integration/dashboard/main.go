// Command dashboard makes the picture of the dashboard in observability/grafana: a client works
// on three members while one is killed, one is stopped and a consumer is slow; Prometheus scrapes
// it; and a browser draws the dashboard's panels from what their queries return.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/getcd/getcd/integration/cluster"
)

func main() {
	cluster.Main()
	var f files
	flag.StringVar(&f.dashboard, "dashboard", "observability/grafana/getcd.json", "the dashboard, a `file`")
	flag.StringVar(&f.prometheus, "prometheus", "prometheus", "the Prometheus server, a `program`")
	flag.StringVar(&f.browser, "browser", "chromium", "the browser, a `program`")
	flag.StringVar(&f.picture, "o", "docs/reference/dashboard.png", "the picture, a `file`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, f); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:gocritic // stop has nothing left to do
	}
}

// files are what the command reads, runs and writes.
type files struct{ dashboard, prometheus, browser, picture string }

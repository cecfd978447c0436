// Observed writes once every 100 ms, over TLS and with a password, and shows what its client
// does: metrics for Prometheus, and whether it is ready.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/config"
	getcdprom "github.com/getcd/getcd/observability/prometheus"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1]); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, file string) error {
	cfg, err := config.Load(file) // has the endpoints, the CA, the user and a file with the password
	if err != nil {
		return err
	}
	metrics := getcdprom.New("observed")
	prometheus.MustRegister(metrics)
	cfg.Observers = append(cfg.Observers, metrics)
	c, err := client.New(cfg)
	if err != nil {
		return err
	}
	defer c.Close()
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		return err
	}
	defer listener.Close()
	http.Handle("/metrics", promhttp.Handler())
	http.Handle("/ready", c.ReadyHandler(0))
	go http.Serve(listener, nil)
	fmt.Println("listening on", listener.Addr())
	for n := 0; ctx.Err() == nil; n++ {
		if _, err := c.Put(ctx, "observed/n", fmt.Sprint(n)); err != nil {
			log.Print(err) // client.IsAmbiguous(err): it may have been written
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil
}

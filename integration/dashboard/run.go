package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
	getcdprom "github.com/getcd/getcd/observability/prometheus"
)

// scrape is how often Prometheus scrapes.
const scrape = time.Second

// run makes the picture.
func run(ctx context.Context, f files) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "dashboard")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()

	members, err := cluster.Start(ctx, cluster.Config{Size: 3})
	if err != nil {
		return err
	}
	defer func() { _ = members.Stop() }()

	metrics := getcdprom.New("orders")
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics)
	c, err := client.Dial(ctx, client.Config{Endpoints: members.Endpoints(), Observers: []client.Observer{metrics}})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()

	scraped, stop, err := serve(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	if err != nil {
		return err
	}
	defer stop()
	server, stop, err := startPrometheus(ctx, f.prometheus, dir, scraped)
	if err != nil {
		return err
	}
	defer stop()

	began := time.Now()
	if err := work(ctx, c, members); err != nil {
		return err
	}
	page, err := evaluate(ctx, server, f.dashboard, began, time.Now())
	if err != nil {
		return err
	}
	return draw(ctx, f.browser, dir, page, f.picture)
}

// serve serves a handler on this machine, and returns its address.
func serve(h http.Handler) (address string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it ends at once
	if err != nil {
		return "", nil, err
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go func() { _ = s.Serve(l) }() // ends with Close
	return l.Addr().String(), func() { _ = s.Close() }, nil
}

// startPrometheus starts a server that scrapes the address, and waits until it is ready.
func startPrometheus(ctx context.Context, program, dir, scraped string) (url string, stop func(), err error) {
	address, free, err := serve(http.NotFoundHandler()) // a port that is free
	if err != nil {
		return "", nil, err
	}
	free()
	cfg := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: %v}\nscrape_configs:\n- job_name: program\n  static_configs: [{targets: [%q]}]\n", scrape, scraped)
	if err := os.WriteFile(cfg, []byte(text), 0o600); err != nil {
		return "", nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, program, "--config.file="+cfg, "--storage.tsdb.path="+filepath.Join(dir, "data"), //nolint:gosec // the program is the user's
		"--web.listen-address="+address, "--log.level=warn")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		cancel()
		return "", nil, err
	}
	stop = func() { cancel(); _ = cmd.Wait() }
	url = "http://" + address
	for range 300 {
		if err = get(ctx, url+"/-/ready", nil); err == nil {
			return url, stop, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	stop()
	return "", nil, fmt.Errorf("prometheus is not ready after 30 s: %w", err)
}

// get reads a JSON document, unless into is nil.
func get(ctx context.Context, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if into != nil {
		if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
			return err
		}
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New(url + ": " + resp.Status)
	}
	return nil
}

package cli

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/getcd/getcd/cmd/getcd/internal/check"
	"github.com/getcd/getcd/cmd/getcd/internal/exit"
)

// memory asks the first endpoint for its memory; when is for the report of what
// fails.
func (c *checker) memory(ctx context.Context, when string) (float64, error) {
	n, err := c.askMemory(ctx)
	if err != nil {
		c.say("%v\nFAIL: Could not read process_resident_memory_bytes %s the put operations.\n", err, when)
		return 0, &exit.Error{Code: exit.Failure}
	}
	return n, nil
}

func (c *checker) askMemory(ctx context.Context) (float64, error) {
	ctx, cancel := c.first().timeout(ctx)
	defer cancel()
	target, err := c.metricsURL(ctx)
	if err != nil {
		return 0, err
	}
	secure, err := c.settings.flags.tlsConfig()
	if err != nil {
		return 0, err
	}
	t := &http.Transport{TLSClientConfig: secure, Proxy: http.ProxyFromEnvironment}
	defer t.CloseIdleConnections()
	return check.Memory(ctx, &http.Client{Transport: t}, target)
}

// metricsURL is where the first endpoint's member tells its metrics: beside its
// API.
func (c *checker) metricsURL(ctx context.Context) (string, error) {
	probes, err := c.settings.probes(ctx, false)
	if err != nil {
		return "", err
	}
	first := probes[0]
	if first.err != nil {
		return "", first.err
	}
	if strings.Contains(first.name, "://") {
		u, err := url.Parse(first.name)
		if err != nil {
			return "", err
		}
		scheme := strings.TrimPrefix(u.Scheme, "gateway+") // on the same port
		return (&url.URL{Scheme: scheme, Host: u.Host, Path: "/metrics"}).String(), nil
	}
	scheme := "http"
	if c.settings.flags.wantsTLS() {
		scheme = "https"
	}
	return (&url.URL{Scheme: scheme, Host: first.name, Path: "/metrics"}).String(), nil
}

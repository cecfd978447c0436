package cli

import (
	"testing"
	"time"
)

func TestMetricsURL(t *testing.T) {
	for endpoint, want := range map[string]string{
		"127.0.0.1:2379":               "http://127.0.0.1:2379/metrics",
		"https://a:2379":               "https://a:2379/metrics",
		"gateway+http://a:2379":        "http://a:2379/metrics",
		"Gateway+HTTPS://a:2379/proxy": "https://a:2379/metrics",
	} {
		c := &checker{settings: &settings{flags: &globalFlags{
			endpoints: []string{endpoint}, insecureTransport: true, insecureDiscovery: true, commandTimeout: time.Second,
		}}}
		if got, err := c.metricsURL(t.Context()); got != want || err != nil {
			t.Errorf("%s: got %q and error %v, want %q", endpoint, got, err, want)
		}
	}
}

package frontproxy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/getcd/getcd/integration/frontproxy"
)

// Behind nginx in front of the members' JSON gateways, the live members answer
// reads, no put is applied twice, and the watch loses and doubles nothing.
func TestGatewaysFailBehind(t *testing.T) {
	c := startCluster(t, true)
	p := behind(t, c, frontproxy.Config{Kind: frontproxy.NginxHTTP})
	direct := dial(t, c.Endpoints()...)
	membersFail(t, c, func(t *testing.T, prefix string) *load {
		t.Helper()
		return startLoad(t, dial(t, "gateway+http://"+p.Address()), prefix)
	}, func(_ *testing.T, l *load) { l.stop(direct) })
}

// If all members are gone, nginx answers 502, and if they are too slow, 504.
// Neither is an answer of etcd.
func TestGatewayProxyAnswersByItself(t *testing.T) {
	c := startCluster(t, false)
	p := behind(t, c, frontproxy.Config{Kind: frontproxy.NginxHTTP, Idle: time.Second})
	l := startLoad(t, dial(t, "gateway+http://"+p.Address()), "gateway/")
	allFail(t, c)
	l.stop(dial(t, c.Endpoints()...))
	seen := map[string]bool{}
	for _, err := range l.doubts {
		for _, status := range []string{"502 (Bad Gateway)", "504 (Gateway Timeout)"} {
			if strings.Contains(err.Error(), status) && strings.Contains(err.Error(), `content type "text/html": "<html>"`) {
				seen[status] = true
			}
		}
	}
	if len(seen) != 2 {
		t.Errorf("of 502 and 504, ambiguous errors told %v: %v", seen, l.doubts)
	}
}

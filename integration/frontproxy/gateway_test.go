package frontproxy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/frontproxy"
)

// Behind nginx in front of the members' JSON gateways: reads are answered by those that
// live, no put is applied twice, and the watch loses and doubles nothing.
func TestGatewaysFailBehind(t *testing.T) {
	c := startCluster(t, true)
	p := behind(t, c, frontproxy.Config{Kind: frontproxy.NginxHTTP})
	direct := dial(t, c.Endpoints()...)
	for _, fault := range []struct {
		name        string
		begin, mend func(*cluster.Member) error
	}{
		{"killed", (*cluster.Member).Kill, func(m *cluster.Member) error { return m.Restart(timeout(t)) }},
		{"stalled", (*cluster.Member).Pause, (*cluster.Member).Continue},
		{"cut from its peers", (*cluster.Member).CutPeers, (*cluster.Member).HealPeers},
	} {
		t.Run(fault.name, func(t *testing.T) {
			l := startLoad(t, dial(t, "gateway+http://"+p.Address()), strings.ReplaceAll(fault.name, " ", "-")+"/")
			for _, m := range c.Members() {
				time.Sleep(500 * time.Millisecond)
				if err := fault.begin(m); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Second)
				if err := fault.mend(m); err != nil {
					t.Fatal(err)
				}
				if err := c.WaitHealthy(timeout(t)); err != nil {
					t.Fatal(err)
				}
			}
			l.stop(direct)
		})
	}
}

// With all members gone nginx answers 502, and 504 when they are too slow for it: neither
// is an answer of etcd's.
func TestGatewayProxyAnswersByItself(t *testing.T) {
	c := startCluster(t, false)
	p := behind(t, c, frontproxy.Config{Kind: frontproxy.NginxHTTP, Idle: time.Second})
	l := startLoad(t, dial(t, "gateway+http://"+p.Address()), "gateway/")
	time.Sleep(time.Second)
	if err := c.Kill(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	if err := c.Restart(timeout(t)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	for _, m := range c.Members() {
		if err := m.Pause(); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(3 * time.Second)
	for _, m := range c.Members() {
		if err := m.Continue(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.WaitHealthy(timeout(t)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
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

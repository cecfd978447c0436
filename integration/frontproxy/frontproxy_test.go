package frontproxy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/frontproxy"
)

func TestMembersFailBehind(t *testing.T) {
	for _, kind := range frontproxy.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			c := startCluster(t, true)
			p := behind(t, c, frontproxy.Config{Kind: kind})
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
					l := startLoad(t, dial(t, p.Address()), strings.ReplaceAll(fault.name, " ", "-")+"/")
					for _, m := range c.Members() { // one of them is the client's
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
		})
	}
}

// nginx ends a connection with GOAWAY after so many requests, HAProxy after an idle
// time; what is under way goes on.
func TestConnectionsAreRenewed(t *testing.T) {
	c := startCluster(t, false)
	direct := dial(t, c.Endpoints()...)
	for _, kind := range frontproxy.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			p := behind(t, c, frontproxy.Config{Kind: kind, Idle: 2 * time.Second, Requests: 50})
			l := startLoad(t, dial(t, p.Address()), string(kind)+"/")
			time.Sleep(5 * time.Second)
			l.stop(direct)
			if n := len(l.doubtful); n > 0 {
				t.Errorf("%d puts are in doubt, although no member failed", n)
			}
		})
	}
}

package mockserver_test

import (
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/mock/mockserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestServers(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			ms, err := mockserver.StartMockServersOnNetwork(2, network)
			if err != nil {
				t.Fatal(err)
			}
			defer ms.Stop()
			var endpoints []string
			for _, s := range ms.Servers {
				endpoints = append(endpoints, s.ResolverAddress().Addr)
			}
			cli, err := clientv3.New(clientv3.Config{Endpoints: endpoints})
			if err != nil {
				t.Fatal(err)
			}
			defer cli.Close()
			for stopped := range ms.Servers {
				ms.StopAt(stopped)
				ms.StopAt(stopped)
				if _, err := cli.Get(t.Context(), "k"); err != nil {
					t.Errorf("without server %d: %v", stopped, err)
				}
				address := ms.Servers[stopped].Address
				for range 2 {
					if err := ms.StartAt(stopped); err != nil {
						t.Fatal(err)
					}
				}
				if got := ms.Servers[stopped].Address; got != address {
					t.Errorf("it is at %s, want %s as before", got, address)
				}
			}
			ms.Stop()
			if _, err := os.Stat(ms.Servers[0].Address); network == "unix" && !os.IsNotExist(err) {
				t.Errorf("the socket: %v, want it removed", err)
			}
		})
	}
}

func TestUnknownNetwork(t *testing.T) {
	if _, err := mockserver.StartMockServersOnNetwork(1, "udp"); err == nil || !strings.Contains(err.Error(), "udp") {
		t.Errorf("%v, want an error that names the network", err)
	}
}

package dnsserver_test

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/getcd/getcd/integration/dnsserver"
)

func Example() {
	s, err := dnsserver.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()

	const name = "_etcd-client._tcp.example."
	if err := s.SetSRV(name, 5*time.Second, dnsserver.SRV{Port: 2379, Target: "m1.example."}); err != nil {
		fmt.Println(err)
		return
	}

	// Any resolver works; this is Go's own, configured to use the server.
	resolver := &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, s.Addr())
		},
	}
	_, records, err := resolver.LookupSRV(context.Background(), "", "", name)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range records {
		fmt.Println(r.Target, r.Port)
	}
	// Output: m1.example. 2379
}

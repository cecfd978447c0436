// Package frontproxy runs Debian's HAProxy and nginx in front of servers, to test
// a client behind proxies that people really use.
//
//	p, err := frontproxy.Start(ctx, frontproxy.Config{Kind: frontproxy.NginxGRPC, Targets: c.Endpoints()})
//	if errors.Is(err, exec.ErrNotFound) {
//		t.Skip(err)
//	}
//	defer p.Stop()
//	use(p.Address())
//
// On Debian: apt-get install haproxy nginx libnginx-mod-stream.
package frontproxy

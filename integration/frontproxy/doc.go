// Package frontproxy runs HAProxy and nginx, as Debian has them, in front of
// servers: proxies that are not ours, so that a client is known to work behind what
// people use.
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

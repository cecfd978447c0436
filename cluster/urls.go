package cluster

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// checkPeerURLs refuses peer URLs that members could not use: an empty list, or a
// URL that is not scheme://host:port with the scheme http, https, unix or unixs.
// The error is rpctypes.ErrMemberBadURLs, as the server's is.
func checkPeerURLs(call string, peerAddrs []string) error {
	if len(peerAddrs) == 0 {
		return fmt.Errorf("cluster: %s: there is no peer URL; give at least one, such as http://10.0.0.4:2380: %w", call, rpctypes.ErrMemberBadURLs)
	}
	for _, addr := range peerAddrs {
		if err := checkPeerURL(strings.TrimSpace(addr)); err != nil {
			return fmt.Errorf("cluster: %s: peer URL %q: %w: %w", call, addr, err, rpctypes.ErrMemberBadURLs)
		}
	}
	return nil
}

func checkPeerURL(addr string) error {
	u, err := url.Parse(addr)
	if err != nil {
		// The caller's error already quotes the URL.
		if e, ok := errors.AsType[*url.Error](err); ok {
			return e.Err
		}
		return err
	}
	switch u.Scheme {
	case "unix", "unixs":
		return nil
	case "http", "https":
	default:
		return fmt.Errorf("its scheme is %q; it must be http, https, unix or unixs", u.Scheme)
	}
	if _, _, err := net.SplitHostPort(u.Host); err != nil {
		return fmt.Errorf("it has %q for a host and port; both are needed, as in 10.0.0.4:2380", u.Host)
	}
	if u.Path != "" {
		return fmt.Errorf("it has the path %q; leave it out", u.Path)
	}
	return nil
}

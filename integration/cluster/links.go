package cluster

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/getcd/getcd/integration/proxy"
)

// With Config.Links, members communicate over UNIX sockets. Their peer URLs name
// the sockets by paths without a directory: "unix://m2:2380" is the file
// "m2:2380" in the working directory of the dialing process. All members share
// one membership, but each has its own working directory, so each dials its own
// socket. So there can be a proxy for every ordered pair. It needs neither root,
// nor addresses that only Linux has, nor a guess about the caller.

const (
	// peerPort makes a socket's name a valid host and port. etcd's HTTP client
	// requires that, and etcd 3.4 requires it for all URLs. 2380 is etcd's peer
	// port.
	peerPort = ":2380"
	// peerSocket is the socket on which a member listens for its peers.
	peerSocket = "peer" + peerPort
	// clientSocket is the socket on which a member listens for its clients.
	clientSocket = "client:2379"
)

// peerLinkSocket returns the socket, in a member's working directory, that leads
// to another member.
func peerLinkSocket(to *Member) string { return to.name + peerPort }

// linkMember makes the proxies between a new member, which is not running yet,
// and its clients and peers.
func (c *Cluster) linkMember(m *Member, others []*Member) error {
	if !c.cfg.Links {
		return nil
	}
	link, err := proxy.New(proxy.Config{
		Port:          uint16(m.Port()),
		TargetNetwork: "unix",
		Target:        m.socket(clientSocket),
	})
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	m.clientLink = link
	if err := link.SetTargetAway(true); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	for _, other := range others {
		for _, ends := range [][2]*Member{{m, other}, {other, m}} {
			from, to := ends[0], ends[1]
			link, err := proxy.New(proxy.Config{
				Network:       "unix",
				Path:          filepath.Join(from.dir, peerLinkSocket(to)),
				TargetNetwork: "unix",
				Target:        to.socket(peerSocket),
			})
			if err != nil {
				return fmt.Errorf("cluster: %w", err)
			}
			c.mu.Lock()
			from.peerLinks[to] = link
			c.mu.Unlock()
		}
	}
	return nil
}

// unlinkMember closes the proxies that lead to the member.
func (c *Cluster) unlinkMember(m *Member) error {
	var errs []error
	for _, other := range c.Members() {
		if link := c.PeerLink(other, m); link != nil {
			errs = append(errs, link.Close())
		}
		c.mu.Lock()
		delete(other.peerLinks, m)
		c.mu.Unlock()
	}
	return errors.Join(errs...)
}

// ClientLink returns the proxy between clients and the member. Its faults do not
// affect the member's peers. Without Config.Links it is nil, and its methods
// return proxy.ErrNoLink.
func (m *Member) ClientLink() *proxy.Link { return m.clientLink }

// PeerLink returns the proxy for the connections that from dials to to. Without
// Config.Links, or if both are the same member, it is nil, and its methods return
// proxy.ErrNoLink.
//
// Which member dials says little about the direction of messages: a follower's
// connections to the leader carry messages of the leader. To separate two
// members, apply the fault to both of their links, or use CutPeers or
// BlackholePeers.
func (c *Cluster) PeerLink(from, to *Member) *proxy.Link {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return from.peerLinks[to]
}

// CutPeers cuts the member off from its peers in both directions until HealPeers:
// connections are reset and refused. Clients still reach it. Without Config.Links
// it returns proxy.ErrNoLink, as the other methods for links do.
func (m *Member) CutPeers() error { return m.eachPeerLink((*proxy.Link).Cut) }

// BlackholePeers is like CutPeers, but the links swallow all bytes.
func (m *Member) BlackholePeers() error { return m.eachPeerLink((*proxy.Link).Blackhole) }

// HealPeers removes all faults from the links between the member and its peers.
func (m *Member) HealPeers() error { return m.eachPeerLink((*proxy.Link).Heal) }

// Heal removes all faults from all links of the cluster.
func (c *Cluster) Heal() error {
	return c.each(func(m *Member) error {
		if len(c.Members()) == 1 {
			return m.clientLink.Heal()
		}
		return errors.Join(m.clientLink.Heal(), m.HealPeers())
	})
}

func (m *Member) eachPeerLink(f func(*proxy.Link) error) error {
	if m.clientLink == nil {
		return proxy.ErrNoLink
	}
	var errs []error
	for _, other := range m.c.Members() {
		if other != m {
			errs = append(errs, f(m.c.PeerLink(m, other)), f(m.c.PeerLink(other, m)))
		}
	}
	return errors.Join(errs...)
}

// closeLinks closes the proxies that start at the member.
func (m *Member) closeLinks() error {
	var errs []error
	if m.clientLink != nil {
		errs = append(errs, m.clientLink.Close())
	}
	m.c.mu.RLock()
	links := slices.Collect(maps.Values(m.peerLinks))
	m.c.mu.RUnlock()
	for _, link := range links {
		errs = append(errs, link.Close())
	}
	return errors.Join(errs...)
}

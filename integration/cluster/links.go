package cluster

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/getcd/getcd/integration/proxy"
)

// With Config.Links, members speak to each other over UNIX sockets named in
// their peer URLs by paths without a directory: "unix://m2:2380" is the file
// "m2:2380" in the working directory of whoever dials it. All members share
// one membership, and each still reaches a socket of its own, because each has
// a working directory of its own. So there is a proxy for every ordered pair,
// which needs neither root, nor addresses that only Linux has, nor a guess
// about who is calling.

const (
	// peerPort makes a socket's name a valid host and port, which etcd's HTTP
	// client wants, and etcd 3.4 of all URLs; 2380 is etcd's port for peers.
	peerPort = ":2380"
	// peerSocket is where a member listens for its peers.
	peerSocket = "peer" + peerPort
	// clientSocket is where a member listens for its clients.
	clientSocket = "client:2379"
)

// peerLinkSocket is, in a member's working directory, the way to another one.
func peerLinkSocket(to *Member) string { return to.name + peerPort }

// linkMember makes the proxies between a new member, which does not run yet, and
// its clients and the others.
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

// ClientLink is the proxy between clients and the member; faults on it do not
// touch the member's peers. It is nil, and its methods return
// proxy.ErrNoLink, without Config.Links.
func (m *Member) ClientLink() *proxy.Link { return m.clientLink }

// PeerLink is the proxy that carries the connections which one member dials to
// another. It is nil, and its methods return proxy.ErrNoLink, without
// Config.Links and when both are the same.
//
// Which member dials says little about which way messages go: a follower's
// connections to the leader carry what the leader sends. To separate two
// members, put the fault on both of their links, or use CutPeers and its kin.
func (c *Cluster) PeerLink(from, to *Member) *proxy.Link {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return from.peerLinks[to]
}

// CutPeers cuts the member from its peers, in both directions: connections are
// reset and refused. Clients still reach it. It stays until HealPeers. Like
// the other methods for links it returns proxy.ErrNoLink without Config.Links.
func (m *Member) CutPeers() error { return m.eachPeerLink((*proxy.Link).Cut) }

// BlackholePeers is CutPeers with links that swallow every byte.
func (m *Member) BlackholePeers() error { return m.eachPeerLink((*proxy.Link).Blackhole) }

// HealPeers undoes every fault on the links between the member and its peers.
func (m *Member) HealPeers() error { return m.eachPeerLink((*proxy.Link).Heal) }

// Heal undoes every fault on every link of the cluster.
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

// closeLinks closes the proxies that begin at the member.
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

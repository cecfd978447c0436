// Package local runs an etcd cluster and a DNS server that names its members, all on
// loopback addresses of this machine.
package local

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/dnsserver"
)

const (
	domain  = "etcd.example"
	service = "_etcd-client._tcp." + domain
	// recordTTL is for how long clients may keep the records. They look again earlier
	// when all connections are lost.
	recordTTL = 5 * time.Second
)

// Cluster is etcd members, each a process of its own, and a DNS server in this process.
type Cluster struct {
	Members *cluster.Cluster
	DNS     *dnsserver.Server
}

// Start starts both. It leaves nothing behind when it fails. The program must have
// called cluster.Main.
func Start(ctx context.Context, cfg cluster.Config) (*Cluster, error) {
	members, err := cluster.Start(ctx, cfg)
	if err != nil {
		return nil, err
	}
	dns, err := dnsserver.Start() //nolint:contextcheck // it runs until it is closed
	if err != nil {
		return nil, errors.Join(err, members.Stop())
	}
	c := &Cluster{Members: members, DNS: dns}
	if err := c.Publish(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Publish writes the members' present addresses into the zone: for each member one SRV
// record and one A record.
func (c *Cluster) Publish() error {
	var records []dnsserver.SRV
	for i, m := range c.Members.Members() {
		host, _, err := net.SplitHostPort(m.Endpoint())
		if err != nil {
			return err
		}
		if err := c.DNS.SetA(target(i)+".", recordTTL, host); err != nil {
			return err
		}
		records = append(records, dnsserver.SRV{Priority: 10, Weight: 10, Port: uint16(m.Port()), Target: target(i) + "."})
	}
	return c.DNS.SetSRV(service+".", recordTTL, records...)
}

func target(i int) string { return fmt.Sprintf("etcd%02d.%s", i+1, domain) }

// URI is all that a client needs to know.
func (c *Cluster) URI() string { return "dns+srv://" + c.DNS.Addr() + "/" + domain }

// Records are the SRV records, one on a line, as they were published last.
func (c *Cluster) Records() []string {
	var out []string
	for i, m := range c.Members.Members() {
		out = append(out, fmt.Sprintf("%s  SRV 10 10 %d %s", service, m.Port(), target(i)))
	}
	return out
}

// Member returns the member at an endpoint, or nil.
func (c *Cluster) Member(endpoint string) *cluster.Member {
	for _, m := range c.Members.Members() {
		if m.Endpoint() == endpoint {
			return m
		}
	}
	return nil
}

// Close ends both, and removes the members' data.
func (c *Cluster) Close() error { return errors.Join(c.DNS.Close(), c.Members.Stop()) }

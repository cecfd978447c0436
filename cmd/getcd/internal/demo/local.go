package demo

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/dnsserver"
)

const (
	domain = "etcd.example"
	// recordTTL is for how long clients may keep the demo's records; they look
	// again earlier when all connections are lost.
	recordTTL = 5 * time.Second
)

// local is the demo's own cluster.
type local struct {
	report  *report
	members *cluster.Cluster
	dns     *dnsserver.Server
}

func startLocal(ctx context.Context, r *report) (*local, error) {
	start := time.Now()
	members, err := cluster.Start(ctx, cluster.Config{})
	if err != nil {
		return nil, err
	}
	dns, err := dnsserver.Start() //nolint:contextcheck // it runs until it is closed
	if err != nil {
		_ = members.Stop() // the first error is the one that tells
		return nil, err
	}
	l := &local{report: r, members: members, dns: dns}
	if err := l.publish(); err != nil {
		l.close()
		return nil, err
	}
	for _, m := range members.Members() {
		r.say("%s: process %d on %s", m.Name(), m.PID(), m.Endpoint())
	}
	r.say("DNS server on %s", dns.Addr())
	r.say("ready in %v", round(time.Since(start)))
	return l, nil
}

// publish writes the members' present addresses into the zone: one SRV record
// for each.
func (l *local) publish() error {
	var records []dnsserver.SRV
	for i, m := range l.members.Members() {
		host, _, err := net.SplitHostPort(m.Endpoint())
		if err != nil {
			return err
		}
		name := fmt.Sprintf("etcd%02d.%s.", i+1, domain)
		if err := l.dns.SetA(name, recordTTL, host); err != nil {
			return err
		}
		records = append(records, dnsserver.SRV{Priority: 10, Weight: 10, Port: uint16(m.Port()), Target: name})
	}
	return l.dns.SetSRV("_etcd-client._tcp."+domain+".", recordTTL, records...)
}

// uri is all that a client needs to know.
func (l *local) uri() string { return "dns+srv://" + l.dns.Addr() + "/" + domain }

func (l *local) dial(ctx context.Context) (*client.Client, error) {
	return client.Dial(ctx, client.Config{Endpoints: []string{l.uri()}})
}

// member returns the one that is at an endpoint, or nil.
func (l *local) member(endpoint string) *cluster.Member {
	for _, m := range l.members.Members() {
		if m.Endpoint() == endpoint {
			return m
		}
	}
	return nil
}

func (l *local) records() []string {
	var out []string
	for i, m := range l.members.Members() {
		out = append(out, fmt.Sprintf("_etcd-client._tcp.%s  SRV 10 10 %s etcd%02d.%s", domain, strconv.Itoa(m.Port()), i+1, domain))
	}
	return out
}

func (l *local) close() {
	_ = l.dns.Close() // has no way to fail that matters now
	if err := l.members.Stop(); err != nil {
		l.report.say("stopping the cluster: %v", err)
	}
}

package bench

import (
	"context"
	"time"

	"github.com/getcd/getcd/integration/dnsserver"
)

const (
	domain        = "faultbench.example"
	service       = "_etcd-client._tcp." + domain
	secureService = "_etcd-client-ssl._tcp." + domain
	dnsTTL        = time.Second
)

// publish serves the members' addresses by DNS, until the stage is closed, to
// clients that can use it.
func publish(_ context.Context, s *stage) error {
	server, err := dnsserver.Start() //nolint:contextcheck // it outlives this call; close ends it
	if err != nil {
		return err
	}
	s.atEnd(func(context.Context) error { return server.Close() })
	s.dns = server
	s.target.uri = "dns+srv://" + server.Addr() + "/" + domain
	return record(s)
}

// record writes the members' current addresses into the zone.
func record(s *stage) error {
	name := service
	if s.target.tls != nil {
		name = secureService
	}
	var services []dnsserver.SRV
	for _, m := range s.cluster.Members() {
		host := m.Name() + "." + domain + "."
		if err := s.dns.SetA(host, dnsTTL, "127.0.0.1"); err != nil {
			return err
		}
		services = append(services, dnsserver.SRV{Port: uint16(m.Port()), Target: host})
	}
	return s.dns.SetSRV(name, dnsTTL, services...)
}

// move gives all members new addresses. DNS has them once all members are back.
func move(ctx context.Context, s *stage) error {
	if err := s.cluster.Move(ctx); err != nil {
		return err
	}
	return record(s)
}

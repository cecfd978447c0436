package lesson

import (
	"context"
	"slices"

	"github.com/miekg/dns"

	"github.com/getcd/getcd/client"
)

// discovery gives a client nothing but a domain's name.
func discovery(ctx context.Context, s *stage) error {
	tap, err := s.tapDNS()
	if err != nil {
		return err
	}
	c, err := s.dial(ctx, client.Config{
		Endpoints: []string{"dns+srv://" + tap.conn.LocalAddr().String() + "/etcd.example"},
	})
	if err != nil {
		return err
	}
	if _, err := c.Get(ctx, "foo"); err != nil {
		return err
	}

	s.say("The client knows the name etcd.example. It asks for two services; the first is etcd with TLS.\n")
	for _, name := range []string{"_etcd-client-ssl._tcp.etcd.example.", "_etcd-client._tcp.etcd.example."} {
		x, err := tap.find(name, dns.TypeSRV)
		if err != nil {
			return err
		}
		if err := s.listExchange(x); err != nil {
			return err
		}
	}
	var found []string
	for _, e := range c.Endpoints() {
		found = append(found, e.Address)
	}
	s.say("So these are the members:")
	for _, m := range s.endpoints() {
		s.say("  %s, found: %v", m, slices.Contains(found, m))
	}
	return nil
}

// listExchange lists a question and its answer.
func (s *stage) listExchange(x exchange) error {
	for _, side := range []struct {
		arrow string
		msg   []byte
	}{{">", x.query}, {"<", x.answer}} {
		text, err := listDNS(side.arrow, side.msg, s.screen.raw)
		if err != nil {
			return err
		}
		s.screen.say(text)
	}
	return nil
}

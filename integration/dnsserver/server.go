package dnsserver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/getcd/getcd/integration/loopback"
)

// startAttempts is how many ports Start tries: a port that is free for TCP may
// not be free for UDP.
const startAttempts = 10

// errClosed is the error of operations on a closed server.
var errClosed = errors.New("dnsserver: the server is closed")

// Server is an authoritative DNS server on a loopback port. It is safe for
// concurrent use. The caller must call Close.
type Server struct {
	port *loopback.Port // read-only

	// op serializes Start, Stop and Close. Lock order: op before mu.
	op     sync.Mutex
	closed bool     // guarded by op
	run    *running // guarded by op; nil while stopped

	mu       sync.Mutex // guards the fields below
	zone     *zone
	behavior behavior
	counts   map[Question]int
	asked    chan struct{} // closed and replaced at every query
}

// Question is the key by which the server counts queries.
type Question struct {
	Name    string // absolute, in lower case
	Type    string // "SRV", "A" and so on
	Network string // "udp" or "tcp"
}

// Start starts a server without records on a free port of 127.0.0.1. UDP and TCP
// use the same port.
func Start() (*Server, error) {
	var errs []error
	for range startAttempts {
		port, err := loopback.Reserve()
		if err != nil {
			return nil, fmt.Errorf("dnsserver: %w", err)
		}
		s := &Server{
			port:     port,
			zone:     newZone(),
			behavior: defaultBehavior(),
			counts:   make(map[Question]int),
			asked:    make(chan struct{}),
		}
		if err = s.Start(); err == nil {
			return s, nil
		}
		errs = append(errs, err, port.Release())
	}
	return nil, errors.Join(errs...)
}

// Addr returns the server's address, "127.0.0.1:port". It never changes.
func (s *Server) Addr() string { return s.port.Address() }

// Stop makes the server unavailable, as in an outage: until Start, its port
// refuses queries and connections. Records, counts and misbehavior are kept. Stop
// waits for every goroutine of the server. Stopping a stopped server does
// nothing.
func (s *Server) Stop() error {
	s.op.Lock()
	defer s.op.Unlock()
	return s.stopLocked()
}

// stopLocked is Stop. The caller must hold op.
func (s *Server) stopLocked() error {
	if s.run == nil {
		return nil
	}
	err := s.run.stop()
	s.run = nil
	return err
}

// Start restarts a stopped server on the same port. Starting a running server
// does nothing.
func (s *Server) Start() error {
	s.op.Lock()
	defer s.op.Unlock()
	if s.closed {
		return errClosed
	}
	if s.run != nil {
		return nil
	}
	run, err := s.listen()
	if err != nil {
		return err
	}
	s.run = run
	return nil
}

// Close stops the server permanently, waits for its goroutines and releases its
// port. Further calls do nothing.
func (s *Server) Close() error {
	s.op.Lock()
	defer s.op.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return errors.Join(s.stopLocked(), s.port.Release())
}

// Set replaces the records of one name and type. Values are written as in a zone
// file, without name, TTL and class: Set("m1.example.", "A", time.Minute,
// "127.0.0.1", "127.0.0.2"). Without values, the records are removed. The TTL is
// in whole seconds, and 0 forbids caching. A name without a trailing dot counts
// as absolute. If a value is not a record, the error says which one, and nothing
// changes.
func (s *Server) Set(name, typ string, ttl time.Duration, values ...string) error {
	rtype, records, err := parseRecords(name, typ, ttl, values)
	if err != nil {
		return err
	}
	s.put(name, rtype, records)
	return nil
}

// SetSRV is Set for SRV records.
func (s *Server) SetSRV(name string, ttl time.Duration, services ...SRV) error {
	h, err := header(name, dns.TypeSRV, ttl)
	if err != nil {
		return err
	}
	records := make([]dns.RR, len(services))
	for i, service := range services {
		target, err := parseName(service.Target)
		if err != nil {
			return fmt.Errorf("dnsserver: SRV record of %s: the target: %w", name, err)
		}
		records[i] = &dns.SRV{
			Hdr: h, Priority: service.Priority, Weight: service.Weight, Port: service.Port, Target: target,
		}
	}
	s.put(name, dns.TypeSRV, records)
	return nil
}

// SetA is Set for IPv4 addresses.
func (s *Server) SetA(name string, ttl time.Duration, addresses ...string) error {
	records, err := parseAddresses(name, dns.TypeA, ttl, addresses)
	if err != nil {
		return err
	}
	s.put(name, dns.TypeA, records)
	return nil
}

// SetAAAA is Set for IPv6 addresses.
func (s *Server) SetAAAA(name string, ttl time.Duration, addresses ...string) error {
	records, err := parseAddresses(name, dns.TypeAAAA, ttl, addresses)
	if err != nil {
		return err
	}
	s.put(name, dns.TypeAAAA, records)
	return nil
}

// SetCNAME makes name an alias of target. If the name has records of the queried
// type, they take precedence over the alias.
func (s *Server) SetCNAME(name string, ttl time.Duration, target string) error {
	target, err := parseName(target)
	if err != nil {
		return err
	}
	h, err := header(name, dns.TypeCNAME, ttl)
	if err != nil {
		return err
	}
	s.put(name, dns.TypeCNAME, []dns.RR{&dns.CNAME{Hdr: h, Target: target}})
	return nil
}

// Remove removes the records of a name: those of the given types, or all. Types
// that the name does not have, or that do not exist, are no error.
func (s *Server) Remove(name string, types ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name = dns.CanonicalName(name)
	if len(types) == 0 {
		delete(s.zone.records, name)
		s.zone.serial++
	}
	for _, typ := range types {
		s.zone.set(name, dns.StringToType[typ], nil)
	}
}

// Load replaces all records with those of a zone file (RFC 1035, section 5).
// Names that are not absolute need an $ORIGIN, and records without a TTL need a
// $TTL. If the text has an error, nothing changes.
func (s *Server) Load(text string) error {
	z, err := parseZone(text)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	z.serial += s.zone.serial
	s.zone = z
	return nil
}

// Zone returns all records in the text form that Load reads.
func (s *Server) Zone() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.zone.String()
}

func (s *Server) put(name string, rtype uint16, records []dns.RR) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zone.set(dns.CanonicalName(name), rtype, records)
}

// Count returns how many queries for a name and type were received, over UDP and
// TCP together, whether or not they were answered.
func (s *Server) Count(name, typ string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.countLocked(name, typ)
}

func (s *Server) countLocked(name, typ string) int {
	name = dns.CanonicalName(name)
	return s.counts[Question{name, typ, "udp"}] + s.counts[Question{name, typ, "tcp"}]
}

// Counts returns how many queries were received, by question and network.
func (s *Server) Counts() map[Question]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.counts)
}

// WaitCount waits until Count(name, typ) is at least n, or ctx ends.
func (s *Server) WaitCount(ctx context.Context, name, typ string, n int) error {
	for {
		s.mu.Lock()
		got, asked := s.countLocked(name, typ), s.asked
		s.mu.Unlock()
		if got >= n {
			return nil
		}
		select {
		case <-asked:
		case <-ctx.Done():
			return fmt.Errorf("dnsserver: %d queries for %s %s came, not %d: %w", got, name, typ, n, context.Cause(ctx))
		}
	}
}

// running is the state of the server between Start and Stop.
type running struct {
	servers  []*dns.Server
	stopping chan struct{} // closed by stop; interrupts delays
	serving  sync.WaitGroup
}

// listen starts serving.
func (s *Server) listen() (*running, error) {
	var lc net.ListenConfig
	udp, err := lc.ListenPacket(context.Background(), "udp4", s.Addr())
	if err != nil {
		return nil, fmt.Errorf("dnsserver: %w", err)
	}
	tcp, err := lc.Listen(context.Background(), "tcp4", s.Addr())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("dnsserver: %w", err), udp.Close())
	}
	r := &running{stopping: make(chan struct{})}
	started := make(chan struct{}, 2)
	for _, one := range []*dns.Server{{PacketConn: udp, UDPSize: dns.MaxMsgSize}, {Listener: tcp}} {
		network := "udp"
		if one.Listener != nil {
			network = "tcp"
		}
		one.NotifyStartedFunc = func() { started <- struct{}{} }
		one.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, query *dns.Msg) {
			s.serve(r.stopping, w, query, network)
		})
		r.servers = append(r.servers, one)
		r.serving.Go(func() {
			// It returns when it is shut down. While it serves, only closing the
			// listener can cause an error, and stop sees that error.
			_ = one.ActivateAndServe()
		})
	}
	for range r.servers {
		<-started // so that stop finds both started
	}
	return r, nil
}

// stop ends serving and waits for every goroutine.
func (r *running) stop() error {
	close(r.stopping)
	var errs []error
	for _, one := range r.servers {
		errs = append(errs, one.Shutdown())
	}
	r.serving.Wait()
	return errors.Join(errs...)
}

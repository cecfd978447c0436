package resolver_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// dnsServer is an authoritative server for the given records on a loopback port,
// over UDP and TCP.
type dnsServer struct {
	addr string // host:port

	mu sync.Mutex
	// All guarded by mu.
	records    []dns.RR
	onlyA      bool // leave out the AAAA records
	additional bool // put the addresses of SRV targets into the additional section
	hook       func(w dns.ResponseWriter, q *dns.Msg, tcp bool) (answered bool)
	asked      map[string]int // by "TYPE name", "TCP TYPE name"
}

// startDNS starts a server with records in the format of a zone file.
func startDNS(t *testing.T, records ...string) *dnsServer {
	t.Helper()
	s := &dnsServer{asked: make(map[string]int)}
	s.set(t, records...)
	var pc net.PacketConn
	var l net.Listener
	var err error
	for range 20 { // the port must be free for both
		pc = listenUDP(t)
		if l, err = new(net.ListenConfig).Listen(t.Context(), "tcp", pc.LocalAddr().String()); err == nil {
			break
		}
		_ = pc.Close()
	}
	if err != nil {
		t.Fatalf("listening: %v", err)
	}
	s.addr = pc.LocalAddr().String()
	for _, srv := range []*dns.Server{{PacketConn: pc}, {Listener: l}} {
		started := make(chan struct{})
		srv.Handler = s
		srv.NotifyStartedFunc = func() { close(started) }
		done := make(chan error, 1)
		go func() { done <- srv.ActivateAndServe() }()
		select {
		case <-started:
		case err := <-done:
			t.Fatalf("serving DNS: %v", err)
		}
		t.Cleanup(func() {
			_ = srv.Shutdown()
			if err := <-done; err != nil {
				t.Errorf("serving DNS: %v", err)
			}
		})
	}
	return s
}

func (s *dnsServer) set(t *testing.T, records ...string) {
	t.Helper()
	var rrs []dns.RR
	for _, r := range records {
		rr, err := dns.NewRR(r)
		if err != nil || rr == nil {
			t.Fatalf("record %q: %v", r, err)
		}
		rrs = append(rrs, rr)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records = rrs
}

func (s *dnsServer) setHook(hook func(w dns.ResponseWriter, q *dns.Msg, tcp bool) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = hook
}

func (s *dnsServer) setAdditional(additional bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.additional = additional
}

// questions returns how many queries for key, such as "SRV etcd.test." or "TCP
// SRV etcd.test.", the server has received.
func (s *dnsServer) questions(key string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[key]
}

// ServeDNS implements dns.Handler.
func (s *dnsServer) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	_, tcp := w.RemoteAddr().(*net.TCPAddr)
	question := q.Question[0]
	key := dns.TypeToString[question.Qtype] + " " + question.Name
	s.mu.Lock()
	s.asked[key]++
	if tcp {
		s.asked["TCP "+key]++
	}
	hook := s.hook
	s.mu.Unlock()
	if hook != nil && hook(w, q, tcp) {
		return
	}
	m := s.reply(q)
	if !tcp {
		size := dns.MinMsgSize
		if opt := q.IsEdns0(); opt != nil {
			size = int(opt.UDPSize())
		}
		m.Truncate(size)
	}
	_ = w.WriteMsg(m)
}

// reply answers the query and follows aliases as far as the records go.
func (s *dnsServer) reply(q *dns.Msg) *dns.Msg {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := new(dns.Msg)
	m.SetReply(q)
	m.Authoritative = true
	if q.IsEdns0() != nil {
		m.SetEdns0(1232, false)
	}
	name, exists := q.Question[0].Name, false
	for range 4 {
		alias := ""
		for _, rr := range s.records {
			h := rr.Header()
			exists = exists || strings.EqualFold(h.Name, name)
			if !strings.EqualFold(h.Name, name) {
				continue
			}
			if h.Rrtype == q.Question[0].Qtype {
				m.Answer = append(m.Answer, dns.Copy(rr))
			} else if c, ok := rr.(*dns.CNAME); ok {
				m.Answer = append(m.Answer, dns.Copy(rr))
				alias = c.Target
			}
		}
		if alias == "" {
			break
		}
		name = alias
	}
	if !exists {
		m.Rcode = dns.RcodeNameError
	}
	if s.additional {
		for _, a := range m.Answer {
			srv, ok := a.(*dns.SRV)
			if !ok {
				continue
			}
			for _, rr := range s.records {
				t := rr.Header().Rrtype
				if (t == dns.TypeA || t == dns.TypeAAAA && !s.onlyA) && strings.EqualFold(rr.Header().Name, srv.Target) {
					m.Extra = append(m.Extra, dns.Copy(rr))
				}
			}
		}
	}
	return m
}

// resolvConf writes a resolv.conf file.
func resolvConf(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func listenUDP(t *testing.T) net.PacketConn {
	t.Helper()
	pc, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listening: %v", err)
	}
	return pc
}

// deadServer returns an address at which nothing answers: packets to it are
// accepted and dropped.
func deadServer(t *testing.T) string {
	t.Helper()
	pc := listenUDP(t)
	t.Cleanup(func() { _ = pc.Close() })
	return pc.LocalAddr().String()
}

// nameserver returns the line of resolv.conf for a server at addr.
func nameserver(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	return fmt.Sprintf("nameserver [%s]:%s", host, port)
}

func rcode(code int) func(dns.ResponseWriter, *dns.Msg, bool) bool {
	return func(w dns.ResponseWriter, q *dns.Msg, _ bool) bool {
		m := new(dns.Msg)
		m.SetRcode(q, code)
		_ = w.WriteMsg(m)
		return true
	}
}

func srvRecord(name string, priority, weight, port int, target string) string {
	return fmt.Sprintf("%s 60 IN SRV %d %d %d %s", name, priority, weight, port, target)
}

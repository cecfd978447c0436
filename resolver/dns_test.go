package resolver_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	grpcresolver "google.golang.org/grpc/resolver"

	"github.com/getcd/getcd/resolver"
)

// dialsOf resolves one endpoint and returns the addresses as sorted strings.
func dialsOf(t *testing.T, endpoint string, o resolver.Config) []string {
	t.Helper()
	addrs, _ := resolveOnce(t, []string{endpoint}, o)
	return sortedDials(addrs)
}

func sortedDials(addrs []resolver.Address) []string {
	var out []string
	for _, a := range addrs {
		out = append(out, a.String())
	}
	slices.Sort(out)
	return out
}

// failureOf resolves one endpoint that must fail, and returns the first error
// whose text contains want. On a loaded machine another error may come before it.
func failureOf(t *testing.T, endpoint, want string, o resolver.Config) error {
	t.Helper()
	r, err := resolver.New([]string{endpoint}, o)
	if err != nil {
		t.Fatalf("New(%q): %v", endpoint, err)
	}
	cc := newClientConn()
	w := build(t, r, cc)
	defer w.Close()
	cc.until(t, "an error with "+want, func() bool {
		err = cc.lastError()
		return err != nil && strings.Contains(err.Error(), want)
	})
	if !strings.Contains(err.Error(), `"`+endpoint+`"`) {
		t.Errorf("the error does not name %q: %v", endpoint, err)
	}
	return err
}

func TestDNSAddresses(t *testing.T) {
	s := startDNS(t,
		"etcd.test. 60 IN A 10.0.0.2",
		"etcd.test. 60 IN A 10.0.0.1",
		"etcd.test. 60 IN AAAA 2001:db8::1",
		"etcd.test. 60 IN AAAA ::ffff:10.0.0.1",
		"etcd.test. 60 IN A 0.0.0.0",
		"four.test. 60 IN A 10.0.0.4",
		"six.test. 60 IN AAAA 2001:db8::6",
		"alias.test. 60 IN CNAME four.test.",
	)
	for endpoint, want := range map[string][]string{
		"dns://" + s.addr + "/etcd.test":       {"10.0.0.1:2379", "10.0.0.2:2379", "[2001:db8::1]:2379"},
		"dns://" + s.addr + "/ETCD.test.:1":    {"10.0.0.1:1", "10.0.0.2:1", "[2001:db8::1]:1"},
		"dns://" + s.addr + "/four.test":       {"10.0.0.4:2379"},
		"dns://" + s.addr + "/six.test:2380":   {"[2001:db8::6]:2380"},
		"DNS://" + s.addr + "/alias.test:2380": {"10.0.0.4:2380"},
	} {
		if diff := cmp.Diff(want, dialsOf(t, endpoint, resolver.Config{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", endpoint, diff)
		}
	}

	addrs, _ := resolveOnce(t, []string{"dns://" + s.addr + "/alias.test."}, resolver.Config{TLS: true})
	want := []resolver.Address{{Network: "tcp", Host: "10.0.0.4", Port: 2379, ServerName: "alias.test", TLS: true}}
	if diff := cmp.Diff(want, addrs); diff != "" {
		t.Errorf("an alias with TLS (-want +got):\n%s", diff)
	}

	// IPv6 comes first if the order is kept.
	addrs, _ = resolveOnce(t, []string{"dns://" + s.addr + "/etcd.test"}, resolver.Config{Options: resolver.Options{KeepOrder: true}})
	if len(addrs) != 3 || addrs[0].Host != "2001:db8::1" || addrs[1].Host != "10.0.0.1" {
		t.Errorf("kept order %v, want IPv6, then ascending", addrs)
	}
}

func TestDNSFailures(t *testing.T) {
	s := startDNS(t,
		"text.test. 60 IN TXT hello",
		"zero.test. 60 IN A 0.0.0.0",
		"loop1.test. 60 IN CNAME loop2.test.",
		"loop2.test. 60 IN CNAME loop1.test.",
		"self.test. 60 IN CNAME self.test.",
		"dangling.test. 60 IN CNAME gone.test.",
	)
	uri := func(name string) string { return "dns://" + s.addr + "/" + name }
	for _, tt := range []struct {
		endpoint string
		is       error
		want     string
	}{
		{uri("gone.test"), resolver.ErrNoSuchName, s.addr + " answered: no such name (NXDOMAIN)"},
		{uri("text.test"), resolver.ErrNoRecords, "AAAA text.test.: " + s.addr + " answered: no records (NODATA)"},
		{uri("zero.test"), resolver.ErrNoRecords, "no address that can be dialed"},
		{uri("loop1.test"), nil, "CNAME chain is a loop or longer than 8"},
		{uri("self.test"), nil, "CNAME chain is a loop or longer than 8"},
		{uri("dangling.test"), resolver.ErrNoSuchName, `the alias "gone.test."`},
		{"dns+srv://" + s.addr + "/gone.test", resolver.ErrNoSuchName, "SRV _etcd-client-ssl._tcp.gone.test."},
		{"dns+srv://" + s.addr + "/_loop._tcp.test", resolver.ErrNoSuchName, "SRV _loop._tcp.test."},
	} {
		err := failureOf(t, tt.endpoint, tt.want, resolver.Config{})
		if tt.is != nil && !errors.Is(err, tt.is) {
			t.Errorf("%s: %v is not %v", tt.endpoint, err, tt.is)
		}
	}
}

func TestDNSServerFailures(t *testing.T) {
	fast := resolver.Config{Options: resolver.Options{Timeout: 500 * time.Millisecond}}
	answer := func(change func(m *dns.Msg)) func(dns.ResponseWriter, *dns.Msg, bool) bool {
		return func(w dns.ResponseWriter, q *dns.Msg, _ bool) bool {
			m := new(dns.Msg)
			m.SetReply(q)
			m.Answer = []dns.RR{&dns.A{
				Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1},
				A:   net.IPv4(10, 0, 0, 1),
			}}
			change(m)
			_ = w.WriteMsg(m)
			return true
		}
	}
	for _, tt := range []struct {
		name string
		hook func(dns.ResponseWriter, *dns.Msg, bool) bool
		want string
	}{
		{"SERVFAIL", rcode(dns.RcodeServerFailure), "SERVFAIL"},
		{"REFUSED", rcode(dns.RcodeRefused), "REFUSED"},
		{"FORMERR", rcode(dns.RcodeFormatError), "FORMERR"},
		{"unknown code", rcode(12), "RCODE 12"},
		{"header alone", func(w dns.ResponseWriter, q *dns.Msg, _ bool) bool {
			m := new(dns.Msg)
			m.SetRcode(q, dns.RcodeRefused)
			m.Question = nil
			_ = w.WriteMsg(m)
			return true
		}, "REFUSED"},
		{"silence", func(dns.ResponseWriter, *dns.Msg, bool) bool { return true }, "timeout"},
		{"wrong ID", answer(func(m *dns.Msg) { m.Id++ }), "wrong ID"},
		{"wrong question", answer(func(m *dns.Msg) { m.Question[0].Name = "other.test." }), "another question"},
		{"wrong type", answer(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeMX }), "another question"},
		{"no question", answer(func(m *dns.Msg) { m.Question = nil }), "0 questions"},
		{"not a response", answer(func(m *dns.Msg) { m.Response = false }), "not a response"},
		{"another opcode", answer(func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }), "not a response"},
		{"another class", answer(func(m *dns.Msg) {
			for _, rr := range m.Answer {
				rr.Header().Class = dns.ClassCHAOS
			}
		}), "NODATA"},
		{"another owner", answer(func(m *dns.Msg) {
			for _, rr := range m.Answer {
				rr.Header().Name = "other.test."
			}
		}), "NODATA"},
		{"referral", answer(func(m *dns.Msg) {
			m.Answer = nil
			m.Ns = []dns.RR{&dns.NS{Hdr: dns.RR_Header{Name: "test.", Rrtype: dns.TypeNS, Class: dns.ClassINET}, Ns: "ns.test."}}
		}), "referral"},
		{"malformed", func(w dns.ResponseWriter, q *dns.Msg, _ bool) bool {
			m := new(dns.Msg)
			m.SetReply(q)
			wire, _ := m.Pack()
			wire[7] = 3 // the header claims three answers, but there are none
			_, _ = w.Write(wire)
			return true
		}, "malformed"},
		{"short", func(w dns.ResponseWriter, _ *dns.Msg, _ bool) bool {
			_, _ = w.Write([]byte{1, 2, 3})
			return true
		}, "3 bytes are not a DNS message"},
		{"truncated even over TCP", func(w dns.ResponseWriter, q *dns.Msg, _ bool) bool {
			m := new(dns.Msg)
			m.SetReply(q)
			m.Truncated = true
			_ = w.WriteMsg(m)
			return true
		}, "truncated even over TCP"},
		{"truncated and no TCP", func(w dns.ResponseWriter, q *dns.Msg, tcp bool) bool {
			if tcp {
				_ = w.Close()
				return true
			}
			m := new(dns.Msg)
			m.SetReply(q)
			m.Truncated = true
			_ = w.WriteMsg(m)
			return true
		}, "the answer was truncated, and over TCP"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := startDNS(t)
			s.setHook(tt.hook)
			err := failureOf(t, "dns://"+s.addr+"/etcd.test", tt.want, fast)
			if !strings.Contains(err.Error(), ": "+s.addr) {
				t.Errorf("got %v\nwant the server %s in it", err, s.addr)
			}
			if tt.name == "silence" && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v is no context.DeadlineExceeded", err)
			}
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		pc := listenUDP(t)
		addr := pc.LocalAddr().String()
		_ = pc.Close()
		_ = failureOf(t, "dns://"+addr+"/etcd.test", "refused", fast)
	})
}

func TestDNSAsksARefusingServerOnce(t *testing.T) {
	asked := make(chan uint16, 100)
	s, err := resolver.CannedSource("dns://s/etcd.test", sourceOptions(false), func(q *dns.Msg) []byte {
		asked <- q.Question[0].Qtype
		m := new(dns.Msg)
		m.SetRcode(q, dns.RcodeRefused)
		wire, _ := m.Pack()
		return wire
	})
	if err != nil {
		t.Fatal(err)
	}
	if res, err := s.Resolve(t.Context()); !contains(err, "REFUSED") {
		t.Errorf("Resolve = %v, %v, want REFUSED", res, err)
	}
	if n := len(asked); n != 2 {
		t.Errorf("%d questions, want one for each family", n)
	}
	// If nobody answers, the packet may be lost, so the query is repeated.
	s, err = resolver.CannedSource("dns://s/etcd.test", sourceOptions(false), func(q *dns.Msg) []byte {
		asked <- q.Question[0].Qtype
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	before := len(asked)
	if res, err := s.Resolve(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Resolve = %v, %v, want a timeout", res, err)
	}
	if n := len(asked) - before; n != 4 {
		t.Errorf("%d questions without an answer, want two for each family", n)
	}
}

// A record without data is malformed. It must not be read as a target of "." or
// as an alias of the root.
func TestRecordsWithoutData(t *testing.T) {
	for _, typ := range []uint16{dns.TypeSRV, dns.TypeCNAME, dns.TypeA} {
		s, err := resolver.CannedSource("dns+srv://s/_x._tcp.test", sourceOptions(false), func(q *dns.Msg) []byte {
			m := new(dns.Msg)
			m.SetReply(q)
			wire, _ := m.Pack()
			wire[7] = 1 // one record in the answer: the name of the question, type, class, TTL, no data
			return append(wire, 0xc0, 0x0c, byte(typ>>8), byte(typ), 0, 1, 0, 0, 0, 1, 0, 0)
		})
		if err != nil {
			t.Fatal(err)
		}
		want := "malformed answer"
		if typ == dns.TypeA {
			want = "NODATA" // only an answer of the wrong type
		}
		if res, err := s.Resolve(t.Context()); !contains(err, want) {
			t.Errorf("%s: Resolve = %v, %v, want an error with %q", dns.TypeToString[typ], res, err, want)
		}
	}
}

func TestDNSWithoutEDNS(t *testing.T) {
	s := startDNS(t, "etcd.test. 60 IN A 10.0.0.1")
	s.setHook(func(w dns.ResponseWriter, q *dns.Msg, tcp bool) bool {
		return q.IsEdns0() != nil && rcode(dns.RcodeFormatError)(w, q, tcp)
	})
	if got := dialsOf(t, "dns://"+s.addr+"/etcd.test", resolver.Config{}); fmt.Sprint(got) != "[10.0.0.1:2379]" {
		t.Errorf("addresses %v, want 10.0.0.1", got)
	}
}

func TestDNSAnnouncesItsSize(t *testing.T) {
	s := startDNS(t, "etcd.test. 60 IN A 10.0.0.1")
	sizes := make(chan uint16, 100)
	s.setHook(func(_ dns.ResponseWriter, q *dns.Msg, _ bool) bool {
		if opt := q.IsEdns0(); opt != nil {
			sizes <- opt.UDPSize()
		} else {
			sizes <- 0
		}
		return false
	})
	dialsOf(t, "dns://"+s.addr+"/etcd.test", resolver.Config{})
	if got := <-sizes; got != 1232 {
		t.Errorf("the query announces %d bytes, want 1232", got)
	}
}

func TestDNSTruncation(t *testing.T) {
	var records, want []string
	for i := range 200 { // far more than 1232 bytes
		records = append(records, fmt.Sprintf("etcd.test. 60 IN A 10.0.1.%d", i+1))
		want = append(want, fmt.Sprintf("10.0.1.%d:2379", i+1))
	}
	slices.Sort(want)
	s := startDNS(t, records...)
	if diff := cmp.Diff(want, dialsOf(t, "dns://"+s.addr+"/etcd.test", resolver.Config{})); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
	if n := s.questions("TCP A etcd.test."); n != 1 {
		t.Errorf("%d questions over TCP, want 1", n)
	}
}

func TestDNSPassesForeignPacketsOver(t *testing.T) {
	s := startDNS(t, "etcd.test. 60 IN A 10.0.0.1")
	s.setHook(func(w dns.ResponseWriter, q *dns.Msg, _ bool) bool {
		forged := new(dns.Msg)
		forged.SetReply(q)
		forged.Id++
		_ = w.WriteMsg(forged)
		forged.Id--
		forged.Question[0].Name = "other.test."
		_ = w.WriteMsg(forged)
		_, _ = w.Write([]byte("garbage"))
		return false // and then the answer
	})
	if got := dialsOf(t, "dns://"+s.addr+"/etcd.test", resolver.Config{}); fmt.Sprint(got) != "[10.0.0.1:2379]" {
		t.Errorf("addresses %v, want 10.0.0.1", got)
	}
}

func TestOneFamilyIsEnough(t *testing.T) {
	for name, hook := range map[string]func(dns.ResponseWriter, *dns.Msg, bool) bool{
		"refused": rcode(dns.RcodeRefused),
		"silence": func(dns.ResponseWriter, *dns.Msg, bool) bool { return true },
	} {
		t.Run(name, func(t *testing.T) {
			s := startDNS(t, "etcd.test. 60 IN A 10.0.0.1")
			s.setHook(func(w dns.ResponseWriter, q *dns.Msg, tcp bool) bool {
				return q.Question[0].Qtype == dns.TypeAAAA && hook(w, q, tcp)
			})
			start := time.Now()
			if got := dialsOf(t, "dns://"+s.addr+"/etcd.test", resolver.Config{}); fmt.Sprint(got) != "[10.0.0.1:2379]" {
				t.Errorf("addresses %v, want 10.0.0.1", got)
			}
			if d := time.Since(start); d > 3*time.Second {
				t.Errorf("it took %v, want about 0.5 s at most", d)
			}
		})
	}
	t.Run("the other has none", func(t *testing.T) {
		// Without A records, and while nobody answers for AAAA, nothing is known:
		// the failure is not "no records".
		s := startDNS(t, "etcd.test. 60 IN TXT x")
		s.setHook(func(w dns.ResponseWriter, q *dns.Msg, tcp bool) bool {
			return q.Question[0].Qtype == dns.TypeAAAA && rcode(dns.RcodeServerFailure)(w, q, tcp)
		})
		err := failureOf(t, "dns://"+s.addr+"/etcd.test", "SERVFAIL", resolver.Config{})
		if errors.Is(err, resolver.ErrNoRecords) {
			t.Errorf("got %v, want SERVFAIL alone", err)
		}
	})
}

// When the answer about one address family is lost, the addresses of that family stay: a lost
// packet must not lose members. When DNS says that there are none, they go.
func TestLostAnswerKeepsTheFamily(t *testing.T) {
	const (
		four = "etcd.test. 0 IN A 10.0.0.1"
		six  = "etcd.test. 0 IN AAAA 2001:db8::1"
		srv  = "_x._tcp.test. 0 IN SRV 0 0 2379 etcd.test."
		both = "[10.0.0.1:2379 [2001:db8::1]:2379]"
	)
	for name, tt := range map[string]struct {
		endpoint   string
		additional bool // the server gives the IPv4 addresses together with the SRV records
		lost       uint16
		there      string // what DNS has in the end
		want       string
	}{
		"A":                     {"dns://%s/etcd.test", false, dns.TypeA, six, "[[2001:db8::1]:2379]"},
		"AAAA":                  {"dns://%s/etcd.test", false, dns.TypeAAAA, four, "[10.0.0.1:2379]"},
		"A of a target":         {"dns+srv://%s/_x._tcp.test", false, dns.TypeA, six, "[[2001:db8::1]:2379]"},
		"AAAA beside SRV and A": {"dns+srv://%s/_x._tcp.test", true, dns.TypeAAAA, four, "[10.0.0.1:2379]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startDNS(t, four, six, srv)
			s.mu.Lock()
			s.additional, s.onlyA = tt.additional, true
			s.mu.Unlock()
			r, err := resolver.New([]string{fmt.Sprintf(tt.endpoint, s.addr)},
				resolver.Config{Options: resolver.Options{MinTTL: 10 * time.Millisecond, MinInterval: time.Millisecond}})
			if err != nil {
				t.Fatal(err)
			}
			cc := newClientConn()
			w := build(t, r, cc)
			defer w.Close()
			if got := fmt.Sprint(sortedDials(cc.await(t))); got != both {
				t.Fatalf("addresses %v, want %v", got, both)
			}
			s.setHook(func(_ dns.ResponseWriter, q *dns.Msg, _ bool) bool { return q.Question[0].Qtype == tt.lost })
			before := r.Resolutions()
			cc.until(t, "two resolutions", func() bool { // when the second begins, the first has ended
				w.ResolveNow(grpcresolver.ResolveNowOptions{})
				return r.Resolutions() >= before+2
			})
			if got := fmt.Sprint(sortedDials(r.Addresses())); got != both {
				t.Errorf("addresses %v without the answer, want %v as before", got, both)
			}
			s.set(t, tt.there, srv)
			s.setHook(nil)
			cc.until(t, "the family to go", func() bool {
				w.ResolveNow(grpcresolver.ResolveNowOptions{})
				return fmt.Sprint(sortedDials(cc.addresses())) == tt.want
			})
		})
	}
}

func TestSeveralNameservers(t *testing.T) {
	good := startDNS(t, "etcd.test. 60 IN A 10.0.0.1")
	lame := startDNS(t)
	lame.setHook(rcode(dns.RcodeServerFailure))
	conf := resolvConf(t, nameserver(deadServer(t)), nameserver(lame.addr), nameserver(good.addr), "options timeout:1")
	r, err := resolver.New([]string{"dns:///etcd.test"}, resolver.Config{Options: resolver.Options{ResolvConf: conf, Timeout: 3 * time.Second, MinInterval: time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	cc := newClientConn()
	w := build(t, r, cc)
	defer w.Close()
	if got := fmt.Sprint(sortedDials(cc.await(t))); got != "[10.0.0.1:2379]" {
		t.Errorf("addresses %v, want 10.0.0.1", got)
	}
	n := lame.questions("A etcd.test.")
	if n != 1 {
		t.Errorf("the lame server was asked %d times, want 1", n)
	}
	// After that, the server that answered is asked first.
	m := good.questions("A etcd.test.")
	w.ResolveNow(grpcresolver.ResolveNowOptions{})
	cc.until(t, "a second resolution", func() bool { return good.questions("A etcd.test.") > m })
	if got := lame.questions("A etcd.test."); got != n {
		t.Errorf("the lame server was asked again although another answers: %d times", got)
	}

	// All servers fail: the error has the failure of each.
	conf = resolvConf(t, nameserver(deadServer(t)), nameserver(lame.addr))
	err = failureOf(t, "dns:///etcd.test", lame.addr+": SERVFAIL", resolver.Config{Options: resolver.Options{ResolvConf: conf, Timeout: 500 * time.Millisecond}})
	if !strings.Contains(err.Error(), "timeout") {
		t.Errorf("got %v, want what each server said", err)
	}
}

func TestSearchList(t *testing.T) {
	s := startDNS(t,
		"etcd.two.test. 60 IN A 10.0.0.2",
		"top. 60 IN A 10.0.0.3",
		"_etcd-client._tcp.disco.two.test. 60 IN SRV 0 0 2379 etcd.two.test.",
		"a.b.two.test. 60 IN A 10.0.0.4",
		"both.test. 60 IN A 10.0.0.5",
		"both.test.two.test. 60 IN A 10.0.0.6",
		"etcd.db.svc.two.test. 60 IN A 10.0.0.7",
		"_etcd-client._tcp.disco.db.two.test. 60 IN SRV 0 0 2379 etcd.two.test.",
		"_etcd-client._tcp.disco.db.svc. 60 IN SRV 0 0 1 etcd.two.test.",
		"_etcd-client._tcp.disco.db.svc.two.test. 60 IN SRV 0 0 2 etcd.two.test.",
	)
	conf := resolvConf(t, "search one.test two.test. bad..name", nameserver(s.addr))
	o := resolver.Config{Options: resolver.Options{ResolvConf: conf}}
	for endpoint, want := range map[string]string{
		"dns:etcd":         "[10.0.0.2:2379]",
		"dns:///top:1":     "[10.0.0.3:1]",
		"dns+srv:///disco": "[10.0.0.2:2379]",
		// A name with a dot is first tried as it is, and then with the search
		// list.
		"dns:a.b":                               "[10.0.0.4:2379]",
		"dns:both.test":                         "[10.0.0.5:2379]",
		"dns:etcd.db.svc":                       "[10.0.0.7:2379]",
		"dns+srv:///disco.db":                   "[10.0.0.2:2379]",
		"dns+srv:///disco.db.svc":               "[10.0.0.2:1]",
		"dns+srv:///_etcd-client._tcp.disco.db": "[10.0.0.2:2379]",
	} {
		if got := dialsOf(t, endpoint, o); fmt.Sprint(got) != want {
			t.Errorf("%s: addresses %v, want %v", endpoint, got, want)
		}
	}
	// A final dot makes a name complete.
	if err := failureOf(t, "dns:a.b.", "NXDOMAIN", o); !errors.Is(err, resolver.ErrNoSuchName) {
		t.Errorf("dns:a.b.: %v, want ErrNoSuchName", err)
	}
	// With Kubernetes' ndots:5 the search list comes first for names with fewer dots.
	o.ResolvConf = resolvConf(t, "search one.test two.test", nameserver(s.addr), "options ndots:5")
	for endpoint, want := range map[string]string{
		"dns:both.test":   "[10.0.0.6:2379]",
		"dns:both.test.":  "[10.0.0.5:2379]",
		"dns:etcd.db.svc": "[10.0.0.7:2379]",
		// The labels of the service count as dots: _etcd-client._tcp.disco.db.svc
		// has four.
		"dns+srv:///disco.db.svc":  "[10.0.0.2:2]",
		"dns+srv:///disco.db.svc.": "[10.0.0.2:1]",
	} {
		if got := dialsOf(t, endpoint, o); fmt.Sprint(got) != want {
			t.Errorf("ndots:5: %s: addresses %v, want %v", endpoint, got, want)
		}
	}
	o.ResolvConf = resolvConf(t, "search one.test two.test", nameserver(s.addr), "options ndots:4")
	if got := dialsOf(t, "dns+srv:///disco.db.svc", o); fmt.Sprint(got) != "[10.0.0.2:1]" {
		t.Errorf("ndots:4: addresses %v, want those of the name itself, which has four dots with its service", got)
	}
	// The certificate is checked against the name that the user wrote.
	addrs, _ := resolveOnce(t, []string{"dns:etcd"}, resolver.Config{Options: resolver.Options{ResolvConf: conf}, TLS: true})
	if addrs[0].ServerName != "etcd" {
		t.Errorf("ServerName = %q, want %q", addrs[0].ServerName, "etcd")
	}
	// With ndots:0 the name itself is tried first.
	o.ResolvConf = resolvConf(t, "search two.test", nameserver(s.addr), "options ndots:0")
	before := s.questions("A top.two.test.")
	if got := dialsOf(t, "dns:top", o); fmt.Sprint(got) != "[10.0.0.3:2379]" || s.questions("A top.two.test.") != before {
		t.Errorf("ndots:0: addresses %v, and the search list was asked", got)
	}
	// If the URI names a server, the search list is not used.
	if err := failureOf(t, "dns://"+s.addr+"/etcd", "NXDOMAIN", resolver.Config{Options: resolver.Options{ResolvConf: conf}}); !errors.Is(err, resolver.ErrNoSuchName) {
		t.Errorf("dns://server/etcd: %v, want ErrNoSuchName", err)
	}
}

// A search domain that the server does not serve must not hide an answer for the
// next one. If the candidate that answered before fails, the addresses stay.
func TestSearchListWithServerFailures(t *testing.T) {
	s := startDNS(t, "etcd.two.test. 0 IN A 10.0.0.2", "etcd.three.test. 60 IN A 10.0.0.3")
	var broken atomic.Pointer[string]
	broken.Store(new("etcd.one.test."))
	s.setHook(func(w dns.ResponseWriter, q *dns.Msg, tcp bool) bool {
		return q.Question[0].Name == *broken.Load() && rcode(dns.RcodeServerFailure)(w, q, tcp)
	})
	r, err := resolver.New([]string{"dns:etcd"}, resolver.Config{Options: resolver.Options{ResolvConf: resolvConf(t, "search one.test two.test three.test", nameserver(s.addr)), MinTTL: time.Millisecond, MinInterval: time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	cc := newClientConn()
	w := build(t, r, cc)
	defer w.Close()
	cc.await(t)
	if got := cc.dials(); got != "[10.0.0.2:2379]" {
		t.Errorf("addresses %v, want those of the second domain", got)
	}
	broken.Store(new("etcd.two.test."))
	cc.until(t, "an error", func() bool { return len(r.Errors()) > 0 })
	if got := cc.dials(); got != "[10.0.0.2:2379]" {
		t.Errorf("addresses %v, want the former ones", got)
	}
}

// The hosts file is used for names under dns, and for the targets of SRV records.
func TestHostsFile(t *testing.T) {
	s := startDNS(t,
		"etcd1.test. 60 IN A 10.0.0.1",
		"etcd2.test. 60 IN A 10.0.0.2",
		srvRecord("_etcd-client._tcp.example.test.", 0, 0, 1, "etcd1.test."),
		srvRecord("_etcd-client._tcp.example.test.", 0, 0, 2, "etcd2.test."),
		srvRecord("_etcd-client._tcp.example.test.", 0, 0, 3, "nowhere."),
	)
	s.setAdditional(true) // the hosts file takes precedence over these
	hosts := resolvConf(t, "# comment", "nonsense etcd1.test", "10.1.0.1 x ETCD1.test # 10.1.0.9 etcd2.test",
		"2001:db8::1\tetcd1.test", "10.1.0.3 nowhere", "0.0.0.0 etcd2.test", "10.1.0.1 etcd1.test.")
	o := resolver.Config{Options: resolver.Options{ResolvConf: resolvConf(t, nameserver(s.addr))}}.WithHosts(hosts)
	srv := "[10.0.0.2:2 10.1.0.1:1 10.1.0.3:3 [2001:db8::1]:1]"
	for endpoint, want := range map[string]string{
		"dns:etcd1.test":                        "[10.1.0.1:2379 [2001:db8::1]:2379]",
		"dns:etcd2.test":                        "[10.0.0.2:2379]",
		"dns:nowhere:1":                         "[10.1.0.3:1]",
		"dns://" + s.addr + "/etcd1.test":       "[10.0.0.1:2379]", // a server in the URI takes precedence over the hosts file
		"dns+srv:///example.test":               srv,
		"dns+srv://" + s.addr + "/example.test": srv, // a target is a host name, so the hosts file applies
	} {
		if got := dialsOf(t, endpoint, o); fmt.Sprint(got) != want {
			t.Errorf("%s: addresses %v, want %v", endpoint, got, want)
		}
	}
	missing := o.WithHosts(t.TempDir() + "/none")
	if got := dialsOf(t, "dns:etcd1.test", missing); fmt.Sprint(got) != "[10.0.0.1:2379]" {
		t.Errorf("without a hosts file: addresses %v", got)
	}
}

// The host that a proxy connects to is not looked up here, unless the user names
// a server.
func TestNamesLeftToAProxy(t *testing.T) {
	s := startDNS(t,
		"etcd1.test. 60 IN A 10.0.0.1",
		"near.test. 60 IN A 10.0.0.2",
		srvRecord("_etcd-client._tcp.example.test.", 0, 0, 1, "etcd1.test."),
		srvRecord("_etcd-client._tcp.example.test.", 0, 0, 2, "near.test."),
	)
	o := resolver.Config{Options: resolver.Options{ResolvConf: resolvConf(t, nameserver(s.addr))}, Proxied: func(hostPort string) bool { return !strings.HasPrefix(hostPort, "near.") }}.WithLookup(func(_ context.Context, _ string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("10.9.0.2")}, nil
	})
	for endpoint, want := range map[string]string{
		"etcd1.test:1":                          "[etcd1.test:1]",
		"near.test:1":                           "[10.9.0.1:1 10.9.0.2:1]",
		"http://etcd1.test":                     "[etcd1.test:2379]",
		"dns:etcd1.test":                        "[etcd1.test:2379]",
		"dns:near.test":                         "[10.0.0.2:2379]",
		"dns://" + s.addr + "/etcd1.test":       "[10.0.0.1:2379]",
		"dns+srv:///example.test":               "[10.0.0.2:2 etcd1.test:1]",
		"dns+srv://" + s.addr + "/example.test": "[10.0.0.1:1 10.0.0.2:2]",
	} {
		r, err := resolver.New([]string{endpoint}, o)
		if err != nil {
			t.Fatal(err)
		}
		cc := newClientConn()
		w := build(t, r, cc)
		if got := fmt.Sprint(sortedDials(cc.await(t))); got != want {
			t.Errorf("%s: addresses %v, want %v", endpoint, got, want)
		}
		w.Close()
	}
	// A dialer of the user does not know about proxies.
	if got := dialsOf(t, "dns:etcd1.test", o); fmt.Sprint(got) != "[10.0.0.1:2379]" {
		t.Errorf("with a dialer of the user's: addresses %v, want those of DNS", got)
	}
}

func TestResolvConf(t *testing.T) {
	err := failureOf(t, "dns:///etcd.test", "no DNS server is known", resolver.Config{Options: resolver.Options{ResolvConf: t.TempDir() + "/none"}})
	if !strings.Contains(err.Error(), "dns://server/name") {
		t.Errorf("without resolv.conf: %v, want what to do about it", err)
	}

	// The file is read for each resolution.
	s := startDNS(t, "etcd.test. 60 IN A 10.0.0.1")
	conf := resolvConf(t, nameserver(deadServer(t)))
	r, err := resolver.New([]string{"dns:///etcd.test"}, resolver.Config{Options: resolver.Options{ResolvConf: conf, Timeout: time.Second}}) // more than an answer takes on a busy machine
	if err != nil {
		t.Fatal(err)
	}
	cc := newClientConn()
	w := build(t, r, cc)
	defer w.Close()
	_ = cc.awaitError(t)
	copyFile(t, resolvConf(t, "garbage", "nameserver", "nameserver nonsense", "nameserver [::1", "nameserver [127.0.0.1]:0", nameserver(s.addr), strings.Repeat("x", 1<<17)), conf)
	cc.until(t, "addresses from the new server", func() bool { return cc.dials() == "[10.0.0.1:2379]" })
}

func TestLocalhost(t *testing.T) {
	// RFC 6761: localhost needs no server and no query.
	conf := resolvConf(t, nameserver(deadServer(t)))
	for _, name := range []string{"localhost", "LOCALHOST.", "etcd.localhost"} {
		got := dialsOf(t, "dns:///"+name, resolver.Config{Options: resolver.Options{ResolvConf: conf}})
		if fmt.Sprint(got) != "[127.0.0.1:2379 [::1]:2379]" {
			t.Errorf("%s: addresses %v, want both loopback addresses", name, got)
		}
	}
}

func TestDNSFollowsTheTTL(t *testing.T) {
	s := startDNS(t, "etcd.test. 0 IN A 10.0.0.1")
	r, err := resolver.New([]string{"dns://" + s.addr + "/etcd.test"}, resolver.Config{Options: resolver.Options{MinTTL: time.Millisecond, MinInterval: time.Millisecond, Timeout: 2 * time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	cc := newClientConn()
	w := build(t, r, cc)
	defer w.Close()
	cc.await(t)
	// A TTL of 0 does not mean forever.
	s.set(t, "etcd.test. 3600 IN CNAME etcd2.test.", "etcd2.test. 1 IN A 10.0.0.2")
	cc.until(t, "the new address", func() bool { return cc.dials() == "[10.0.0.2:2379]" })
	// The smallest TTL of the chain counts.
	s.set(t, "etcd.test. 1 IN CNAME etcd2.test.", "etcd2.test. 3600 IN A 10.0.0.3")
	cc.until(t, "the second new address", func() bool { return cc.dials() == "[10.0.0.3:2379]" })
	s.set(t, "etcd.test. 2147483648 IN A 10.0.0.4") // RFC 2181, section 8: the same as 0
	cc.until(t, "the third new address", func() bool { return cc.dials() == "[10.0.0.4:2379]" })
	s.set(t, "etcd.test. 3600 IN A 10.0.0.5")
	cc.until(t, "the fourth new address", func() bool { return cc.dials() == "[10.0.0.5:2379]" })
	// When the server goes away, the last good addresses stay.
	s.setHook(func(dns.ResponseWriter, *dns.Msg, bool) bool { return true })
	w.ResolveNow(grpcresolver.ResolveNowOptions{})
	cc.until(t, "an error", func() bool { return len(r.Errors()) > 0 })
	if got := cc.dials(); got != "[10.0.0.5:2379]" {
		t.Errorf("addresses %v after the server went silent, want the last good one", got)
	}
}

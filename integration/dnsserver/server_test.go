package dnsserver_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/getcd/getcd/integration/dnsserver"
)

func start(t *testing.T) *dnsserver.Server {
	t.Helper()
	s, err := dnsserver.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ask sends one query over UDP or TCP, with EDNS0 if edns is not 0.
func ask(t *testing.T, s *dnsserver.Server, network, name string, rtype, edns uint16) (*dns.Msg, error) {
	t.Helper()
	query := new(dns.Msg).SetQuestion(name, rtype)
	if edns != 0 {
		query.SetEdns0(edns, false)
	}
	client := dns.Client{Net: network, Timeout: 5 * time.Second, UDPSize: max(edns, dns.MinMsgSize)}
	answer, _, err := client.ExchangeContext(t.Context(), query, s.Addr())
	if answer != nil {
		answer.Compress = true // so that Len is the size of the received message
	}
	return answer, err
}

func mustAsk(t *testing.T, s *dnsserver.Server, network, name string, rtype, edns uint16) *dns.Msg {
	t.Helper()
	answer, err := ask(t, s, network, name, rtype, edns)
	if err != nil {
		t.Fatalf("%s %s over %s: %v", name, dns.TypeToString[rtype], network, err)
	}
	return answer
}

// text returns records as in a zone file, with single spaces.
func text(records []dns.RR) []string {
	out := make([]string, 0, len(records))
	for _, rr := range records {
		if rr.Header().Rrtype != dns.TypeOPT {
			out = append(out, strings.Join(strings.Fields(rr.String()), " "))
		}
	}
	return out
}

const zone = `
$ORIGIN example.
$TTL 5
@                  SOA   ns hostmaster 1 3600 600 86400 7
_etcd-client._tcp  SRV   0 1 2379 m1
_etcd-client._tcp  SRV   1 2 2379 m2
m1                 A     127.0.0.1
m1                 AAAA  ::1
m2            60   A     127.0.0.2
alias              CNAME m1
far                CNAME alias
dangling           CNAME nowhere
loop               CNAME pool
pool               CNAME loop
`

func TestAnswers(t *testing.T) {
	s := start(t)
	must(t, s.Load(zone))
	soa := []string{"example. 5 IN SOA ns.example. hostmaster.example. 1 3600 600 86400 7"}
	for _, tc := range []struct {
		name          string
		rtype         uint16
		rcode         int
		answer, extra []string
		authority     []string
	}{
		{
			"_etcd-client._tcp.example.", dns.TypeSRV, dns.RcodeSuccess,
			[]string{
				"_etcd-client._tcp.example. 5 IN SRV 0 1 2379 m1.example.",
				"_etcd-client._tcp.example. 5 IN SRV 1 2 2379 m2.example.",
			},
			[]string{"m1.example. 5 IN A 127.0.0.1", "m1.example. 5 IN AAAA ::1", "m2.example. 60 IN A 127.0.0.2"},
			nil,
		},
		{"m1.example.", dns.TypeAAAA, dns.RcodeSuccess, []string{"m1.example. 5 IN AAAA ::1"}, nil, nil},
		{"M1.eXample.", dns.TypeA, dns.RcodeSuccess, []string{"M1.eXample. 5 IN A 127.0.0.1"}, nil, nil},
		{"m2.example.", dns.TypeAAAA, dns.RcodeSuccess, nil, nil, soa},
		{"_tcp.example.", dns.TypeSRV, dns.RcodeSuccess, nil, nil, soa},
		{"nowhere.example.", dns.TypeA, dns.RcodeNameError, nil, nil, soa},
		{
			"nowhere.test.", dns.TypeA, dns.RcodeNameError, nil, nil,
			[]string{". 0 IN SOA ns.invalid. hostmaster.invalid. 11 3600 600 86400 0"},
		},
		{
			"far.example.", dns.TypeA, dns.RcodeSuccess,
			[]string{"far.example. 5 IN CNAME alias.example.", "alias.example. 5 IN CNAME m1.example.", "m1.example. 5 IN A 127.0.0.1"},
			nil, nil,
		},
		{"alias.example.", dns.TypeCNAME, dns.RcodeSuccess, []string{"alias.example. 5 IN CNAME m1.example."}, nil, nil},
		{"dangling.example.", dns.TypeA, dns.RcodeNameError, []string{"dangling.example. 5 IN CNAME nowhere.example."}, nil, soa},
		{
			"loop.example.", dns.TypeA, dns.RcodeSuccess,
			[]string{"loop.example. 5 IN CNAME pool.example.", "pool.example. 5 IN CNAME loop.example."},
			nil, soa,
		},
		{
			"m1.example.", dns.TypeANY, dns.RcodeSuccess,
			[]string{"m1.example. 5 IN A 127.0.0.1", "m1.example. 5 IN AAAA ::1"},
			nil, nil,
		},
	} {
		for _, network := range []string{"udp", "tcp"} {
			t.Run(fmt.Sprint(tc.name, dns.TypeToString[tc.rtype], network), func(t *testing.T) {
				got := mustAsk(t, s, network, tc.name, tc.rtype, 0)
				if got.Rcode != tc.rcode || !got.Authoritative || got.Truncated || got.RecursionAvailable {
					t.Errorf("got %s, aa %v, tc %v, ra %v, want %s, authoritative alone",
						dns.RcodeToString[got.Rcode], got.Authoritative, got.Truncated, got.RecursionAvailable, dns.RcodeToString[tc.rcode])
				}
				for _, section := range []struct {
					name      string
					got, want []string
				}{
					{"answer", text(got.Answer), tc.answer},
					{"authority", text(got.Ns), tc.authority},
					{"additional", text(got.Extra), tc.extra},
				} {
					if !slices.Equal(section.got, section.want) {
						t.Errorf("%s:\ngot  %q\nwant %q", section.name, section.got, section.want)
					}
				}
			})
		}
	}
}

func TestRecordsChangeWhileTheServerRuns(t *testing.T) {
	s := start(t)
	const name = "_etcd-client._tcp.example."
	must(t, s.SetSRV(name, time.Minute, dnsserver.SRV{Priority: 1, Weight: 2, Port: 3, Target: "m1.example"}, dnsserver.SRV{Target: "."}))
	must(t, s.SetA("m1.example", 0, "127.0.0.1", "127.0.0.2"))
	must(t, s.SetAAAA("m1.example.", time.Second, "::1"))
	must(t, s.SetCNAME("alias.example.", time.Second, "m1.example."))
	must(t, s.Set("m1.example.", "txt", 2*time.Second, `"a b" c`))
	want := `alias.example.	1	IN	CNAME	m1.example.
m1.example.	0	IN	A	127.0.0.1
m1.example.	0	IN	A	127.0.0.2
m1.example.	2	IN	TXT	"a b" "c"
m1.example.	1	IN	AAAA	::1
_etcd-client._tcp.example.	60	IN	SRV	1 2 3 m1.example.
_etcd-client._tcp.example.	60	IN	SRV	0 0 0 .
`
	sorted := func(zone string) string {
		lines := strings.Split(zone, "\n")
		slices.Sort(lines)
		return strings.Join(lines, "\n")
	}
	if got := s.Zone(); sorted(got) != sorted(want) {
		t.Fatalf("the zone:\ngot\n%s\nwant\n%s", got, want)
	}
	if got := len(mustAsk(t, s, "udp", name, dns.TypeSRV, 0).Extra); got != 3 {
		t.Errorf("got %d additional records, want 3", got)
	}
	s.SetAdditional(false)
	if got := len(mustAsk(t, s, "udp", name, dns.TypeSRV, 0).Extra); got != 0 {
		t.Errorf("got %d additional records after SetAdditional(false), want none", got)
	}
	s.Remove("m1.example.", "A", "TXT")
	if got := mustAsk(t, s, "udp", "m1.example.", dns.TypeA, 0); len(got.Answer) != 0 || got.Rcode != dns.RcodeSuccess {
		t.Errorf("after Remove of one type: got %v, want no data", got)
	}
	s.Remove("m1.example.")
	if got := mustAsk(t, s, "udp", "m1.example.", dns.TypeA, 0); got.Rcode != dns.RcodeNameError {
		t.Errorf("after Remove of the name: got %v, want NXDOMAIN", got)
	}
	must(t, s.Set(name, "SRV", 0))
	must(t, s.SetCNAME("alias.example.", 0, "m2.example."))
	if got, want := s.Zone(), "alias.example.\t0\tIN\tCNAME\tm2.example.\n"; got != want {
		t.Errorf("the zone: got %q, want %q", got, want)
	}
}

func TestBadRecordsAreRefused(t *testing.T) {
	s := start(t)
	must(t, s.SetA("kept.example.", 0, "127.0.0.1"))
	before := s.Zone()
	long := strings.Repeat("x", 64) + ".example."
	for _, tc := range []struct {
		err  error
		want string
	}{
		{s.Set("a.example.", "NOTYPE", 0, "x"), `"NOTYPE"`},
		{s.Set("a.example.", "A", 0, "300.1.1.1"), `"300.1.1.1"`},
		{s.Set("a.example.", "A", 0, ""), "A record"},
		{s.Set("a.example.", "A", -1, "127.0.0.1"), "TTL"},
		{s.Set("a.example.", "A", time.Millisecond, "127.0.0.1"), "1ms"},
		{s.Set("", "A", 0, "127.0.0.1"), `""`},
		{s.Set(long, "A", 0, "127.0.0.1"), long},
		{s.SetSRV("a.example.", 0, dnsserver.SRV{}), "target"},
		{s.SetSRV(long, 0), long},
		{s.SetA("a.example.", 0, "::1"), `"::1"`},
		{s.SetAAAA("a.example.", 0, "127.0.0.1"), `"127.0.0.1"`},
		{s.SetCNAME("a.example.", 0, ""), `""`},
		{s.Load("a.example. A 127.0.0.1"), "TTL"},
		{s.Load("$TTL 1\na.example. A nonsense"), "line: 2"},
	} {
		if tc.err == nil || !strings.Contains(tc.err.Error(), tc.want) {
			t.Errorf("got %v, want an error with %q", tc.err, tc.want)
		}
	}
	if got := s.Zone(); got != before {
		t.Errorf("the zone changed to %q", got)
	}
}

func TestTruncation(t *testing.T) {
	s := start(t)
	const name = "_etcd-client._tcp.example."
	services := make([]dnsserver.SRV, 40)
	for i := range services {
		services[i] = dnsserver.SRV{Port: 2379, Target: fmt.Sprintf("member-%d.example.", i)}
		must(t, s.SetA(services[i].Target, 0, "127.0.0.1"))
	}
	must(t, s.SetSRV(name, 0, services...))
	for _, tc := range []struct {
		network        string
		edns           uint16
		size           int
		truncated, all bool
	}{
		{"udp", 0, 512, true, false},
		{"udp", 100, 512, true, false},
		{"udp", 1232, 1232, true, false},
		{"udp", 4096, 1232, true, false},
		{"tcp", 0, dns.MaxMsgSize, false, true},
		{"tcp", 512, dns.MaxMsgSize, false, true},
	} {
		got := mustAsk(t, s, tc.network, name, dns.TypeSRV, tc.edns)
		if got.Truncated != tc.truncated || (len(got.Answer) == 40) != tc.all || got.Len() > tc.size {
			t.Errorf("%s, EDNS0 %d: got tc %v, %d records, %d bytes, want tc %v, all %v, at most %d bytes",
				tc.network, tc.edns, got.Truncated, len(got.Answer), got.Len(), tc.truncated, tc.all, tc.size)
		}
		if (got.IsEdns0() != nil) != (tc.edns != 0) {
			t.Errorf("%s, EDNS0 %d: got the OPT record %v", tc.network, tc.edns, got.IsEdns0())
		}
	}
	// Answers that fit are not marked, even if additional records are left out.
	must(t, s.SetSRV(name, 0, services[:10]...))
	got := mustAsk(t, s, "udp", name, dns.TypeSRV, 0)
	if got.Truncated || len(got.Answer) != 10 || len(got.Extra) == 10 || got.Len() > 512 {
		t.Errorf("got tc %v, %d and %d records, %d bytes; want all 10 answers, not all addresses, no mark, at most 512 bytes",
			got.Truncated, len(got.Answer), len(got.Extra), got.Len())
	}
	s.SetTruncate(true)
	if got := mustAsk(t, s, "udp", name, dns.TypeSRV, 1232); !got.Truncated || len(got.Answer) != 0 {
		t.Errorf("SetTruncate: got tc %v and %d records, want the mark and none", got.Truncated, len(got.Answer))
	}
	s.Behave()
	s.SetUDPSize(4096)
	must(t, s.SetSRV(name, 0, services...))
	if got := mustAsk(t, s, "udp", name, dns.TypeSRV, 4096); got.Truncated || len(got.Answer) != 40 {
		t.Errorf("SetUDPSize: got tc %v and %d records, want all 40", got.Truncated, len(got.Answer))
	}
}

func TestMisbehavior(t *testing.T) {
	s := start(t)
	must(t, s.SetA("a.example.", 0, "127.0.0.1"))
	short := func(network string) (*dns.Msg, error) {
		client := dns.Client{Net: network, Timeout: 100 * time.Millisecond}
		answer, _, err := client.ExchangeContext(t.Context(), new(dns.Msg).SetQuestion("a.example.", dns.TypeA), s.Addr())
		return answer, err
	}
	for _, network := range []string{"udp", "tcp"} {
		s.SetRcode(dns.RcodeServerFailure)
		if got := mustAsk(t, s, network, "a.example.", dns.TypeA, 0); got.Rcode != dns.RcodeServerFailure || len(got.Answer) != 0 {
			t.Errorf("%s, SERVFAIL: got %v", network, got)
		}
		s.Behave()

		s.Drop(true)
		if got, err := short(network); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s, dropped: got %v, %v, want a timeout", network, got, err)
		}
		s.Drop(false)

		s.SetDelay(time.Hour)
		if got, err := short(network); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s, late: got %v, %v, want a timeout", network, got, err)
		}
		s.SetDelay(50 * time.Millisecond)
		began := time.Now()
		mustAsk(t, s, network, "a.example.", dns.TypeA, 0)
		if took := time.Since(began); took < 50*time.Millisecond {
			t.Errorf("%s: an answer delayed by 50ms took %v", network, took)
		}
		s.Behave()
		if got := mustAsk(t, s, network, "a.example.", dns.TypeA, 0); len(got.Answer) != 1 {
			t.Errorf("%s, behaving: got %v", network, got)
		}
	}
}

// TestGarbage examines the bytes: a client would only say that they are wrong.
func TestGarbage(t *testing.T) {
	s := start(t)
	must(t, s.SetA("a.example.", 0, "127.0.0.1"))
	query := new(dns.Msg).SetQuestion("a.example.", dns.TypeA)
	packed, err := query.Pack()
	must(t, err)
	for _, tc := range []struct {
		garbage dnsserver.Garbage
		check   func(answer *dns.Msg, err error) bool
	}{
		{dnsserver.NoGarbage, func(a *dns.Msg, err error) bool { return err == nil && len(a.Answer) == 1 && a.Id == query.Id }},
		{dnsserver.GarbageBytes, func(_ *dns.Msg, err error) bool { return err != nil }},
		{dnsserver.GarbageShort, func(_ *dns.Msg, err error) bool { return err != nil }},
		{dnsserver.GarbageCut, func(_ *dns.Msg, err error) bool { return err != nil }},
		{dnsserver.GarbagePointerLoop, func(_ *dns.Msg, err error) bool { return err != nil }},
		{dnsserver.GarbageID, func(a *dns.Msg, err error) bool { return err == nil && a.Id != query.Id }},
		{dnsserver.GarbageQuestion, func(a *dns.Msg, err error) bool {
			return err == nil && a.Id == query.Id && a.Question[0].Name == "not-asked.a.example."
		}},
		{dnsserver.GarbageQuery, func(a *dns.Msg, err error) bool { return err == nil && !a.Response }},
	} {
		s.SetGarbage(tc.garbage)
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "udp", s.Addr())
		must(t, err)
		must(t, conn.SetDeadline(time.Now().Add(5*time.Second)))
		_, err = conn.Write(packed)
		must(t, err)
		buffer := make([]byte, dns.MaxMsgSize)
		n, err := conn.Read(buffer)
		must(t, err)
		must(t, conn.Close())
		answer := new(dns.Msg)
		if err := answer.Unpack(buffer[:n]); !tc.check(answer, err) {
			t.Errorf("garbage %d: got %v, %v", tc.garbage, answer, err)
		}
	}
}

func TestCounts(t *testing.T) {
	s := start(t)
	for range 2 {
		mustAsk(t, s, "udp", "A.example.", dns.TypeA, 0)
	}
	mustAsk(t, s, "tcp", "a.example.", dns.TypeA, 0)
	mustAsk(t, s, "udp", "a.example.", dns.TypeAAAA, 0)
	if got := s.Count("a.example", "A"); got != 3 {
		t.Errorf("got %d queries for A, want 3", got)
	}
	if got := s.Counts()[dnsserver.Question{Name: "a.example.", Type: "A", Network: "udp"}]; got != 2 {
		t.Errorf("got %d queries for A over UDP, want 2", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	waited := make(chan error, 1)
	go func() { waited <- s.WaitCount(ctx, "a.example.", "A", 4) }()
	mustAsk(t, s, "udp", "a.example.", dns.TypeA, 0)
	must(t, <-waited)
	cancel()
	if err := s.WaitCount(ctx, "a.example.", "A", 5); !errors.Is(err, context.Canceled) {
		t.Errorf("WaitCount after its context ended: got %v", err)
	}
}

func TestStopAndStart(t *testing.T) {
	s := start(t)
	must(t, s.SetA("a.example.", 0, "127.0.0.1"))
	addr := s.Addr()
	for range 3 {
		must(t, s.Stop())
		must(t, s.Stop())
		for _, network := range []string{"udp", "tcp"} {
			if got, err := ask(t, s, network, "a.example.", dns.TypeA, 0); err == nil {
				t.Fatalf("a stopped server answered %v over %s", got, network)
			}
		}
		must(t, s.Start())
		must(t, s.Start())
		for _, network := range []string{"udp", "tcp"} {
			if got := mustAsk(t, s, network, "a.example.", dns.TypeA, 0); len(got.Answer) != 1 {
				t.Fatalf("after Start, over %s: got %v", network, got)
			}
		}
	}
	if s.Addr() != addr {
		t.Errorf("the server moved from %s to %s", addr, s.Addr())
	}
	// Close is delayed neither by a pending answer nor by an idle connection.
	s.SetDelay(time.Hour)
	idle, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	must(t, err)
	defer idle.Close()
	asked := make(chan error, 1)
	go func() {
		_, err := ask(t, s, "tcp", "b.example.", dns.TypeA, 0)
		asked <- err
	}()
	must(t, s.WaitCount(t.Context(), "b.example.", "A", 1))
	began := time.Now()
	must(t, s.Close())
	must(t, s.Close())
	if took := time.Since(began); took > 4*time.Second { // the query would end after 5 s
		t.Errorf("Close took %v", took)
	}
	if err := <-asked; err == nil {
		t.Error("the query that waited was answered")
	}
	if err := s.Start(); err == nil {
		t.Error("a closed server started")
	}
}

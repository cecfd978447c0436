package resolver_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	grpcresolver "google.golang.org/grpc/resolver"

	"github.com/getcd/getcd/resolver"
)

// lockedBuffer is a bytes.Buffer for the log of a Resolver that is still running.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func members(t *testing.T) []string {
	t.Helper()
	return []string{
		"etcd01.example.test. 60 IN A 10.0.0.1",
		"etcd02.example.test. 60 IN A 10.0.0.2",
		"etcd03.example.test. 60 IN A 10.0.0.3",
		"etcd03.example.test. 60 IN AAAA 2001:db8::3",
	}
}

func TestSRVNames(t *testing.T) {
	for _, tt := range []struct {
		name     string
		endpoint string // after dns+srv://server/
		records  []string
		o        resolver.Config
		tls      bool
		server   string // the ServerName
		want     string // the sorted addresses
	}{
		{
			"TLS", "example.test",
			[]string{srvRecord("_etcd-client-ssl._tcp.example.test.", 0, 0, 2379, "etcd01.example.test.")},
			resolver.Config{},
			true, "example.test", "[10.0.0.1:2379]",
		},
		{
			"TLS with the name of the target", "example.test.",
			[]string{srvRecord("_etcd-client-ssl._tcp.example.test.", 0, 0, 2379, "etcd01.example.test.")},
			resolver.Config{Options: resolver.Options{VerifyTargetNames: true}},
			true, "etcd01.example.test", "[10.0.0.1:2379]",
		},
		{
			"plain", "Example.test",
			[]string{srvRecord("_etcd-client._tcp.example.test.", 0, 0, 2379, "etcd02.example.test.")},
			resolver.Config{},
			false, "Example.test", "[10.0.0.2:2379]",
		},
		{
			"both", "example.test",
			[]string{
				srvRecord("_etcd-client._tcp.example.test.", 0, 0, 2379, "etcd02.example.test."),
				srvRecord("_etcd-client-ssl._tcp.example.test.", 0, 0, 2380, "etcd01.example.test."),
			},
			resolver.Config{},
			true, "example.test", "[10.0.0.1:2380]",
		},
		{
			"the name itself", "etcd.example.test",
			[]string{
				srvRecord("etcd.example.test.", 10, 10, 2379, "etcd01.example.test."),
				srvRecord("etcd.example.test.", 10, 10, 2379, "etcd02.example.test."),
				srvRecord("etcd.example.test.", 10, 10, 2379, "etcd03.example.test."),
			},
			resolver.Config{},
			false, "etcd.example.test", "[10.0.0.1:2379 10.0.0.2:2379 10.0.0.3:2379 [2001:db8::3]:2379]",
		},
		{
			"the name itself with TLS", "etcd.example.test",
			[]string{srvRecord("etcd.example.test.", 10, 10, 2379, "etcd01.example.test.")},
			resolver.Config{TLS: true},
			true, "etcd.example.test", "[10.0.0.1:2379]",
		},
		{
			"with labels", "_my-etcd._tcp.example.test",
			[]string{srvRecord("_my-etcd._tcp.example.test.", 0, 0, 1, "etcd01.example.test.")},
			resolver.Config{},
			false, "example.test", "[10.0.0.1:1]",
		},
		{
			"with labels and TLS", "_my-etcd._tcp.example.test",
			[]string{srvRecord("_my-etcd._tcp.example.test.", 0, 0, 1, "etcd01.example.test.")},
			resolver.Config{TLS: true},
			true, "example.test", "[10.0.0.1:1]",
		},
		{
			"with etcd's TLS labels", "_etcd-client-ssl._tcp.example.test",
			[]string{srvRecord("_etcd-client-ssl._tcp.example.test.", 0, 0, 1, "etcd01.example.test.")},
			resolver.Config{},
			true, "example.test", "[10.0.0.1:1]",
		},
		{
			"an alias of the service and of the target", "example.test",
			[]string{
				"_etcd-client._tcp.example.test. 60 IN CNAME _e._tcp.other.test.",
				srvRecord("_e._tcp.other.test.", 0, 0, 1, "alias.test."),
				"alias.test. 60 IN CNAME etcd01.example.test.",
			},
			resolver.Config{},
			false, "example.test", "[10.0.0.1:1]",
		},
		{
			"a cluster of its own name", "example.test?name=prod",
			[]string{
				srvRecord("_etcd-client-prod._tcp.example.test.", 0, 0, 2379, "etcd02.example.test."),
				srvRecord("_etcd-client-ssl-prod._tcp.example.test.", 0, 0, 2380, "etcd01.example.test."),
				srvRecord("_etcd-client._tcp.example.test.", 0, 0, 1, "etcd03.example.test."),
			},
			resolver.Config{},
			true, "example.test", "[10.0.0.1:2380]",
		},
		{
			"a plain cluster of its own name", "example.test?name=prod",
			[]string{
				srvRecord("_etcd-client-prod._tcp.example.test.", 0, 0, 2379, "etcd02.example.test."),
				srvRecord("_etcd-client-ssl._tcp.example.test.", 0, 0, 1, "etcd03.example.test."),
			},
			resolver.Config{},
			false, "example.test", "[10.0.0.2:2379]",
		},
		{
			"plain in spite of TLS", "example.test",
			[]string{srvRecord("_etcd-client._tcp.example.test.", 0, 0, 2379, "etcd02.example.test.")},
			resolver.Config{TLS: true, InsecureDiscovery: true},
			false, "example.test", "[10.0.0.2:2379]",
		},
		{
			"TLS by DNS and by the configuration", "example.test",
			[]string{
				srvRecord("_etcd-client._tcp.example.test.", 0, 0, 2379, "etcd02.example.test."),
				srvRecord("_etcd-client-ssl._tcp.example.test.", 0, 0, 2380, "etcd01.example.test."),
			},
			resolver.Config{TLS: true, InsecureDiscovery: true},
			true, "example.test", "[10.0.0.1:2380]",
		},
		{
			"no TLS service", "example.test",
			[]string{
				srvRecord("_etcd-client-ssl._tcp.example.test.", 0, 0, 0, "."),
				srvRecord("_etcd-client._tcp.example.test.", 0, 0, 1, "etcd01.example.test."),
			},
			resolver.Config{},
			false, "example.test", "[10.0.0.1:1]",
		},
		{
			"useless records among good ones", "example.test",
			[]string{
				srvRecord("_etcd-client._tcp.example.test.", 0, 0, 1, "."),
				srvRecord("_etcd-client._tcp.example.test.", 0, 0, 0, "etcd02.example.test."),
				srvRecord("_etcd-client._tcp.example.test.", 0, 0, 1, `a\032b.example.test.`),
				srvRecord("_etcd-client._tcp.example.test.", 0, 0, 1, "ETCD01.example.test."),
				srvRecord("_etcd-client._tcp.example.test.", 0, 0, 1, "etcd01.example.test."),
				srvRecord("_etcd-client._tcp.example.test.", 0, 5, 1, "etcd01.example.test."),
			},
			resolver.Config{},
			false, "example.test", "[10.0.0.1:1]",
		},
		{
			"an address as target", "example.test",
			[]string{srvRecord("_etcd-client._tcp.example.test.", 0, 0, 1, "10.9.9.9.")},
			resolver.Config{},
			false, "example.test", "[10.9.9.9:1]",
		},
	} {
		for _, additional := range []bool{false, true} {
			t.Run(fmt.Sprint(tt.name, ", additional ", additional), func(t *testing.T) {
				s := startDNS(t, append(members(t), tt.records...)...)
				s.setAdditional(additional)
				addrs, _ := resolveOnce(t, []string{"dns+srv://" + s.addr + "/" + tt.endpoint}, tt.o)
				if got := fmt.Sprint(sortedDials(addrs)); got != tt.want {
					t.Errorf("addresses %v, want %v", got, tt.want)
				}
				for _, a := range addrs {
					if a.TLS != tt.tls || a.ServerName != tt.server {
						t.Errorf("%v: TLS %v, name %q, want %v, %q", a, a.TLS, a.ServerName, tt.tls, tt.server)
					}
					// If the user names a service, that is the user's own choice.
					if byDNS := !tt.tls && !strings.HasPrefix(tt.endpoint, "_"); a.PlainByDNS != byDNS {
						t.Errorf("%v: PlainByDNS %v, want %v", a, a.PlainByDNS, byDNS)
					}
				}
			})
		}
	}
}

func TestSRVFields(t *testing.T) {
	s := startDNS(t, append(members(t), srvRecord("_x._tcp.example.test.", 7, 9, 2380, "etcd03.example.test."))...)
	addrs, _ := resolveOnce(t, []string{"dns+srv://" + s.addr + "/_x._tcp.example.test"}, resolver.Config{Options: resolver.Options{KeepOrder: true}})
	want := []resolver.Address{
		{Network: "tcp", Host: "2001:db8::3", Port: 2380, ServerName: "example.test", Priority: 7, Weight: 9, Target: "etcd03.example.test"},
		{Network: "tcp", Host: "10.0.0.3", Port: 2380, ServerName: "example.test", Priority: 7, Weight: 9, Target: "etcd03.example.test"},
	}
	if diff := cmp.Diff(want, addrs); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
}

func TestSRVFailures(t *testing.T) {
	for _, tt := range []struct {
		name    string
		records []string
		hook    func(dns.ResponseWriter, *dns.Msg, bool) bool
		o       resolver.Config
		want    string
		is      error
	}{
		{
			name:    "plain under a TLS configuration",
			records: []string{srvRecord("_etcd-client._tcp.example.test.", 0, 0, 1, "etcd01.example.test.")},
			o:       resolver.Config{TLS: true},
			want:    "has only the plain service _etcd-client._tcp.example.test., but the client is configured for TLS",
		},
		{
			name: "no service",
			records: []string{
				srvRecord("_etcd-client._tcp.example.test.", 0, 0, 0, "."),
			},
			want: `the SRV target is "."`, is: resolver.ErrNoService,
		},
		{
			name: "a broken TLS service beside a plain one",
			records: []string{
				srvRecord("_etcd-client-ssl._tcp.example.test.", 0, 0, 0, "."),
				srvRecord("_etcd-client-ssl._tcp.example.test.", 0, 0, 0, "etcd01.example.test."),
				srvRecord("_etcd-client._tcp.example.test.", 0, 0, 1, "etcd01.example.test."),
			},
			want: `SRV _etcd-client-ssl._tcp.example.test.: the record for "etcd01.example.test" has port 0`,
		},
		{
			name:    "no such target",
			records: []string{srvRecord("_etcd-client._tcp.example.test.", 0, 0, 1, "gone.example.test.")},
			want:    "SRV target: AAAA gone.example.test.: ", is: resolver.ErrNoSuchName,
		},
		{
			name:    "port 0",
			records: []string{srvRecord("_etcd-client._tcp.example.test.", 0, 0, 0, "etcd01.example.test.")},
			want:    `the record for "etcd01.example.test" has port 0`,
		},
		{
			name:    "bad target",
			records: []string{srvRecord("_etcd-client._tcp.example.test.", 0, 0, 1, `a\010b.example.test.`)},
			want:    "bad SRV target",
		},
		{
			name:    "a loop of targets",
			records: []string{srvRecord("_etcd-client._tcp.example.test.", 0, 0, 1, "loop.test."), "loop.test. 1 IN CNAME loop.test."},
			want:    "loop",
		},
		{
			name: "the TLS question fails", // the plain answer alone decides nothing
			records: []string{
				srvRecord("_etcd-client._tcp.example.test.", 0, 0, 1, "etcd01.example.test."),
			},
			hook: func(w dns.ResponseWriter, q *dns.Msg, tcp bool) bool {
				return strings.HasPrefix(q.Question[0].Name, "_etcd-client-ssl") && rcode(dns.RcodeServerFailure)(w, q, tcp)
			},
			want: "SRV _etcd-client-ssl._tcp.example.test.: ",
		},
		{
			name:    "the plain question fails",
			records: []string{srvRecord("example.test.", 0, 0, 1, "etcd01.example.test.")},
			hook: func(w dns.ResponseWriter, q *dns.Msg, tcp bool) bool {
				return strings.HasPrefix(q.Question[0].Name, "_etcd-client._tcp") && rcode(dns.RcodeServerFailure)(w, q, tcp)
			},
			want: "SRV _etcd-client._tcp.example.test.: ",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := startDNS(t, append(members(t), tt.records...)...)
			s.setHook(tt.hook)
			err := failureOf(t, "dns+srv://"+s.addr+"/example.test", tt.want, tt.o)
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%v is not %v", err, tt.is)
			}
		})
	}
}

func TestSRVUsesTheAdditionalSection(t *testing.T) {
	s := startDNS(t, append(members(t), srvRecord("_x._tcp.example.test.", 0, 0, 1, "etcd03.example.test."), srvRecord("_x._tcp.example.test.", 0, 0, 1, "etcd01.example.test."))...)
	s.setAdditional(true)
	got := dialsOf(t, "dns+srv://"+s.addr+"/_x._tcp.example.test", resolver.Config{})
	if want := "[10.0.0.1:1 10.0.0.3:1 [2001:db8::3]:1]"; fmt.Sprint(got) != want {
		t.Errorf("addresses %v, want %v", got, want)
	}
	for key, want := range map[string]int{
		"A etcd03.example.test.": 0, "AAAA etcd03.example.test.": 0, // the answer had both
		"A etcd01.example.test.": 0, "AAAA etcd01.example.test.": 1, // may have been omitted
	} {
		if n := s.questions(key); n != want {
			t.Errorf("%s was asked %d times, want %d", key, n, want)
		}
	}
}

func TestSRVAsksForTheFamilyThatWasLeftOut(t *testing.T) {
	s := startDNS(t, append(members(t), srvRecord("_x._tcp.example.test.", 0, 0, 1, "etcd03.example.test."))...)
	s.setAdditional(true)
	s.mu.Lock()
	s.onlyA = true
	s.mu.Unlock()
	got := dialsOf(t, "dns+srv://"+s.addr+"/_x._tcp.example.test", resolver.Config{})
	if want := "[10.0.0.3:1 [2001:db8::3]:1]"; fmt.Sprint(got) != want {
		t.Errorf("addresses %v, want %v", got, want)
	}
}

func TestSRVIgnoredPlainRecordsAreLoggedOnce(t *testing.T) {
	s := startDNS(t, append(members(t),
		srvRecord("_etcd-client._tcp.example.test.", 0, 0, 2379, "etcd02.example.test."),
		srvRecord("_etcd-client-ssl._tcp.example.test.", 0, 0, 2379, "etcd01.example.test."))...)
	var logged lockedBuffer
	r, err := resolver.New([]string{"dns+srv://" + s.addr + "/example.test"},
		resolver.Config{Options: resolver.Options{MinInterval: time.Millisecond}, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	if err != nil {
		t.Fatal(err)
	}
	cc := newClientConn()
	w := build(t, r, cc)
	cc.await(t)
	w.ResolveNow(grpcresolver.ResolveNowOptions{})
	cc.until(t, "a second resolution", func() bool { return s.questions("SRV _etcd-client-ssl._tcp.example.test.") > 1 })
	w.Close()
	if n := strings.Count(logged.String(), "the plain ones are ignored"); n != 1 {
		t.Errorf("it was logged %d times, want once:\n%s", n, logged.String())
	}
}

func TestHugeSRVAnswer(t *testing.T) {
	var records []string
	for i := range 1000 {
		records = append(records, srvRecord("_x._tcp.t.", i/100, 0, 1+i, fmt.Sprintf("10.1.%d.%d.", i/256, i%256)))
	}
	s := startDNS(t, records...)
	addrs, _ := resolveOnce(t, []string{"dns+srv://" + s.addr + "/_x._tcp.t"}, resolver.Config{})
	if len(addrs) != 256 {
		t.Errorf("%d addresses, want 256", len(addrs))
	}
	for _, a := range addrs {
		if a.Priority > 2 {
			t.Errorf("%v of priority %d is used, while some of a better one are not", a, a.Priority)
		}
	}
	if n := s.questions("TCP SRV _x._tcp.t."); n == 0 {
		t.Error("the answer did not come over TCP")
	}
}

func TestSRVKeepsWhatALostPacketHides(t *testing.T) {
	s := startDNS(t, append(members(t),
		"_x._tcp.example.test. 1 IN SRV 0 0 1 etcd01.example.test.",
		"_x._tcp.example.test. 1 IN SRV 0 0 1 etcd02.example.test.")...)
	r, err := resolver.New([]string{"dns+srv://" + s.addr + "/_x._tcp.example.test"},
		resolver.Config{Options: resolver.Options{MinTTL: 10 * time.Millisecond, MinInterval: time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	cc := newClientConn()
	w := build(t, r, cc)
	defer w.Close()
	if got := fmt.Sprint(sortedDials(cc.await(t))); got != "[10.0.0.1:1 10.0.0.2:1]" {
		t.Fatalf("addresses %v, want two", got)
	}
	// If one target cannot be looked up, it keeps its addresses, and the error is
	// reported.
	s.setHook(func(w dns.ResponseWriter, q *dns.Msg, tcp bool) bool {
		return q.Question[0].Name == "etcd01.example.test." && rcode(dns.RcodeServerFailure)(w, q, tcp)
	})
	w.ResolveNow(grpcresolver.ResolveNowOptions{})
	cc.until(t, "an error", func() bool { return len(r.Errors()) == 1 })
	if got := fmt.Sprint(sortedDials(r.Addresses())); got != "[10.0.0.1:1 10.0.0.2:1]" {
		t.Errorf("addresses %v, want both", got)
	}
	if err := r.Errors()[0]; !strings.Contains(err.Error(), "SRV target: ") || !strings.Contains(err.Error(), "etcd01.example.test.") {
		t.Errorf("error %v, want the target in it", err)
	}
	// If the target is definitely gone, so are its addresses.
	s.setHook(nil)
	s.set(t, "_x._tcp.example.test. 1 IN SRV 0 0 1 etcd01.example.test.",
		"_x._tcp.example.test. 1 IN SRV 0 0 1 etcd02.example.test.", "etcd02.example.test. 1 IN A 10.0.0.22")
	cc.until(t, "the new list", func() bool { return cc.dials() == "[10.0.0.22:1]" })
	// If everything is gone, the list stays.
	s.set(t)
	cc.until(t, "an error", func() bool {
		errs := r.Errors()
		return len(errs) == 1 && strings.Contains(errs[0].Error(), "NXDOMAIN") && strings.Contains(errs[0].Error(), "SRV _x._tcp.example.test.")
	})
	if got := cc.dials(); got != "[10.0.0.22:1]" {
		t.Errorf("addresses %v after the zone was emptied, want the last good one", got)
	}
}

func TestMixedSchemesMerge(t *testing.T) {
	s := startDNS(t, append(members(t), srvRecord("_x._tcp.example.test.", 5, 0, 1, "etcd01.example.test."))...)
	r, err := resolver.New([]string{
		"dns+srv://" + s.addr + "/_x._tcp.example.test",
		"dns://" + s.addr + "/etcd02.example.test:2",
		"10.0.0.9:9", "http://10.0.0.8:8", "unix:///run/etcd.sock",
	}, resolver.Config{})
	if err != nil {
		t.Fatal(err)
	}
	cc := newClientConn()
	w := build(t, r, cc)
	defer w.Close()
	cc.until(t, "all addresses", func() bool {
		return fmt.Sprint(sortedDials(cc.addresses())) == "[10.0.0.1:1 10.0.0.2:2 10.0.0.8:8 10.0.0.9:9 unix:///run/etcd.sock]"
	})
	if got := cc.addresses(); got[len(got)-1].Host != "10.0.0.1" {
		t.Errorf("order %v, want the address of priority 5 last", got)
	}
}

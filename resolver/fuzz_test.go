package resolver_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/miekg/dns"
	grpcresolver "google.golang.org/grpc/resolver"

	"github.com/getcd/getcd/resolver"
)

func sourceOptions(tls bool) resolver.SourceOptions {
	return resolver.SourceOptions{
		TLS: tls, ResolvConf: "/nonexistent", Timeout: time.Second, Logger: slog.New(slog.DiscardHandler),
	}
}

func FuzzParseEndpoint(f *testing.F) {
	for _, s := range []string{
		"", ":", "://", "a", "a:1", "a:", ":1", "[::1]:2379", "[::1", "::1", "::1:2379", "fe80::1%eth0", "1.2.3.4:5",
		"http://a:1", "https://[::1]:1/", "http://u:p@h:1", "http://u:p/@h", "u:p@h:1", "http://a?b#c", "unix:///a", "unix:a",
		"unix:@a", "unix://a/b", "unix:%00", "dns:a:1", "dns:///a", "dns://[::1]:53/a:1", "dns+srv:///_a._tcp.b", "dns+srv://s/a",
		"dns+srv:///_a", "DNS+SRV:a", "dns+srv:///a?name=b", "unixs://h:1", "foo:bar", "foo://bar", "\xff", "a\x00", "dns:////", "dns://a%zz/", "http://[fe80::1%25e]:1",
	} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, raw string, tls bool) {
		s, err := resolver.ParseEndpoint(raw, sourceOptions(tls))
		if err != nil {
			if len(err.Error()) > 2000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		r, err := resolver.New([]string{raw}, resolver.Config{TLS: tls})
		if err == nil {
			if a := r.OverrideAuthority(grpcresolver.Target{}); a == "" || strings.ContainsAny(a, "/@? \x00") {
				t.Errorf("authority %q", a)
			}
		}
		h, ok := s.(resolver.Hinter)
		if !ok || h.Hint().Security == resolver.SecurityUnknown {
			return
		}
		// A static endpoint can be dialed, and its text is an endpoint again.
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // so that no network is used
		res, err := s.Resolve(ctx)
		if err != nil {
			return
		}
		for _, a := range res.Addresses {
			if a.Host == "" || a.ServerName == "" || a.Port == 0 != (a.Network == "unix") || a.TLS != (h.Hint().Security == resolver.SecurityTLS) {
				t.Errorf("%q gives %+v", raw, a)
			}
			if !utf8.ValidString(a.String()) || a.Network != "tcp" {
				continue
			}
			host, port, err := resolver.SplitHostPort(a.String())
			if err != nil || host != a.Host || port != a.Port {
				t.Errorf("%q gives %q, which reads as %q, %d, %v", raw, a.String(), host, port, err)
			}
		}
	})
}

func FuzzRedact(f *testing.F) {
	f.Add("http", "user", "pass", "host:1")
	f.Add("", "u", "p/q", "h")
	f.Add("dns+srv", "u", "p@q://", "h/n")
	f.Fuzz(func(t *testing.T, scheme, user, password, rest string) {
		if strings.Contains(rest, "@") || strings.EqualFold(strings.TrimSuffix(strings.ToLower(scheme), "s"), "unix") {
			return
		}
		const mark = "S3CRET"
		raw := user + ":" + password + mark + "@" + rest
		if scheme != "" {
			raw = scheme + "://" + raw
		}
		if strings.HasPrefix(strings.ToLower(raw), "unix:") || strings.HasPrefix(strings.ToLower(raw), "unixs:") || strings.Contains(scheme+user+rest, mark) || strings.Contains(raw[:strings.Index(raw, mark)], "://") && scheme == "" {
			return
		}
		if strings.Contains(strings.TrimPrefix(raw, scheme+"://"), "://") && strings.Contains(scheme, "://") {
			return
		}
		if got := resolver.Redact(raw); strings.Contains(got, mark) {
			t.Errorf("Redact(%q) = %q", raw, got)
		}
		if _, err := resolver.New([]string{raw}, resolver.Config{}); err != nil && strings.Contains(err.Error(), mark) {
			t.Errorf("New(%q): %v", raw, err)
		}
	})
}

// packed returns m in wire format.
func packed(f *testing.F, m *dns.Msg) []byte {
	f.Helper()
	wire, err := m.Pack()
	if err != nil {
		f.Fatal(err)
	}
	return wire
}

// FuzzDNSAnswer feeds both DNS sources a packet as the answer to each of their
// queries. With asked set, the packet begins with the query's question, so that
// the fuzzer gets past the first checks.
func FuzzDNSAnswer(f *testing.F) {
	rr := func(s string) dns.RR {
		r, err := dns.NewRR(s)
		if err != nil {
			f.Fatal(err)
		}
		return r
	}
	const service = "_etcd-client-ssl._tcp.e.test."
	for _, records := range [][]dns.RR{
		nil,
		{rr(service + " 1 IN SRV 0 0 2379 a.test.")},
		{rr(service + " 1 IN SRV 0 0 0 .")},
		{rr(service + " 1 IN SRV 1 2 3 10.0.0.1."), rr(service + " 1 IN SRV 1 2 3 a.test.")},
		{rr(service + " 1 IN CNAME " + service)},
		{rr(service + " 1 IN CNAME x.test."), rr("x.test. 1 IN SRV 0 0 1 a.test.")},
		{rr("e.test. 1 IN A 10.0.0.1"), rr("e.test. 1 IN AAAA ::1")},
		{rr("e.test. 4294967295 IN A 0.0.0.0")},
		{rr("e.test. 1 IN CNAME a.test."), rr("a.test. 1 IN CNAME e.test.")},
	} {
		m := new(dns.Msg)
		m.SetQuestion(service, dns.TypeSRV)
		m.Response, m.Answer = true, records
		m.Extra = []dns.RR{rr("a.test. 1 IN A 10.0.0.2"), rr("a.test. 1 IN AAAA 2001:db8::2")}
		f.Add(packed(f, m), false)
		m.Question = nil
		m.Compress = true
		f.Add(packed(f, m), true)
		m.Truncated = true
		f.Add(packed(f, m), true)
		m.Rcode = dns.RcodeNameError
		f.Add(packed(f, m), true)
	}
	f.Add([]byte{}, false)
	f.Add([]byte{0, 0, 0x80, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0, 0xc0, 0x0c}, false) // a compression pointer to itself
	f.Add(make([]byte, 12), true)
	f.Fuzz(func(t *testing.T, packet []byte, asked bool) {
		queries := 0
		answer := func(q *dns.Msg) []byte {
			if queries++; queries > 100_000 {
				t.Fatal("the source asks without end")
			}
			if len(packet) < 12 {
				return packet
			}
			out := append([]byte(nil), packet...)
			out[0], out[1] = byte(q.Id>>8), byte(q.Id)
			out[2] = out[2]&^0x78 | 0x80 // a response to a query
			if asked {
				alone := new(dns.Msg)
				alone.Question = q.Question
				wire, err := alone.Pack()
				if err != nil {
					t.Fatal(err)
				}
				out[4], out[5] = 0, 1
				out = append(append(out[:12:12], wire[12:]...), packet[12:]...)
			}
			return out
		}
		for _, uri := range []string{"dns://s/e.test", "dns+srv://s/e.test", "dns+srv://s/_x._tcp.e.test"} {
			for _, tls := range []bool{false, true} {
				serial := make(chan struct{}, 1) // the sources query concurrently
				s, err := resolver.CannedSource(uri, sourceOptions(tls), func(q *dns.Msg) []byte {
					serial <- struct{}{}
					defer func() { <-serial }()
					return answer(q)
				})
				if err != nil {
					t.Fatal(err)
				}
				for range 2 { // the second time with the state that the first has left
					res, err := s.Resolve(t.Context())
					if len(res.Addresses) == 0 && err == nil {
						t.Errorf("%s: neither addresses nor an error", uri)
					}
					if len(res.Addresses) > 0 && res.TTL <= 0 {
						t.Errorf("%s: addresses with a TTL of %v", uri, res.TTL)
					}
					for _, a := range res.Addresses {
						if a.Network != "tcp" || a.Host == "" || a.Port == 0 || a.ServerName != "e.test" || tls && !a.TLS {
							t.Errorf("%s: address %+v", uri, a)
						}
					}
				}
			}
		}
	})
}

func FuzzResolvConf(f *testing.F) {
	f.Add("nameserver 127.0.0.1\nsearch a b\noptions ndots:0 timeout:1", "etcd")
	f.Add("nameserver [::1]:5353\ndomain .\n", "a.b")
	f.Add("nameserver\nsearch\noptions timeout:x ndots:-1 attempts:999999999999", "e.")
	f.Add(strings.Repeat("nameserver 10.0.0.1\nsearch "+strings.Repeat("a ", 100)+"\n", 10), "x")
	f.Fuzz(func(t *testing.T, conf, name string) {
		path := filepath.Join(t.TempDir(), "resolv.conf")
		if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
		servers, names, err := resolver.NameserverLines(path, name)
		if err != nil {
			t.Fatalf("a file that can be read gives %v", err)
		}
		if len(servers) < 1 || len(servers) > 3 || len(names) < 1 {
			t.Errorf("%d servers and %d names", len(servers), len(names))
		}
		for _, s := range servers {
			if host, port, err := resolver.SplitHostPort(s); (err != nil || host == "" || port == 0) && !strings.Contains(s, "[") {
				t.Errorf("server %q: %v", s, err)
			}
		}
	})
}

package resolver_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/getcd/getcd/resolver"
)

// silent drops every query.
func silent(dns.ResponseWriter, *dns.Msg, bool) bool { return true }

// A lost packet to the first server must not make the second one the first for good:
// an internal server often comes before a public one, which knows no internal name.
func TestSecondServerDoesNotKnowTheName(t *testing.T) {
	internal := startDNS(t, "etcd.test. 60 IN A 10.0.0.1")
	public := startDNS(t)
	internal.setHook(silent)
	conf := resolvConf(t, nameserver(internal.addr), nameserver(public.addr))
	r, err := resolver.New([]string{"dns:etcd.test"}, resolver.Config{Options: resolver.Options{ResolvConf: conf, Timeout: time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	cc := newClientConn()
	w := build(t, r, cc)
	defer w.Close()
	cc.until(t, "the second server's answer", func() bool { return errors.Is(cc.lastError(), resolver.ErrNoSuchName) })
	internal.setHook(nil)
	cc.until(t, "the first server's answer", func() bool { return cc.dials() == "[10.0.0.1:2379]" })
}

// A name whose SRV records are there is the one that is meant. If its targets can't be
// found for a moment, that is no reason to use another domain's members.
func TestSearchListWithLostTargets(t *testing.T) {
	const (
		srv   = "_etcd-client-ssl._tcp.etcd.one.test. 0 IN SRV 0 0 1 m1.one.test."
		other = "_etcd-client._tcp.etcd.two.test. 0 IN SRV 0 0 2 10.0.0.2."
		m1    = "m1.one.test. 0 IN A 10.0.0.1"
	)
	s := startDNS(t, srv, other)
	conf := resolvConf(t, "search one.test two.test", nameserver(s.addr))
	for name, hook := range map[string]func(dns.ResponseWriter, *dns.Msg, bool) bool{
		"NXDOMAIN": rcode(dns.RcodeNameError), "SERVFAIL": rcode(dns.RcodeServerFailure),
	} {
		t.Run(name, func(t *testing.T) {
			lost := func(w dns.ResponseWriter, q *dns.Msg, tcp bool) bool {
				return q.Question[0].Name == "m1.one.test." && hook(w, q, tcp)
			}
			s.set(t, srv, other, m1)
			s.setHook(lost)
			r, err := resolver.New([]string{"dns+srv:///etcd"}, resolver.Config{Options: resolver.Options{ResolvConf: conf, MinTTL: time.Millisecond, MinInterval: time.Millisecond}})
			if err != nil {
				t.Fatal(err)
			}
			cc := newClientConn()
			w := build(t, r, cc)
			defer w.Close()
			cc.until(t, "a report", func() bool { states, errs := cc.counts(); return states+errs > 0 })
			if got := cc.dials(); got != "[]" {
				t.Errorf("addresses %v, want none of another domain", got)
			}
			s.setHook(nil)
			cc.until(t, "the target", func() bool { return cc.dials() == "[10.0.0.1:1]" })
			s.setHook(lost)
			cc.until(t, "an error", func() bool { return len(r.Errors()) > 0 })
			if got := cc.dials(); got != "[10.0.0.1:1]" {
				t.Errorf("addresses %v, want the former ones", got)
			}
		})
	}
}

// Some servers never answer queries for AAAA records. That an A record's name does not exist
// is enough to go on with the search list.
func TestSearchListWithoutAnswersForAAAA(t *testing.T) {
	s := startDNS(t, "etcd.two.test. 60 IN A 10.0.0.2")
	s.setHook(func(_ dns.ResponseWriter, q *dns.Msg, _ bool) bool { return q.Question[0].Qtype == dns.TypeAAAA })
	o := resolver.Config{Options: resolver.Options{ResolvConf: resolvConf(t, "search one.test two.test", nameserver(s.addr))}}
	if got := dialsOf(t, "dns:etcd", o); fmt.Sprint(got) != "[10.0.0.2:2379]" {
		t.Errorf("addresses %v, want those of the second domain", got)
	}
	if err := failureOf(t, "dns:gone", "NXDOMAIN", o); !errors.Is(err, resolver.ErrNoSuchName) {
		t.Errorf("no domain has the name: %v, want ErrNoSuchName", err)
	}
	// The reverse proves nothing: some servers deny names that have only A records.
	s.setHook(func(w dns.ResponseWriter, q *dns.Msg, tcp bool) bool {
		if q.Question[0].Qtype == dns.TypeAAAA {
			return rcode(dns.RcodeNameError)(w, q, tcp)
		}
		return q.Question[0].Name == "etcd.one.test."
	})
	o.Timeout = 500 * time.Millisecond
	if err := failureOf(t, "dns:etcd", "A etcd.one.test.: ", o); errors.Is(err, resolver.ErrNoSuchName) {
		t.Errorf("the A query is lost: %v, want a timeout alone", err)
	}
}

// An empty answer of a server that is not responsible and does not recurse is no proof that
// there is nothing: another server is asked, and TLS is not turned off.
func TestEmptyAnswers(t *testing.T) {
	empty := func(w dns.ResponseWriter, q *dns.Msg, _ bool) bool {
		m := new(dns.Msg)
		m.SetReply(q)
		_ = w.WriteMsg(m)
		return true
	}
	lame, good := startDNS(t), startDNS(t, "etcd.test. 60 IN A 10.0.0.1")
	lame.setHook(empty)
	o := resolver.Config{Options: resolver.Options{ResolvConf: resolvConf(t, nameserver(lame.addr), nameserver(good.addr))}}
	if got := dialsOf(t, "dns:etcd.test", o); fmt.Sprint(got) != "[10.0.0.1:2379]" {
		t.Errorf("addresses %v, want those that the second server knows", got)
	}
	s := startDNS(t, srvRecord("_etcd-client._tcp.test.", 0, 0, 1, "10.0.0.1."))
	s.setHook(func(w dns.ResponseWriter, q *dns.Msg, tcp bool) bool {
		return strings.HasPrefix(q.Question[0].Name, "_etcd-client-ssl.") && empty(w, q, tcp)
	})
	err := failureOf(t, "dns+srv://"+s.addr+"/test", "does not recurse", resolver.Config{})
	if errors.Is(err, resolver.ErrNoRecords) {
		t.Errorf("got %v, want no claim that there are no records", err)
	}
	// A server that recurses, or is responsible, may say so without an SOA record.
	s.setHook(func(w dns.ResponseWriter, q *dns.Msg, _ bool) bool {
		m := new(dns.Msg)
		m.SetReply(q)
		m.RecursionAvailable = true
		_ = w.WriteMsg(m)
		return true
	})
	if err := failureOf(t, "dns://"+s.addr+"/test", "NODATA", resolver.Config{}); !errors.Is(err, resolver.ErrNoRecords) {
		t.Errorf("an empty answer of a server that recurses: %v, want ErrNoRecords", err)
	}
}

// Forwarders pass on over TCP what they got over UDP, with its mark.
func TestTruncatedOverTCP(t *testing.T) {
	s := startDNS(t, "etcd.test. 60 IN A 10.0.0.1", "etcd.test. 60 IN A 10.0.0.2")
	s.setHook(func(w dns.ResponseWriter, q *dns.Msg, _ bool) bool {
		m := s.reply(q)
		m.Truncated = true
		_ = w.WriteMsg(m)
		return true
	})
	if got := dialsOf(t, "dns://"+s.addr+"/etcd.test", resolver.Config{}); fmt.Sprint(got) != "[10.0.0.1:2379 10.0.0.2:2379]" {
		t.Errorf("addresses %v, want what the answer has", got)
	}
	// What does not answer the question is no better for being short.
	s.setHook(func(w dns.ResponseWriter, q *dns.Msg, _ bool) bool {
		m := s.reply(q)
		m.Truncated = true
		m.Question[0].Name = "other.test."
		_ = w.WriteMsg(m)
		return true
	})
	_ = failureOf(t, "dns://"+s.addr+"/etcd.test", "another question", resolver.Config{Options: resolver.Options{Timeout: 500 * time.Millisecond}})
}

// resolv.conf may demand TCP, for networks where UDP does not pass.
func TestResolvConfDemandsTCP(t *testing.T) {
	s := startDNS(t, "etcd.test. 60 IN A 10.0.0.1")
	var overUDP atomic.Int32
	s.setHook(func(w dns.ResponseWriter, q *dns.Msg, tcp bool) bool {
		if tcp {
			return q.IsEdns0() != nil && rcode(dns.RcodeFormatError)(w, q, tcp) // the second query is over TCP, too
		}
		overUDP.Add(1)
		return true
	})
	for _, option := range []string{"use-vc", "usevc", "tcp"} {
		conf := resolvConf(t, nameserver(s.addr), "# options", "options ndots:1 "+option, "options edns0")
		if got := dialsOf(t, "dns:etcd.test", resolver.Config{Options: resolver.Options{ResolvConf: conf}}); fmt.Sprint(got) != "[10.0.0.1:2379]" {
			t.Errorf("%s: addresses %v", option, got)
		}
	}
	if n := overUDP.Load(); n > 0 {
		t.Errorf("%d queries over UDP, want none", n)
	}
}

// Kubernetes allows 32 domains in a search list.
func TestLongSearchList(t *testing.T) {
	s := startDNS(t, "etcd.d31.test. 60 IN A 10.0.0.1")
	search := "search"
	for i := range 32 {
		search += fmt.Sprintf(" d%d.test", i)
	}
	o := resolver.Config{Options: resolver.Options{ResolvConf: resolvConf(t, search, nameserver(s.addr))}}
	if got := dialsOf(t, "dns:etcd", o); fmt.Sprint(got) != "[10.0.0.1:2379]" {
		t.Errorf("addresses %v, want those of the last domain", got)
	}
}

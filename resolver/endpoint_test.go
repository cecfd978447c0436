package resolver_test

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	grpcresolver "google.golang.org/grpc/resolver"

	"github.com/getcd/getcd/resolver"
)

func tcp(host string, port uint16) resolver.Address {
	return resolver.Address{Network: "tcp", Host: host, Port: port, ServerName: host}
}

func overTLS(a resolver.Address) resolver.Address {
	a.TLS = true
	return a
}

func named(name string, a resolver.Address) resolver.Address {
	a.ServerName = name
	return a
}

// resolveOnce runs a Resolver until it has reported something.
func resolveOnce(t *testing.T, endpoints []string, o resolver.Config) ([]resolver.Address, *resolver.Resolver) {
	t.Helper()
	r, err := resolver.New(endpoints, o)
	if err != nil {
		t.Fatalf("New(%q): %v", endpoints, err)
	}
	cc := newClientConn()
	// If the user has a dialer, no name is looked up.
	dialer := func(context.Context, string) (net.Conn, error) { return nil, errors.ErrUnsupported }
	w, err := r.Build(grpcresolver.Target{}, cc, grpcresolver.BuildOptions{Dialer: dialer})
	if err != nil {
		t.Fatalf("Build: %v", err)
	}
	defer w.Close()
	return cc.await(t), r
}

func TestStaticEndpoints(t *testing.T) {
	unix := func(path string) resolver.Address {
		return resolver.Address{Network: "unix", Host: path, ServerName: "localhost"}
	}
	zoned := tcp("fe80::1%eth0", 2379)
	zoned.ServerName = "fe80::1"
	dotted := tcp("etcd1.example.", 2379)
	dotted.ServerName = "etcd1.example"
	for _, tt := range []struct {
		endpoint  string
		tls       bool
		want      resolver.Address
		dial      string
		authority string
	}{
		{"10.0.0.1:2379", false, tcp("10.0.0.1", 2379), "10.0.0.1:2379", "10.0.0.1:2379"},
		{"10.0.0.1", false, tcp("10.0.0.1", 2379), "10.0.0.1:2379", "10.0.0.1:2379"},
		{"etcd1.example:1", true, overTLS(tcp("etcd1.example", 1)), "etcd1.example:1", "etcd1.example:1"},
		{"etcd1.example.", false, dotted, "etcd1.example.:2379", "etcd1.example:2379"},
		{"etcd_1", false, tcp("etcd_1", 2379), "etcd_1:2379", "etcd_1:2379"},
		{"dns:2379", false, tcp("dns", 2379), "dns:2379", "dns:2379"},
		{"https:443", false, tcp("https", 443), "https:443", "https:443"},
		{"[2001:db8::1]:65535", false, tcp("2001:db8::1", 65535), "[2001:db8::1]:65535", "[2001:db8::1]:65535"},
		{"[2001:db8::1]", false, tcp("2001:db8::1", 2379), "[2001:db8::1]:2379", "[2001:db8::1]:2379"},
		{"::1", false, tcp("::1", 2379), "[::1]:2379", "[::1]:2379"},
		{"fe80::1%eth0", false, zoned, "[fe80::1%eth0]:2379", "[fe80::1]:2379"},
		{"http://[fe80::1%25eth0]:2379", false, zoned, "[fe80::1%eth0]:2379", "[fe80::1]:2379"},
		{"http://etcd1.example", false, tcp("etcd1.example", 2379), "etcd1.example:2379", "etcd1.example:2379"},
		{"HTTP://etcd1.example:1/", false, tcp("etcd1.example", 1), "etcd1.example:1", "etcd1.example:1"},
		{"https://etcd1.example:1", false, overTLS(tcp("etcd1.example", 1)), "etcd1.example:1", "etcd1.example:1"},
		{"https://[::1]", true, overTLS(tcp("::1", 2379)), "[::1]:2379", "[::1]:2379"},
		{"unix:///run/etcd.sock", false, unix("/run/etcd.sock"), "unix:///run/etcd.sock", "localhost"},
		{"UNIX:/run/etcd.sock", false, unix("/run/etcd.sock"), "unix:///run/etcd.sock", "localhost"},
		{":2379", false, tcp("localhost", 2379), "localhost:2379", "localhost:2379"},
		{"http://:1", false, tcp("localhost", 1), "localhost:1", "localhost:1"},
		{"https://:1", false, overTLS(tcp("localhost", 1)), "localhost:1", "localhost:1"},
		{"http://host:1/v3", false, tcp("host", 1), "host:1", "host:1"},
		{"http://host:1?a=b", false, tcp("host", 1), "host:1", "host:1"},
		{"http://host:1/?", false, tcp("host", 1), "host:1", "host:1"},
		{"http://host:1#f", false, tcp("host", 1), "host:1", "host:1"},
		{"unixs:///run/etcd.sock", false, overTLS(unix("/run/etcd.sock")), "unix:///run/etcd.sock", "localhost"},
		{"unix://run/etcd.sock", false, unix("run/etcd.sock"), "unix:run/etcd.sock", "localhost"},
		{"unix://localhost:2379", false, unix("localhost:2379"), "unix:localhost:2379", "localhost"},
		{"unixs://etcd1:m0", false, named("etcd1", overTLS(unix("etcd1:m0"))), "unix:etcd1:m0", "localhost"},
		{"unixs:///run/etcd1:m0", false, named("etcd1", overTLS(unix("/run/etcd1:m0"))), "unix:///run/etcd1:m0", "localhost"},
		{"unix:etcd.sock", true, overTLS(unix("etcd.sock")), "unix:etcd.sock", "localhost"},
		{"unix:///run/my%20etcd@1.sock", false, unix("/run/my etcd@1.sock"), "unix:///run/my etcd@1.sock", "localhost"},
		{"dns:10.0.0.1:1", false, tcp("10.0.0.1", 1), "10.0.0.1:1", "10.0.0.1:1"},
		{"dns:///[::1]", false, tcp("::1", 2379), "[::1]:2379", "[::1]:2379"},
	} {
		t.Run(tt.endpoint, func(t *testing.T) {
			got, r := resolveOnce(t, []string{tt.endpoint}, resolver.Config{TLS: tt.tls})
			if diff := cmp.Diff([]resolver.Address{tt.want}, got); diff != "" {
				t.Fatalf("addresses (-want +got):\n%s", diff)
			}
			if a := got[0].Authority(); a != tt.authority {
				t.Errorf("Authority() = %q, want %q", a, tt.authority)
			}
			if s := got[0].String(); s != tt.dial {
				t.Errorf("String() = %q, want %q", s, tt.dial)
			}
			if a := r.OverrideAuthority(grpcresolver.Target{}); a != tt.authority {
				t.Errorf("OverrideAuthority = %q, want %q", a, tt.authority)
			}
		})
	}
}

func TestAuthority(t *testing.T) {
	for endpoint, want := range map[string]string{
		"dns+srv:///example.com":                        "example.com",
		"dns+srv:///example.com.":                       "example.com",
		"dns+srv:example.com":                           "example.com",
		"dns+srv:///_etcd-client-ssl._tcp.example.com":  "example.com",
		"dns+srv://127.0.0.1:53/_x._tcp.my.example.com": "my.example.com",
		"dns:///etcd.example:1":                         "etcd.example:1",
	} {
		r, err := resolver.New([]string{endpoint, "dns:other.example"}, resolver.Config{TLS: strings.Contains(endpoint, "-ssl")})
		if err != nil {
			t.Errorf("New(%q): %v", endpoint, err)
			continue
		}
		if got := r.OverrideAuthority(grpcresolver.Target{}); got != want {
			t.Errorf("authority of %q = %q, want %q", endpoint, got, want)
		}
	}
}

func TestBadEndpoints(t *testing.T) {
	long := strings.Repeat("a", 64) + ".example"
	for _, tt := range []struct {
		endpoint string
		want     string // part of the error
	}{
		{":", `port "" is not a number from 1 to 65535`},
		{"host:2379/", "without a scheme, write host:port and nothing else"},
		{"host:2379?a=b", "without a scheme, write host:port and nothing else"},
		{"host:", `port "" is not a number from 1 to 65535`},
		{"host:0", `port "0" is not a number from 1 to 65535`},
		{"host:65536", `port "65536"`},
		{"host:+1", `port "+1"`},
		{"host:http", `port "http"`},
		{"2379", `neither an IP address nor a host name`},
		{"127.0.0.256:2379", `neither an IP address nor a host name`},
		{"10.0.0:2379", `neither an IP address nor a host name`},
		{"a b:2379", "white space"},
		{"a:2379\x00", "control character"},
		{"a\xff:2379", "not valid UTF-8"},
		{"dns:///a,b", "one list element"},
		{"ip://a:2379", "three slashes"},
		{"ip:///", "three slashes"},
		{"ip:///:0", "65535"},
		{"ä.example", "xn--"},
		{"a..b", "empty label"},
		{"-a.example", "hyphen"},
		{long, "longer than 63"},
		{strings.Repeat("a.", 127) + "a", "longer than 253"},
		{"a/b", `contains '/'`},
		{"::1:2379", "[::1]:2379 or [::1:2379]"},
		{"1:2:3", "[address]:port"},
		{"[::1", "closing bracket"},
		{"[host]:1", "only IPv6 addresses may be in brackets"},
		{"[10.0.0.1]:1", "only IPv6 addresses may be in brackets"},
		{"[::1]2379", "[::1]:port"},
		{"user:secret@host:1", "takes no credentials"},
		{"foo:bar", `port "bar"`},
		{"foo:bar", "the known schemes are dns, dns+srv, http, https, ip, unix, unixs"},
		{"foo://host", `unknown scheme "foo"; the known schemes are dns, dns+srv, http, https, ip, unix`},
		{"1x://host", "not a URI scheme"},
		{"://host", "not a URI scheme"},
		{"http://", "host is empty"},
		{"http:host:1", "write http://host:port"},
		{"http://host:99999", `port "99999"`},
		{"http://host:port", `port "port" is not a number`},
		{"http://::1:2379", "[::1]:2379"},
		{"http://user:secret@host:1", "takes no credentials"},
		{"http://us%er:secret@host:1", "takes no credentials"},
		{"http://%zz", "contains '%'"},
		{"dns:///a%zz", "is not a URI"},
		{"unix:", "socket path is empty"},
		{"unix:///", "socket path is empty"},
		{"unixs://", "socket path is empty"},
		{"unix:///a%3Fb", "cannot be dialed"},
		{"unix:a%zz", "socket path"},
		{"unix:///a?b", "query"},
		{"dns:", "write dns:///name"},
		{"dns://host:2379", "write dns:///host:2379 for a name"},
		{"dns:///a/b", "more than a name"},
		{"dns:///host:0", `port "0"`},
		{"dns://server:0/host", `the DNS server: port "0"`},
		{"dns:///host?x", "query"},
		{"dns://u:secret@s/host", "takes no credentials"},
		{"dns+srv://example.com", "write dns+srv:///example.com for a name"},
		{"dns+srv:///example.com?nam=a", "?name=NAME, with a single label, looks up the services _etcd-client-ssl-NAME and _etcd-client-NAME"},
		{"dns+srv:///example.com?name=a&name=b", "?name=NAME"},
		{"dns+srv:///example.com?name=", "?name=NAME"},
		{"dns+srv:///example.com?name=a.b", "?name=NAME"},
		{"dns+srv:///example.com?name=a%20b", "allowed are letters"},
		{"dns+srv:///_x._tcp.example.com?name=a", "write dns+srv:///domain?name=a"},
		{"dns+srv:///", "the name is empty"},
		{"dns+srv:///.", "the host name is empty"},
		{"dns+srv://s:0/a", `the DNS server: port "0"`},
		{"http://.", "the host name is empty"},
		{"dns+srv:///example.com:2379", "SRV records have the ports; write dns+srv:///example.com"},
		{"dns+srv:///_etcd-client._tcp", "without a domain"},
		{"dns+srv:///10.0.0.1", "is an IP address"},
		{"dns+srv:///" + strings.Repeat("a.", 120) + "example", "longer than 253"},
		{"dns+srv://[::1/name", "closing bracket"},
	} {
		r, err := resolver.New([]string{"good:2379", tt.endpoint}, resolver.Config{})
		if err == nil {
			t.Errorf("New(%q) = %v, want an error with %q", tt.endpoint, r, tt.want)
			continue
		}
		if !strings.Contains(err.Error(), tt.want) {
			t.Errorf("New(%q): %v\nwant a text with %q", tt.endpoint, err, tt.want)
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("New(%q) repeats a password: %v", tt.endpoint, err)
		}
		if ee, ok := errors.AsType[*resolver.EndpointError](err); !ok {
			t.Errorf("New(%q): %T has no EndpointError", tt.endpoint, err)
		} else if ee.Endpoint != tt.endpoint && !strings.Contains(tt.endpoint, "@") {
			t.Errorf("New(%q): the error names %q", tt.endpoint, ee.Endpoint)
		}
	}
}

// The empty endpoint that a stray comma leaves is ignored.
func TestEmptyElements(t *testing.T) {
	addrs, r := resolveOnce(t, []string{"", "a:1", "", "b:2", ""}, resolver.Config{Options: resolver.Options{KeepOrder: true}})
	if diff := cmp.Diff([]resolver.Address{tcp("a", 1), tcp("b", 2)}, addrs); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
	if err := r.SetEndpoints([]string{"c:3", ""}); err != nil {
		t.Errorf("SetEndpoints: %v", err)
	}
}

// One string may have several addresses.
func TestSeveralAddressesInOneEndpoint(t *testing.T) {
	a, b := tcp("a", 1), tcp("b", 2379)
	for endpoint, want := range map[string][]resolver.Address{
		"a:1,b":                  {a, b},
		"a:1,,b,":                {a, b},
		"ip:///a:1,b:2379":       {a, b},
		"ip:///a:1":              {a},
		"IP:///a:1,ip:///b":      {a, b},
		"http://a:1,b":           {a, b},
		"a:1,http://b":           {a, b},
		"https://a:1,b:2379":     {overTLS(a), overTLS(b)},
		"https://a:1,https://b":  {overTLS(a), overTLS(b)},
		"[::1]:1,127.0.0.1:2379": {tcp("::1", 1), tcp("127.0.0.1", 2379)},
		"unix:///a,b":            {named("localhost", resolver.Address{Network: "unix", Host: "/a,b"})},
		"unix:a,b":               {named("localhost", resolver.Address{Network: "unix", Host: "a,b"})},
	} {
		addrs, _ := resolveOnce(t, []string{endpoint}, resolver.Config{Options: resolver.Options{KeepOrder: true}})
		if diff := cmp.Diff(want, addrs); diff != "" {
			t.Errorf("%s (-want +got):\n%s", endpoint, diff)
		}
	}
	_, err := resolver.New([]string{"ip:///a:1,b:99999,c:0"}, resolver.Config{})
	for _, want := range []string{`"ip:///b:99999"`, `"ip:///c:0"`} {
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "a:1") {
			t.Errorf("two bad ports of three: got %v, want an error with %s", err, want)
		}
	}
}

// Of several addresses, only the requested one is reported.
func TestOnlyOneAddress(t *testing.T) {
	addrs, _ := resolveOnce(t, []string{"a:1", "b:2"}, resolver.Config{Options: resolver.Options{Only: "b:2"}})
	if diff := cmp.Diff([]resolver.Address{tcp("b", 2)}, addrs); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
}

func TestErrorsAreBounded(t *testing.T) {
	_, err := resolver.New([]string{"http://" + strings.Repeat("x", 1<<20)}, resolver.Config{})
	if err == nil || len(err.Error()) > 2000 {
		t.Errorf("an endpoint of 1 MiB gives an error of %d bytes, want some, at most 2000", len(err.Error()))
	}
}

func TestEverythingIsValidatedAtOnce(t *testing.T) {
	_, err := resolver.New([]string{"a:0", "b:2379", "foo://c"}, resolver.Config{Options: resolver.Options{MinTTL: -1, MinInterval: -2}})
	if err == nil {
		t.Fatal("New succeeded")
	}
	for _, want := range []string{`"a:0"`, `"foo://c"`, "MinTTL is -1ns", "MinInterval is -2ns"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %s:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), `"b:2379"`) {
		t.Errorf("the error names the good endpoint:\n%v", err)
	}
}

func TestBadOptions(t *testing.T) {
	for _, tt := range []struct {
		endpoints []string
		o         resolver.Config
		want      string
	}{
		{nil, resolver.Config{}, "the list of endpoints is empty"},
		{[]string{"", ""}, resolver.Config{}, "the list of endpoints is empty"},
		{[]string{"a"}, resolver.Config{Options: resolver.Options{MinTTL: 2, MaxTTL: 1}}, "MinTTL 2ns is greater than MaxTTL 1ns"},
		{[]string{"a"}, resolver.Config{Options: resolver.Options{MaxTTL: -1}}, "MaxTTL is -1ns; it must not be negative"},
		{[]string{"a"}, resolver.Config{Options: resolver.Options{Timeout: -1}}, "Timeout is -1ns"},
	} {
		if _, err := resolver.New(tt.endpoints, tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("New(%q, %+v) = %v, want an error with %q", tt.endpoints, tt.o, err, tt.want)
		}
	}
}

func TestMixedTLS(t *testing.T) {
	for _, tt := range []struct {
		endpoints []string
		tls       bool
		want      string // empty: no error
	}{
		{[]string{"http://a", "https://b"}, false, `endpoint "https://b": is TLS while "http://a" means plain`},
		{[]string{"https://b", "a:1"}, false, `endpoint "a:1": is plain while "https://b" means TLS`},
		{[]string{"https://b", "unix:///a"}, false, `endpoint "unix:///a": is plain`},
		{[]string{"https://b", "dns:a"}, false, `endpoint "dns:a": is plain`},
		{[]string{"https://b", "dns+srv:///_x._tcp.a"}, false, `"dns+srv:///_x._tcp.a": is plain`},
		{[]string{"http://b", "dns+srv:///_etcd-client-ssl._tcp.a"}, false, `is TLS while "http://b" means plain`},
		{[]string{"http://b", "dns+srv:///_ETCD-client-ssl-blue._tcp.a"}, false, `is TLS while "http://b" means plain`},
		{[]string{"http://a", "unixs:///b"}, false, `endpoint "unixs:///b": is TLS while "http://a" means plain`},
		{[]string{"http://a"}, true, `is plain while the client's TLS configuration means TLS`},
		{[]string{"https://b", "dns+srv:///a"}, false, ""}, // only DNS can decide
		{[]string{"http://b", "dns+srv:///a"}, false, ""},
		{[]string{"https://b", "a:1", "unix:///a", "dns:a", "dns+srv:///_x._tcp.a", "dns+srv:///a"}, true, ""},
		{[]string{"http://b", "a:1", "unix:///a", "dns:a", "dns+srv:///_x._tcp.a", "dns+srv:///a"}, false, ""},
	} {
		_, err := resolver.New(tt.endpoints, resolver.Config{TLS: tt.tls})
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("New(%q, TLS %v): %v", tt.endpoints, tt.tls, err)
		case tt.want != "" && (!errors.Is(err, resolver.ErrMixedTLS) || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("New(%q, TLS %v) = %v, want ErrMixedTLS with %q", tt.endpoints, tt.tls, err, tt.want)
		}
	}
}

func TestRegistry(t *testing.T) {
	reg := resolver.NewRegistry()
	var seen *url.URL
	factory := func(u *url.URL, _ resolver.SourceOptions) (resolver.Source, error) {
		seen = u
		return &fakeSource{result: resolver.Result{Addresses: []resolver.Address{tcp("10.0.0.9", 9)}}}, nil
	}
	if err := reg.Register("Consul", factory); err != nil {
		t.Fatalf("Register: %v", err)
	}
	for _, tt := range []struct {
		scheme string
		f      resolver.Factory
		want   string
	}{
		{"consul", factory, "already registered"},
		{"DNS", factory, "already registered"},
		{"", factory, "not a URI scheme"},
		{"1a", factory, "not a URI scheme"},
		{"a:b", factory, "not a URI scheme"},
		{"nilfactory", nil, "is nil"},
	} {
		if err := reg.Register(tt.scheme, tt.f); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Register(%q) = %v, want an error with %q", tt.scheme, err, tt.want)
		}
	}
	if got, want := strings.Join(reg.Schemes(), " "), "consul dns dns+srv http https ip unix unixs"; got != want {
		t.Errorf("Schemes() = %q, want %q", got, want)
	}

	addrs, r := resolveOnce(t, []string{"CONSUL://dc1/etcd?tag=x"}, resolver.Config{Options: resolver.Options{Registry: reg}})
	if diff := cmp.Diff([]resolver.Address{tcp("10.0.0.9", 9)}, addrs); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
	if seen.String() != "consul://dc1/etcd?tag=x" {
		t.Errorf("the factory got %q", seen)
	}
	if got := r.OverrideAuthority(grpcresolver.Target{}); got != "etcd" {
		t.Errorf("authority without a hint = %q, want %q", got, "etcd")
	}
	if _, err := resolver.New([]string{"consul://dc1/etcd"}, resolver.Config{}); err == nil {
		t.Error("a scheme of one registry is known to another")
	}
	var zero resolver.Registry
	if err := zero.Register("x", factory); err != nil {
		t.Errorf("Register on the zero Registry: %v", err)
	}
	if _, err := resolver.New([]string{"a:1", "x:y"}, resolver.Config{Options: resolver.Options{Registry: &zero}}); err != nil {
		t.Errorf("New with the zero Registry: %v", err)
	}
}

func TestFactoryErrors(t *testing.T) {
	reg := resolver.NewRegistry()
	boom := errors.New("boom")
	_ = reg.Register("err", func(*url.URL, resolver.SourceOptions) (resolver.Source, error) { return nil, boom })
	_ = reg.Register("none", func(*url.URL, resolver.SourceOptions) (resolver.Source, error) { return nil, nil })
	if _, err := resolver.New([]string{"err:x"}, resolver.Config{Options: resolver.Options{Registry: reg}}); !errors.Is(err, boom) {
		t.Errorf("New = %v, want the factory's error", err)
	}
	if _, err := resolver.New([]string{"none:x"}, resolver.Config{Options: resolver.Options{Registry: reg}}); err == nil || !strings.Contains(err.Error(), "neither a source nor an error") {
		t.Errorf("New = %v, want an error about the nil source", err)
	}
}

func TestFromGRPC(t *testing.T) {
	want := []resolver.Address{
		{Network: "tcp", Host: "10.0.0.1", Port: 1, ServerName: "example.com", TLS: true, Priority: 1, Weight: 2, Target: "etcd1.example.com"},
		{Network: "unix", Host: "/run/x", ServerName: "localhost", TLS: true, Priority: 3},
	}
	src := &fakeSource{result: resolver.Result{Addresses: want}}
	r := newResolver(t, resolver.Config{}, src)
	cc := newClientConn()
	w := build(t, r, cc)
	cc.await(t)
	w.Close()
	var first []grpcresolver.Address
	for i, e := range cc.last().Endpoints {
		if len(e.Addresses) != 1 {
			t.Fatalf("endpoint %d has %d addresses, want 1", i, len(e.Addresses))
		}
		a := e.Addresses[0]
		first = append(first, a)
		got, ok := resolver.FromGRPC(a)
		if !ok || got != want[i] {
			t.Errorf("FromGRPC = %+v, %v, want %+v", got, ok, want[i])
		}
		if a.Addr != want[i].String() || a.ServerName != want[i].Authority() {
			t.Errorf("gRPC gets %q named %q, want %q named %q", a.Addr, a.ServerName, want[i].String(), want[i].Authority())
		}
		unranked := want[i]
		unranked.Priority, unranked.Weight = 0, 0
		if got, ok := resolver.FromAttributes(a.Attributes); !ok || got != unranked {
			t.Errorf("FromAttributes = %+v, %v, want %+v", got, ok, unranked)
		}
	}

	// Resolving again gives equal addresses; a different priority does not change
	// the connection.
	src2 := &fakeSource{result: resolver.Result{Addresses: []resolver.Address{want[0]}}}
	src2.result.Addresses[0].Priority = 7
	cc2 := newClientConn()
	w2 := build(t, newResolver(t, resolver.Config{}, src2), cc2)
	cc2.await(t)
	w2.Close()
	again := cc2.last().Endpoints[0].Addresses[0]
	if again.Equal(first[0]) {
		t.Error("addresses of different priority are Equal")
	}
	if !again.Attributes.Equal(first[0].Attributes) || again.Addr != first[0].Addr || again.ServerName != first[0].ServerName {
		t.Error("the priority of an address tells connections apart")
	}

	if a, ok := resolver.FromGRPC(grpcresolver.Address{Addr: "x:1"}); ok {
		t.Errorf("FromGRPC of a foreign address = %+v, true", a)
	}
	if a, ok := resolver.FromAttributes(nil); ok {
		t.Errorf("FromAttributes(nil) = %+v, true", a)
	}
}

var _ resolver.Source = (*fakeSource)(nil)

func TestContextOfSource(t *testing.T) {
	// If a source ignores everything but its context, the timeout ends it.
	src := &fakeSource{resolve: func(ctx context.Context) (resolver.Result, error) {
		<-ctx.Done()
		return resolver.Result{}, context.Cause(ctx)
	}}
	r := newResolver(t, resolver.Config{Options: resolver.Options{Timeout: 1e6}}, src)
	cc := newClientConn()
	w := build(t, r, cc)
	defer w.Close()
	err := cc.awaitError(t)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no answer within 1ms") {
		t.Errorf("reported %v, want the timeout", err)
	}
}

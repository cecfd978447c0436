package getcdprom_test

import (
	"context"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.uber.org/goleak"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/etcdtest"
	getcdprom "github.com/getcd/getcd/observability/prometheus"
	"github.com/getcd/getcd/resolver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// connect makes a client with metrics, in their registry.
func connect(t *testing.T, c *etcdtest.Cluster, reg *prometheus.Registry, name string) *client.Client {
	t.Helper()
	m := getcdprom.New(name)
	reg.MustRegister(m)
	cl, err := client.New(client.Config{
		Endpoints: c.Addrs(), Resolver: resolver.Options{KeepOrder: true}, DialOptions: c.DialOptions(),
		Observers: []client.Observer{m},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cl.Close() })
	synctest.Wait()
	return cl
}

// wantMetrics compares some metrics of a registry, in the text format without their help.
func wantMetrics(t *testing.T, what string, reg *prometheus.Registry, want string, names ...string) {
	t.Helper()
	got := lines(t, reg, names...)
	if w := strings.TrimSpace(want); strings.Join(got, "\n") != w {
		t.Errorf("%s: got\n%s\nwant\n%s", what, strings.Join(got, "\n"), w)
	}
}

// lines are the samples of the metrics with the names, as Prometheus scrapes them.
func lines(t *testing.T, reg *prometheus.Registry, names ...string) (out []string) {
	t.Helper()
	text, err := testutil.CollectAndFormat(reg, expfmt.TypeTextPlain, names...)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "#") {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return out
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(ctx context.Context, c *client.Client) error {
	_, err := c.Put(ctx, "some/key", "v")
	return err
}

// intercept has every member refuse the first call of a method.
func intercept(c *etcdtest.Cluster, method string, refusal error) {
	var refused atomic.Bool
	for _, m := range c.Members() {
		m.Intercept(func(_ context.Context, called string, _ any, next func() (any, error)) (any, error) {
			if called == method && !refused.Swap(true) {
				return nil, refusal
			}
			return next()
		})
	}
}

func TestCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, reg := etcdtest.Start(t, 2), prometheus.NewRegistry()
		c := connect(t, cluster, reg, "orders")
		for range 3 {
			must(t, put(t.Context(), c))
		}
		intercept(cluster, pb.KV_Put_FullMethodName, rpctypes.ErrGRPCTimeout)
		if err := put(t.Context(), c); !client.IsAmbiguous(err) {
			t.Fatalf("got %v, want an ambiguous error", err)
		}
		intercept(cluster, pb.KV_Put_FullMethodName, rpctypes.ErrGRPCRequestTooLarge)
		if err := put(t.Context(), c); err == nil {
			t.Fatal("a refused put succeeded")
		}
		intercept(cluster, pb.KV_Put_FullMethodName, rpctypes.ErrGRPCRequestTooManyRequests)
		must(t, put(t.Context(), c)) // is sent again
		cluster.Member(0).Freeze()   // so a read is hedged
		_, err := c.Get(t.Context(), "some/key")
		must(t, err)
		wantMetrics(t, "calls", reg, `
getcd_client_call_errors_total{client="orders",grpc_code="InvalidArgument",grpc_method="Put",grpc_service="etcdserverpb.KV"} 1
getcd_client_call_errors_total{client="orders",grpc_code="Unavailable",grpc_method="Put",grpc_service="etcdserverpb.KV"} 1
getcd_client_calls_total{client="orders",grpc_method="Put",grpc_service="etcdserverpb.KV",outcome="ambiguous"} 1
getcd_client_calls_total{client="orders",grpc_method="Put",grpc_service="etcdserverpb.KV",outcome="error"} 1
getcd_client_calls_total{client="orders",grpc_method="Put",grpc_service="etcdserverpb.KV",outcome="ok"} 4
getcd_client_calls_total{client="orders",grpc_method="Range",grpc_service="etcdserverpb.KV",outcome="ambiguous"} 0
getcd_client_calls_total{client="orders",grpc_method="Range",grpc_service="etcdserverpb.KV",outcome="error"} 0
getcd_client_calls_total{client="orders",grpc_method="Range",grpc_service="etcdserverpb.KV",outcome="ok"} 1
`, "getcd_client_call_errors_total", "getcd_client_calls_total")
		wantMetrics(t, "attempts", reg, `
getcd_client_attempts_total{client="orders",grpc_code="Canceled",grpc_method="Range",grpc_service="etcdserverpb.KV",kind="first",outcome="superseded"} 1
getcd_client_attempts_total{client="orders",grpc_code="InvalidArgument",grpc_method="Put",grpc_service="etcdserverpb.KV",kind="first",outcome="error"} 1
getcd_client_attempts_total{client="orders",grpc_code="OK",grpc_method="Put",grpc_service="etcdserverpb.KV",kind="first",outcome="ok"} 3
getcd_client_attempts_total{client="orders",grpc_code="OK",grpc_method="Put",grpc_service="etcdserverpb.KV",kind="retry",outcome="ok"} 1
getcd_client_attempts_total{client="orders",grpc_code="OK",grpc_method="Range",grpc_service="etcdserverpb.KV",kind="hedge",outcome="ok"} 1
getcd_client_attempts_total{client="orders",grpc_code="ResourceExhausted",grpc_method="Put",grpc_service="etcdserverpb.KV",kind="first",outcome="error"} 1
getcd_client_attempts_total{client="orders",grpc_code="Unavailable",grpc_method="Put",grpc_service="etcdserverpb.KV",kind="first",outcome="error"} 1
`, "getcd_client_attempts_total")
		wantMetrics(t, "ambiguous writes", reg, `getcd_client_ambiguous_writes_total{client="orders"} 1`, "getcd_client_ambiguous_writes_total")
		wantMetrics(t, "hedges", reg, `getcd_client_hedges_total{client="orders"} 1`, "getcd_client_hedges_total")
		all := strings.Join(lines(t, reg, "getcd_client_call_duration_seconds"), "\n")
		for _, want := range []string{
			`getcd_client_call_duration_seconds_count{client="orders",grpc_method="Put",grpc_service="etcdserverpb.KV"} 6`,
			`getcd_client_call_duration_seconds_bucket{client="orders",grpc_method="Range",grpc_service="etcdserverpb.KV",le="0.05"} 0`,
			`getcd_client_call_duration_seconds_bucket{client="orders",grpc_method="Range",grpc_service="etcdserverpb.KV",le="0.25"} 1`,
		} {
			if !strings.Contains(all, want) {
				t.Errorf("the latencies lack %s:\n%s", want, all)
			}
		}
	})
}

// A member is killed: that shows in the failovers and in the states of the endpoints.
func TestFailover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, reg := etcdtest.Start(t, 3), prometheus.NewRegistry()
		c := connect(t, cluster, reg, "")
		must(t, put(t.Context(), c))
		wantMetrics(t, "before", reg, `
getcd_client_endpoint_connected{client="",endpoint="member-1:2379"} 1
getcd_client_endpoint_connected{client="",endpoint="member-2:2379"} 1
getcd_client_endpoint_connected{client="",endpoint="member-3:2379"} 0
getcd_client_failovers_total{client=""} 0
`, "getcd_client_endpoint_connected", "getcd_client_failovers_total")
		cluster.Member(0).Kill()
		time.Sleep(time.Second)
		must(t, put(t.Context(), c))
		wantMetrics(t, "after", reg, `
getcd_client_endpoint_connected{client="",endpoint="member-1:2379"} 0
getcd_client_endpoint_connected{client="",endpoint="member-2:2379"} 1
getcd_client_endpoint_connected{client="",endpoint="member-3:2379"} 1
getcd_client_failovers_total{client=""} 1
`, "getcd_client_endpoint_connected", "getcd_client_failovers_total")
		roles := strings.Join(lines(t, reg, "getcd_client_endpoint_role"), "\n")
		if want := `getcd_client_endpoint_role{client="",endpoint="member-2:2379",role="active"} 1`; !strings.Contains(roles, want) {
			t.Errorf("the roles lack %s:\n%s", want, roles)
		}
	})
}

func TestWatchesAndLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, reg := etcdtest.Start(t, 1), prometheus.NewRegistry()
		c := connect(t, cluster, reg, "x")
		events := c.Watch(t.Context(), "some/key")
		synctest.Wait()
		g, err := c.Grant(t.Context(), 10)
		must(t, err)
		_, err = c.Keep(t.Context(), g.ID)
		must(t, err)
		for range 3 {
			must(t, put(t.Context(), c))
		}
		time.Sleep(time.Second) // less than until the first renewal
		synctest.Wait()
		wantMetrics(t, "nobody reads", reg, `
getcd_client_lease_remaining_ratio{client="x"} 0.8
getcd_client_lease_remaining_seconds{client="x"} 8
getcd_client_leases{client="x",state="proven"} 1
getcd_client_leases{client="x",state="unproven"} 0
getcd_client_watch_lag_seconds{client="x"} 1
getcd_client_watches{client="x",state="current"} 1
getcd_client_watches{client="x",state="paused"} 0
getcd_client_watches{client="x",state="resuming"} 0
`, "getcd_client_lease_remaining_ratio", "getcd_client_lease_remaining_seconds", "getcd_client_leases",
			"getcd_client_watch_lag_seconds", "getcd_client_watches")
		for n := 0; n < 3; {
			n += len((<-events).Events)
		}
		cluster.Member(0).Kill()
		time.Sleep(11 * time.Second)
		wantMetrics(t, "no member", reg, `
getcd_client_leases_lost_total{client="x"} 1
getcd_client_watch_lag_seconds{client="x"} 11
`, "getcd_client_lease_remaining_seconds", "getcd_client_leases_lost_total", "getcd_client_watch_lag_seconds")
	})
}

// Two clients have a registry together, and a client that is closed stays in the sums of its
// successor of the same name.
func TestSeveralClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, reg := etcdtest.Start(t, 1), prometheus.NewRegistry()
		a, b := connect(t, cluster, reg, "a"), connect(t, cluster, reg, "b")
		must(t, put(t.Context(), a))
		must(t, put(t.Context(), b))
		must(t, put(t.Context(), b))
		wantMetrics(t, "two clients", reg, `
getcd_client_calls_total{client="a",grpc_method="Put",grpc_service="etcdserverpb.KV",outcome="ambiguous"} 0
getcd_client_calls_total{client="a",grpc_method="Put",grpc_service="etcdserverpb.KV",outcome="error"} 0
getcd_client_calls_total{client="a",grpc_method="Put",grpc_service="etcdserverpb.KV",outcome="ok"} 1
getcd_client_calls_total{client="b",grpc_method="Put",grpc_service="etcdserverpb.KV",outcome="ambiguous"} 0
getcd_client_calls_total{client="b",grpc_method="Put",grpc_service="etcdserverpb.KV",outcome="error"} 0
getcd_client_calls_total{client="b",grpc_method="Put",grpc_service="etcdserverpb.KV",outcome="ok"} 2
getcd_client_dials_total{client="a"} 2
getcd_client_dials_total{client="b"} 2
`, "getcd_client_calls_total", "getcd_client_dials_total")
		if err := reg.Register(getcdprom.New("a")); err == nil {
			t.Error("two metrics of one name are registered")
		}

		m, sum := getcdprom.New("pool"), prometheus.NewRegistry()
		sum.MustRegister(m)
		for range 2 {
			c, err := client.New(client.Config{Endpoints: cluster.Addrs(), DialOptions: cluster.DialOptions(), Observers: []client.Observer{m}})
			must(t, err)
			must(t, put(t.Context(), c))
			must(t, c.Close())
		}
		wantMetrics(t, "two closed clients of one name", sum, `
getcd_client_calls_total{client="pool",grpc_method="Put",grpc_service="etcdserverpb.KV",outcome="ambiguous"} 0
getcd_client_calls_total{client="pool",grpc_method="Put",grpc_service="etcdserverpb.KV",outcome="error"} 0
getcd_client_calls_total{client="pool",grpc_method="Put",grpc_service="etcdserverpb.KV",outcome="ok"} 2
getcd_client_dials_total{client="pool"} 4
getcd_client_open{client="pool"} 0
`, "getcd_client_calls_total", "getcd_client_dials_total", "getcd_client_open")
	})
}

// A program with package clientv3 has the same metrics.
func TestFacade(t *testing.T) {
	cluster, reg, m := etcdtest.Start(t, 3), prometheus.NewRegistry(), getcdprom.New("facade")
	reg.MustRegister(m)
	c, err := clientv3.NewWith(
		clientv3.Config{Endpoints: cluster.Addrs(), DialOptions: cluster.DialOptions()},
		func(n *client.Config) { n.Observers = append(n.Observers, m) })
	must(t, err)
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c.Watch(ctx, "k") // waits until the server has it
	_, err = c.Put(t.Context(), "k", "v")
	must(t, err)
	g, err := c.Grant(t.Context(), 60)
	must(t, err)
	alive, err := c.KeepAlive(ctx, g.ID)
	must(t, err)
	<-alive
	wantMetrics(t, "the façade", reg, `
getcd_client_leases{client="facade",state="proven"} 1
getcd_client_leases{client="facade",state="unproven"} 0
getcd_client_watches{client="facade",state="current"} 1
getcd_client_watches{client="facade",state="paused"} 0
getcd_client_watches{client="facade",state="resuming"} 0
`, "getcd_client_leases", "getcd_client_watches")
}

// Names, units and help follow Prometheus' conventions; and methods that are not etcd's have
// one series together.
func TestConventions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, reg := etcdtest.Start(t, 1), prometheus.NewRegistry()
		c := connect(t, cluster, reg, "x")
		must(t, put(t.Context(), c))
		g, err := c.Grant(t.Context(), 10)
		must(t, err)
		_, err = c.Keep(t.Context(), g.ID)
		must(t, err)
		for _, method := range []string{"/a.B/C", "/d.E/F", "nonsense"} {
			if err := c.Conn().Invoke(t.Context(), method, &pb.RangeRequest{}, &pb.RangeResponse{}); err == nil {
				t.Errorf("%s succeeded", method)
			}
		}
		problems, err := testutil.GatherAndLint(reg)
		must(t, err)
		for _, p := range problems {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
		text := strings.Join(lines(t, reg), "\n")
		if strings.Contains(text, "some/key") || strings.Contains(text, "a.B") || strings.Contains(text, "nonsense") {
			t.Errorf("a key or an unknown method is a label:\n%s", text)
		}
	})
}

// The page lists the metrics as they are: name, labels but client, help.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/observability.md")
	must(t, err)
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		getcdprom.New("x").Describe(descs)
	}()
	form, count := regexp.MustCompile(`^Desc\{fqName: "(.*)", help: "(.*)", constLabels: \{client="x"\}, variableLabels: \{(.*)\}\}$`), 0
	for d := range descs {
		count++
		m := form.FindStringSubmatch(d.String())
		if m == nil {
			t.Fatalf("%s has another form", d)
		}
		labels := ""
		if m[3] != "" {
			labels = "`" + strings.ReplaceAll(m[3], ",", "`, `") + "`"
		}
		if row := "\n| `" + m[1] + "` | " + labels + " | " + m[2] + " |"; !strings.Contains(string(page), row) {
			t.Errorf("the page lacks%s", row)
		}
	}
	if n := strings.Count(string(page), "\n| `getcd_client_"); n != count {
		t.Errorf("the page has %d metrics, want the %d that there are", n, count)
	}
}

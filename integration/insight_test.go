package integration_test

import (
	"bufio"
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/kv"
)

// scrape returns the metrics at url. Metrics with the same name are added up.
func scrape(tb testing.TB, url string) map[string]uint64 {
	tb.Helper()
	req, err := http.NewRequestWithContext(timeout(tb), http.MethodGet, url, nil)
	if err != nil {
		tb.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	metrics := make(map[string]uint64)
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		line := lines.Text()
		i := strings.LastIndexByte(line, ' ')
		if i < 0 || strings.HasPrefix(line, "#") {
			continue
		}
		v, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			tb.Fatalf("%q: %v", line, err)
		}
		name, _, _ := strings.Cut(line[:i], "{")
		metrics[name] += uint64(v)
	}
	if err := lines.Err(); err != nil {
		tb.Fatal(err)
	}
	return metrics
}

// since returns the difference between two counters.
func since(before, after client.Counters) client.Counters {
	var d client.Counters
	for _, f := range reflect.VisibleFields(reflect.TypeOf(d)) {
		if !f.Anonymous {
			n := reflect.ValueOf(after).FieldByIndex(f.Index).Uint() - reflect.ValueOf(before).FieldByIndex(f.Index).Uint()
			reflect.ValueOf(&d).Elem().FieldByIndex(f.Index).SetUint(n)
		}
	}
	return d
}

// requests returns how many RPCs the members have received, according to their
// metrics.
func requests(tb testing.TB, c *cluster.Cluster) (n uint64) {
	tb.Helper()
	for _, m := range c.Members() {
		started, ok := scrape(tb, m.ClientURL()+"/metrics")["grpc_server_started_total"]
		if !ok {
			tb.Fatalf("%s does not tell how many RPCs it has started", m.Name())
		}
		n += started
	}
	return n
}

// Without faults, hedging, probing and the rest cause less than 1 % more
// requests, according to both the client and the members. The exceptions are late
// calls, which happen on an overloaded machine. If there are many of them, the
// test only checks that there were not more hedges than late calls.
func TestCostWithoutFaults(t *testing.T) {
	const (
		workers, each = 4, 1500
		late          = 50 * time.Millisecond // the minimum delay of a hedge
		most          = workers * each * 101 / 100
	)
	c := startCluster(t, cluster.Config{})
	cl := dial(t, client.Config{Endpoints: c.Endpoints()})
	operations := []func(context.Context) error{
		func(ctx context.Context) error { _, err := cl.Get(ctx, "k"); return err },
		func(ctx context.Context) error { _, err := cl.Put(ctx, "k", "v"); return err },
		func(ctx context.Context) error { _, err := cl.Get(ctx, "k", kv.WithSerializable()); return err },
	}
	var delayed atomic.Uint64
	var all sync.WaitGroup
	before, asked, start := cl.Counters(), requests(t, c), time.Now()
	for range workers {
		all.Go(func() {
			for i := range each {
				start := time.Now()
				if err := operations[i%len(operations)](timeout(t)); err != nil {
					t.Error(err)
				}
				if time.Since(start) >= late {
					delayed.Add(1)
				}
			}
		})
	}
	all.Wait()
	took := time.Since(start)
	d, got := since(before, cl.Counters()), requests(t, c)-asked
	t.Logf("%d calls in %v: %d attempts, %d hedges, %d probes; %d calls took %v or longer; the members were asked for %d",
		d.Calls, took.Round(time.Millisecond), d.Attempts, d.Hedges, d.Probes, delayed.Load(), late, got)
	if d.Calls != workers*each {
		t.Errorf("%d calls, want %d", d.Calls, workers*each)
	}
	again := d.Attempts - d.Calls - d.Hedges // of calls that an election has delayed
	if d.Hedges > delayed.Load() || d.Attempts < d.Calls+d.Hedges || again > 0 && delayed.Load() == 0 {
		t.Errorf("%d calls, %d of them late, made %d attempts with %d hedges: want one each, and a hedge for the late ones",
			d.Calls, delayed.Load(), d.Attempts, d.Hedges)
	}
	if delayed.Load() > most/400 {
		t.Skipf("the machine is too busy: %d calls were late", delayed.Load())
	}
	if n := d.Attempts + 4*d.Probes; n > most {
		t.Errorf("%d attempts and %d probes of up to 4 requests: want %d requests at most", d.Attempts, d.Probes, most)
	}
	if got < d.Calls || got > most {
		t.Errorf("the members were asked for %d requests, want %d to %d", got, d.Calls, most)
	}
}

// The counters show what happened when the active member is lost, or silent.
func TestCountersUnderFaults(t *testing.T) {
	faults := map[string]struct {
		breakIt, heal func(*testing.T, *cluster.Member) error
		stall         bool
	}{
		"killed": {
			func(_ *testing.T, m *cluster.Member) error { return m.Kill() },
			func(t *testing.T, m *cluster.Member) error { t.Helper(); return m.Restart(timeout(t)) },
			false,
		},
		"stopped": {
			func(_ *testing.T, m *cluster.Member) error { return m.Pause() },
			func(_ *testing.T, m *cluster.Member) error { return m.Continue() },
			true,
		},
	}
	c := startCluster(t, cluster.Config{})
	for name, fault := range faults {
		for _, role := range []string{"follower", "leader"} {
			t.Run(name+", "+role, func(t *testing.T) {
				if err := c.WaitHealthy(timeout(t)); err != nil {
					t.Fatal(err)
				}
				cl, victim := dialTo(t, c, role == "leader")
				load := newLoad(cl)
				load.prefix = "counters/" + name + role + "/"
				ctx, stop := context.WithCancel(t.Context())
				var workers sync.WaitGroup
				for i := range 4 {
					workers.Go(func() { load.put(ctx, i) })
					workers.Go(func() { load.get(ctx) })
				}
				defer workers.Wait()
				defer stop()
				load.awaitProgress(t)

				before, start := cl.Counters(), time.Now()
				if err := fault.breakIt(t, victim); err != nil {
					t.Fatal(err)
				}
				load.awaitProgress(t)
				eventually(t, "the verdict, and another standby within a second", func() bool {
					d := since(before, cl.Counters())
					return d.Failovers > 0 && d.Dials > 0 && (!fault.stall || d.Severed+d.GivenUp > 0)
				})
				load.awaitProgress(t)
				d, took := since(before, cl.Counters()), time.Since(start)
				if err := fault.heal(t, victim); err != nil {
					t.Fatal(err)
				}
				stop()
				workers.Wait()
				t.Logf("in %v: %+v; %d ambiguous writes", took.Round(time.Millisecond), d, load.doubts.Load())

				// One member was lost, so there are one or, with an election, a
				// few failovers.
				if d.Failovers < 1 || d.Failovers > 5 {
					t.Errorf("%d failovers, want one or a few", d.Failovers)
				}
				if fault.stall && d.Probes == 0 {
					t.Error("no probes, though it was silent")
				}
				if !fault.stall && role == "follower" && d.Severed+d.GivenUp > 0 {
					t.Errorf("%d connections severed and %d retired, want none: it was the member that closed them", d.Severed, d.GivenUp)
				}
				// At most four per second for each endpoint.
				if most := uint64(3*4*(took.Seconds()+1)) + 3; d.Dials == 0 || d.Dials > most {
					t.Errorf("%d dials in %v, want some, %d at most", d.Dials, took, most)
				}
				if d.Attempts < d.Calls-8 || d.Attempts < d.Hedges { // 8 calls may be waiting for their attempt
					t.Errorf("%d attempts of %d calls with %d hedges", d.Attempts, d.Calls, d.Hedges)
				}
			})
		}
	}
}

// The page's programs are those of the tests, and its tables list all records,
// counters and fields.
func TestInsightPage(t *testing.T) {
	page := readFile(t, "../docs/reference/insight.md")
	tested := readFile(t, "../client/example_insight_test.go") + readFile(t, "insight_test.go")
	_, rest, found := strings.Cut(page, "```go\n")
	for found {
		var program string
		program, rest, _ = strings.Cut(rest, "```")
		if !strings.Contains(tested, program) {
			t.Errorf("no test has this program of the page:\n%s", program)
		}
		_, rest, found = strings.Cut(rest, "```go\n")
	}

	seen := 0
	for _, dir := range []string{"client", "election", "internal/policy", "lease", "lock", "resolver", "watch"} {
		files, err := filepath.Glob("../" + dir + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			for _, row := range recordsOf(t, file) {
				seen++
				if !strings.Contains(page, row) {
					t.Errorf("%s has a record that the page has not:\n%s", file, row)
				}
			}
		}
	}
	seen++ // the record that the logging queue itself writes (client/logging.go)
	if !strings.Contains(page, "etcd: log records dropped") {
		t.Error("the page does not say what records that were dropped are told by")
	}
	if n := strings.Count(page, "\n| Debug |") + strings.Count(page, "\n| Info |") + strings.Count(page, "\n| Warn |"); n != seen {
		t.Errorf("the page has %d records, want the %d that there are", n, seen)
	}
	for _, of := range []reflect.Type{reflect.TypeFor[client.Counters](), reflect.TypeFor[balancer.Status](), reflect.TypeFor[client.Stats]()} {
		for _, f := range reflect.VisibleFields(of) {
			names := []string{f.Name}
			if of == reflect.TypeFor[client.Stats]() {
				names = nil
				for _, part := range reflect.VisibleFields(f.Type) {
					names = append(names, f.Name+"."+part.Name)
				}
			}
			for _, name := range names {
				if !f.Anonymous && !strings.Contains(page, "\n| `"+name+"` |") {
					t.Errorf("the page does not tell of %s", name)
				}
			}
		}
	}
}

// recordsOf returns the beginnings of the page's rows for the records that a file
// logs.
func recordsOf(t *testing.T, file string) (rows []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		logger, ok := method.X.(*ast.SelectorExpr)
		if !ok || !strings.EqualFold(logger.Sel.Name, "logger") {
			return true
		}
		var fields []string
		for i := 1; i < len(call.Args); i += 2 {
			if key, ok := call.Args[i].(*ast.BasicLit); ok {
				fields = append(fields, strings.Trim(key.Value, `"`))
			}
		}
		message, ok := call.Args[0].(*ast.BasicLit)
		if !ok || len(fields) != len(call.Args)/2 {
			t.Errorf("%s: a record whose message or fields are no literals", file)
			return true
		}
		rows = append(rows, "\n| "+method.Sel.Name+" | `"+strings.Trim(message.Value, `"`)+"` | `"+strings.Join(fields, "`, `")+"` |")
		return true
	})
	return rows
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

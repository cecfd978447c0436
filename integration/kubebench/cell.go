package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/integration/cluster"
)

// The phases of a cell.
const (
	settle = 10 * time.Second // without load, to measure the idle cost
	before = 5 * time.Second
	during = 15 * time.Second
	after  = 10 * time.Second
)

// faults are the faults of a member; heal undoes them.
var faults = map[string]struct {
	hurt func(*cluster.Member) error
	heal func(context.Context, *cluster.Member) error
}{
	"kill": {
		(*cluster.Member).Kill,
		func(ctx context.Context, m *cluster.Member) error { return m.Restart(ctx) },
	},
	"sigstop": {
		(*cluster.Member).Pause,
		func(_ context.Context, m *cluster.Member) error { return m.Continue() },
	},
	"blackhole": {
		func(m *cluster.Member) error { return m.ClientLink().Blackhole() },
		func(_ context.Context, m *cluster.Member) error { return m.ClientLink().Heal() },
	},
	"cut": {
		(*cluster.Member).CutPeers,
		func(_ context.Context, m *cluster.Member) error { return m.HealPeers() },
	},
}

// result has the measurements of a cell.
type result struct {
	Client string         `json:"client"`
	Fault  string         `json:"fault"`
	Role   string         `json:"role"`
	Ready  float64        `json:"ready_seconds"`
	Idle   cost           `json:"idle"`
	Moving int            `json:"failed_while_the_leadership_moved"`
	Kinds  map[string]row `json:"kinds"`
	Watch  watched        `json:"watch"`
}

type row struct {
	Done    int            `json:"done"`
	Failed  int            `json:"failed"`
	Longest float64        `json:"longest_gap_seconds"`
	Errors  map[string]int `json:"errors,omitempty"`
}

type watched struct {
	Events   int     `json:"events"`
	Missed   int     `json:"missed"`
	Twice    int     `json:"twice"`
	Restarts int     `json:"restarts"`
	Expired  int     `json:"expired"`
	Longest  float64 `json:"longest_gap_seconds"`
}

// cost is the cost of a server that nobody uses.
type cost struct {
	CPU         float64 `json:"cpu_percent"`
	RSS         float64 `json:"rss_mib"`
	Goroutines  float64 `json:"goroutines"`
	EtcdCalls   float64 `json:"etcd_calls_per_second"` // unary calls to the members
	Connections int     `json:"connections"`           // to the members; 0 if the system does not report it
}

// cell runs a server with one fault.
func cell(ctx context.Context, client, binary, fault, role string) (r result, err error) {
	r = result{Client: client, Fault: fault, Role: role, Kinds: make(map[string]row)}
	c, err := cluster.Start(ctx, cluster.Config{Links: true})
	if err != nil {
		return r, err
	}
	defer func() {
		if stopped := c.Stop(); err == nil {
			err = stopped
		}
	}()
	s, err := startServer(ctx, binary, c.Endpoints())
	if err != nil {
		return r, err
	}
	defer func() {
		if stopped := s.stop(); err == nil {
			err = stopped
		}
	}()
	r.Ready = s.ready.Seconds()
	version, err := prepare(ctx, s)
	if err != nil {
		return r, err
	}
	if r.Idle, err = idle(ctx, c, s); err != nil {
		return r, err
	}
	l := &load{server: s, kinds: make(map[string]*counts)}
	for _, name := range kindNames {
		l.kinds[name] = &counts{}
	}
	f := &follower{seen: make(map[string]int)}
	running, stop := context.WithCancel(ctx)
	followed, unfollow := context.WithCancel(ctx)
	defer unfollow()
	loadDone, followDone := make(chan struct{}), make(chan struct{})
	go func() { l.run(running); close(loadDone) }()
	go func() { f.run(followed, s, version); close(followDone) }()
	err = disturb(ctx, c, fault, role, func() {
		for _, k := range l.kinds {
			r.Moving += k.reset()
		}
		f.events.reset()
	})
	stop()
	<-loadDone
	time.Sleep(2 * time.Second) // for the last events
	unfollow()
	<-followDone
	for name, k := range l.kinds {
		r.Kinds[name] = row{k.done, k.failed, round(k.longest), k.errors}
	}
	r.Watch = watched{Events: f.events.done, Restarts: f.restarts, Expired: f.lost, Longest: round(f.events.longest)}
	for _, name := range l.created {
		if f.seen[name] == 0 {
			r.Watch.Missed++
		}
	}
	for _, n := range f.seen {
		if n > 1 {
			r.Watch.Twice++
		}
	}
	return r, err
}

func round(d time.Duration) float64 { return d.Round(10 * time.Millisecond).Seconds() }

// prepare creates the resource definition, and one object for each worker. It
// returns the version from which to watch.
func prepare(ctx context.Context, s *server) (version string, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if _, err := s.call(ctx, http.MethodPost, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", []byte(definition)); err != nil {
		return "", err
	}
	for w := range workers {
		for {
			_, err := s.call(ctx, http.MethodPost, things, thing("w"+strconv.Itoa(w), 0))
			if err == nil {
				break
			}
			select {
			case <-ctx.Done():
				return "", err
			case <-time.After(200 * time.Millisecond): // until the resource is served
			}
		}
	}
	list, err := s.call(ctx, http.MethodGet, things, nil)
	if err != nil {
		return "", err
	}
	var l struct {
		Metadata struct{ ResourceVersion string }
	}
	err = json.Unmarshal(list, &l)
	return l.Metadata.ResourceVersion, err
}

// disturb applies the fault to the member that serves the most requests. It calls
// begin when that member has the role.
func disturb(ctx context.Context, c *cluster.Cluster, fault, role string, begin func()) error {
	m, err := cast(ctx, c, role)
	if err != nil {
		return err
	}
	begin()
	time.Sleep(before)
	if err := faults[fault].hurt(m); err != nil {
		return err
	}
	time.Sleep(during)
	if err := faults[fault].heal(ctx, m); err != nil {
		return err
	}
	time.Sleep(after)
	return nil
}

// cast returns the member with the role that serves the most requests, if no
// other member serves many more. Otherwise it moves the leadership, which may
// make a client leave its member.
func cast(ctx context.Context, c *cluster.Cluster, role string) (*cluster.Member, error) {
	for range 5 {
		time.Sleep(before)
		served, err := served(ctx, c)
		if err != nil {
			return nil, err
		}
		leader, err := c.Leader(ctx)
		if err != nil {
			return nil, err
		}
		busiest := leader
		var m *cluster.Member // among those with the role
		for of, n := range served {
			if n > served[busiest] {
				busiest = of
			}
			if (of == leader) == (role == "leader") && (m == nil || n > served[m]) {
				m = of
			}
		}
		if served[m] > served[busiest]/2 {
			return m, nil
		}
		to := busiest
		if role != "leader" {
			to = m
		}
		if _, err := pb.NewMaintenanceClient(leader.Control()).MoveLeader(ctx, &pb.MoveLeaderRequest{TargetID: to.ID()}); err != nil {
			return nil, fmt.Errorf("moving the leadership: %w", err)
		}
	}
	return nil, fmt.Errorf("the member that serves most requests is never the %s", role)
}

// served counts the requests that each member serves within two seconds.
func served(ctx context.Context, c *cluster.Cluster) (map[*cluster.Member]float64, error) {
	count := make(map[*cluster.Member]float64)
	for sign := -1.0; sign <= 1; sign += 2 {
		for _, m := range c.Members() {
			page, err := metrics(ctx, m)
			if err != nil {
				return nil, err
			}
			count[m] += sign * sum(page, "grpc_server_handled_total", `grpc_service="etcdserverpb.KV"`)
		}
		if sign < 0 {
			time.Sleep(2 * time.Second)
		}
	}
	return count, nil
}

// idle measures the cost of the server while nobody uses it.
func idle(ctx context.Context, c *cluster.Cluster, s *server) (cost, error) {
	type sample struct{ cpu, calls float64 }
	var last []byte
	look := func() (sample, error) {
		page, err := s.call(ctx, http.MethodGet, "/metrics", nil)
		if err != nil {
			return sample{}, err
		}
		last = page
		r := sample{cpu: sum(page, "process_cpu_seconds_total", "")}
		for _, m := range c.Members() {
			page, err := metrics(ctx, m)
			if err != nil {
				return sample{}, err
			}
			r.calls += sum(page, "grpc_server_handled_total", `grpc_type="unary"`)
		}
		return r, nil
	}
	time.Sleep(settle)
	a, err := look()
	if err != nil {
		return cost{}, err
	}
	time.Sleep(settle)
	b, err := look()
	return cost{
		CPU:         100 * (b.cpu - a.cpu) / settle.Seconds(),
		RSS:         sum(last, "process_resident_memory_bytes", "") / (1 << 20),
		Goroutines:  sum(last, "go_goroutines", ""),
		EtcdCalls:   (b.calls - a.calls) / settle.Seconds(),
		Connections: connections(c),
	}, err
}

// connections counts the connections to the members. It uses a table that only
// Linux has.
func connections(c *cluster.Cluster) (n int) {
	const established = "01"
	table, _ := os.ReadFile("/proc/net/tcp")
	for lines := bufio.NewScanner(bytes.NewReader(table)); lines.Scan(); {
		fields := strings.Fields(lines.Text()) // sl, local, remote, state
		if len(fields) < 4 || fields[3] != established {
			continue
		}
		for _, m := range c.Members() {
			if strings.HasSuffix(fields[2], fmt.Sprintf(":%04X", m.Port())) {
				n++
			}
		}
	}
	return n
}

// metrics returns a member's metrics page.
func metrics(ctx context.Context, m *cluster.Member) ([]byte, error) {
	of := &server{url: m.ClientURL(), http: http.DefaultClient}
	return of.call(ctx, http.MethodGet, "/metrics", nil)
}

// sum adds up a metric's series whose labels contain the given text.
func sum(page []byte, metric, label string) (total float64) {
	for lines := bufio.NewScanner(bytes.NewReader(page)); lines.Scan(); {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if bare, _, _ := strings.Cut(name, "{"); !ok || bare != metric || !strings.Contains(name, label) {
			continue
		}
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			total += v
		}
	}
	return total
}

package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/proxy"
)

// Result has the results of one client's calls.
type Result struct {
	OK     int `json:"ok"`
	Failed int `json:"failed"`
	// Ambiguous is the number of failed puts that the client marked as possibly
	// applied.
	Ambiguous int `json:"ambiguous"`
	// Seconds is the time from the start of the first call to the end of the
	// last. Longest is the duration of the longest call.
	Seconds float64 `json:"seconds"`
	Longest float64 `json:"longest_seconds"`
	// Sent is how many puts were sent, in the cases that count it.
	Sent int `json:"sent,omitempty"`
	// Error is the text of one failure.
	Error string `json:"error,omitempty"`
}

// firstKey is the key of each client's first write.
const (
	putKey   = "slowbench/put/"
	firstKey = putKey + "first"
)

// rangeKey returns the prefix of a range's keys.
func rangeKey(size int) string { return "slowbench/range/" + strconv.Itoa(size) + "/" }

// place is a cluster with a separate connection for the measurement.
type place struct{ cluster *cluster.Cluster }

func (p place) kv(i int) pb.KVClient { return pb.NewKVClient(p.cluster.Members()[i].Control()) }

// fill writes the data for ranges, in pieces of 1 MB.
func (p place) fill(ctx context.Context, cases []Case) error {
	done := make(map[int]bool)
	for _, c := range cases {
		if !c.Read || done[c.Size] {
			continue
		}
		done[c.Size] = true
		for i := range c.Size / mB {
			key := rangeKey(c.Size) + strconv.Itoa(i)
			if _, err := p.kv(0).Put(ctx, &pb.PutRequest{Key: []byte(key), Value: make([]byte, mB)}); err != nil {
				return err
			}
		}
	}
	return nil
}

// clear frees the space that puts have used.
func (p place) clear(ctx context.Context) error {
	resp, err := p.kv(0).DeleteRange(ctx, &pb.DeleteRangeRequest{Key: []byte(putKey), RangeEnd: []byte("slowbench/put0")})
	if err != nil || resp.Deleted == 0 {
		return err // if nothing was deleted, there is nothing to compact
	}
	_, err = p.kv(0).Compact(ctx, &pb.CompactionRequest{Revision: resp.Header.Revision, Physical: true})
	return err
}

// setLines limits the bandwidth between the members and their clients as the case
// says.
func (p place) setLines(c Case) error {
	shared := proxy.NewLine(int64(c.Rate), int64(c.Rate))
	var errs []error
	for _, m := range p.cluster.Members() {
		line := shared
		switch {
		case c.Rate == 0:
			line = nil
		case c.Each:
			line = proxy.NewLine(int64(c.Rate), int64(c.Rate))
		}
		errs = append(errs, m.ClientLink().SetLine(line))
	}
	return errors.Join(errs...)
}

// measure makes the case's calls with one client.
func (p place) measure(ctx context.Context, name string, c Case) (_ Result, err error) {
	if c.Refused {
		return refuse(ctx, name, c)
	}
	if err := p.cluster.WaitHealthy(ctx); err != nil {
		return Result{}, err
	}
	if err := p.setLines(Case{}); err != nil { // the client begins without a limit
		return Result{}, err
	}
	endpoints := p.cluster.Endpoints()[:c.Endpoints]
	if c.Starved {
		return starve(ctx, name, endpoints, c)
	}
	conn, err := dial(name, endpoints, nil)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, conn.close()) }()
	victim, err := p.victim(ctx, conn, c)
	if err != nil {
		return Result{}, err
	}
	if err := p.setLines(c); err != nil {
		return Result{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	var stalled error
	before := p.passed(c)
	beside.Go(func() {
		if c.Stall == 0 {
			stalled = hiccups(ctx, victim, c)
		} else {
			stalled = p.stall(ctx, before, c)
		}
	})
	result := load(ctx, conn, c)
	cancel()
	beside.Wait()
	return result, errors.Join(stalled, p.setLines(Case{}), p.clear(context.WithoutCancel(ctx)))
}

// begin makes the first call, with which a client connects. Writes begin with a write, for which
// some make more.
func begin(ctx context.Context, conn connection, c Case) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var err error
	if c.Read {
		_, err = conn.get(ctx, firstKey)
	} else {
		err = conn.put(ctx, firstKey, "")
	}
	if err != nil {
		return fmt.Errorf("the first call: %w", err)
	}
	return nil
}

// victim returns the member in use. If it will hang repeatedly, victim first
// makes it a follower, since an election would distort the result.
func (p place) victim(ctx context.Context, conn connection, c Case) (*cluster.Member, error) {
	members := p.cluster.Members()[:c.Endpoints]
	for {
		if err := begin(ctx, conn, c); err != nil {
			return nil, err
		}
		victim := members[0]
		for _, m := range members {
			if m.Endpoint() == conn.active() {
				victim = m
			}
		}
		leader, err := p.cluster.Leader(ctx)
		if err != nil {
			return nil, err
		}
		if leader != victim || c.Hiccup == 0 {
			return victim, nil
		}
		if err := p.follow(ctx, victim); err != nil {
			return nil, err
		}
		if err := sleep(ctx, time.Second); err != nil { // the client may move, too
			return nil, err
		}
	}
}

// hiccups makes the victim hang repeatedly, until ctx ends at the latest.
func hiccups(ctx context.Context, victim *cluster.Member, c Case) error {
	if c.Hiccup == 0 {
		return nil
	}
	for sleep(ctx, hiccupPeriod-c.Hiccup) == nil {
		if err := hang(ctx, victim, c.Hiccup); err != nil {
			return err
		}
	}
	return nil
}

func hang(ctx context.Context, m *cluster.Member, d time.Duration) error {
	if err := m.Pause(); err != nil {
		return err
	}
	_ = sleep(ctx, d)
	return m.Continue()
}

// stall makes a member hang when half of the transfer is done, until ctx ends at
// the latest. It chooses the member that has transferred the most bytes, so that
// a client that spreads its calls is affected as well.
func (p place) stall(ctx context.Context, before []int64, c Case) error {
	if err := sleep(ctx, c.wire()/2); err != nil {
		return nil //nolint:nilerr // the transfer has ended before
	}
	members := p.cluster.Members()
	victim, most := members[0], int64(-1)
	for i, passed := range p.passed(c) {
		if n := passed - before[i]; n > most {
			victim, most = members[i], n
		}
	}
	// A put that is still arriving, or a range that is being answered, does not
	// need the leader. An election would distort the result.
	if err := p.follow(ctx, victim); err != nil {
		return err
	}
	if c.Stall == forGood {
		return hang(ctx, victim, time.Hour)
	}
	return hang(ctx, victim, c.Stall)
}

// passed returns, for each member, how many bytes have passed in the direction of
// the case's data.
func (p place) passed(c Case) []int64 {
	var all []int64
	for _, m := range p.cluster.Members() {
		stats := m.ClientLink().Stats()
		if c.Read {
			all = append(all, stats.FromTarget)
		} else {
			all = append(all, stats.ToTarget)
		}
	}
	return all
}

// follow makes the member a follower if it is the leader.
func (p place) follow(ctx context.Context, m *cluster.Member) error {
	leader, err := p.cluster.Leader(ctx)
	if err != nil || leader != m {
		return err
	}
	to := p.cluster.Members()[0]
	if to == m {
		to = p.cluster.Members()[1]
	}
	if _, err := pb.NewMaintenanceClient(leader.Control()).MoveLeader(ctx, &pb.MoveLeaderRequest{TargetID: to.ID()}); err != nil {
		return fmt.Errorf("moving the leadership: %w", err)
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// load makes the calls.
func load(ctx context.Context, conn connection, c Case) Result {
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		result Result
	)
	value := strings.Repeat("v", c.Size)
	start := time.Now()
	for i := range c.Calls {
		wg.Go(func() {
			for again := true; again; again = time.Since(start) < c.For && ctx.Err() == nil {
				call, cancel := context.WithTimeout(ctx, c.deadline())
				begin := time.Now()
				var err error
				if c.Read {
					var n int
					if n, err = conn.get(call, rangeKey(c.Size)); err == nil && n != c.Size {
						err = fmt.Errorf("the range has %d bytes, want %d", n, c.Size)
					}
				} else {
					err = conn.put(call, putKey+strconv.Itoa(i), value)
				}
				took := time.Since(begin)
				cancel()
				mu.Lock()
				result.Longest = max(result.Longest, took.Seconds())
				if err == nil {
					result.OK++
				} else {
					result.Failed++
					result.Error = err.Error()
					if !c.Read && conn.ambiguous(err) {
						result.Ambiguous++
					}
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	result.Seconds = time.Since(start).Seconds()
	return result
}

// starvedEnv has the task of a process that is a client without CPU.
const starvedEnv = "SLOWBENCH_STARVED"

type starvedWork struct {
	Client    string
	Endpoints []string
	Case      Case
}

// starve makes the calls in another process, which has one processor and a
// hundred goroutines that are always busy.
func starve(ctx context.Context, name string, endpoints []string, c Case) (Result, error) {
	var result Result
	work, err := json.Marshal(starvedWork{name, endpoints, c})
	if err != nil {
		return result, err
	}
	self, err := os.Executable()
	if err != nil {
		return result, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", starvedEnv+"="+string(work))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return result, fmt.Errorf("the client without CPU: %w", err)
	}
	return result, json.Unmarshal(out, &result)
}

// busy is the number of goroutines that are always busy in a client without CPU.
const busy = 100

// Main turns this process into a client without CPU if it was started as one; it
// then does not return. Call it at the beginning of main, after cluster.Main.
func Main() {
	text := os.Getenv(starvedEnv)
	if text == "" {
		return
	}
	if err := runStarved(text); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "slowbench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func runStarved(text string) error {
	var work starvedWork
	if err := json.Unmarshal([]byte(text), &work); err != nil {
		return err
	}
	conn, err := dial(work.Client, work.Endpoints, nil)
	if err != nil {
		return err
	}
	if err := begin(context.Background(), conn, work.Case); err != nil {
		return err
	}
	for range busy {
		go func() {
			for n := 0; ; n++ { //nolint:revive // being busy is all that it does
			}
		}()
	}
	result := load(context.Background(), conn, work.Case)
	return json.NewEncoder(os.Stdout).Encode(result)
}

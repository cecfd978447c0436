package integration_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
)

// TestOneLoginForAll makes a thousand calls with an expired token, and counts the
// logins on the members.
func TestOneLoginForAll(t *testing.T) {
	const life = time.Second // of a token that is not used
	c := startCluster(t, cluster.Config{AuthTokenTTL: life})
	withAuth(t, c)
	cl := dial(t, client.Config{Endpoints: c.Endpoints(), Username: "root", Password: "secret"})
	if _, err := cl.Put(timeout(t), "k", "v"); err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		expire(t, c)
		before := logins(t, c)
		var wg sync.WaitGroup
		start := make(chan struct{})
		for i := range 1000 {
			wg.Go(func() {
				<-start
				if _, err := cl.Put(timeout(t), "k"+strconv.Itoa(i%10), "v"); err != nil {
					t.Error(err)
				}
			})
		}
		began := time.Now()
		close(start)
		wg.Wait()
		// Where the callers take longer than a token lives, the new one may expire, too.
		most := 1 + int(time.Since(began)/life)
		if n := logins(t, c) - before; n < 1 || n > most {
			t.Errorf("round %d: the members counted %d logins for 1,000 callers with an expired token, want 1 to %d", round, n, most)
		}
	}
}

// expire returns when every token that was not used since the call has expired on
// every member.
func expire(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	tokens := make(map[*cluster.Member]string)
	for _, m := range c.Members() {
		resp, err := pb.NewAuthClient(m.Control()).Authenticate(timeout(t), &pb.AuthenticateRequest{Name: "root", Password: "secret"})
		if err != nil {
			t.Fatal(err)
		}
		tokens[m] = resp.Token
	}
	alive := c.Members()
	for len(alive) > 0 {
		// Every use of a token prolongs its life. It must be left alone for
		// longer than its life plus the interval at which a server checks its
		// tokens, which are a second each.
		time.Sleep(2500 * time.Millisecond)
		alive = slices.DeleteFunc(alive, func(m *cluster.Member) bool {
			ctx := metadata.AppendToOutgoingContext(timeout(t), rpctypes.TokenFieldNameGRPC, tokens[m])
			_, err := pb.NewKVClient(m.Control()).Range(ctx, &pb.RangeRequest{Key: []byte("k"), Serializable: true})
			gone := errors.Is(rpctypes.Error(err), rpctypes.ErrInvalidAuthToken)
			if err != nil && !gone {
				t.Fatal(err)
			}
			return gone
		})
	}
}

// logins returns how many logins the members have counted.
func logins(t *testing.T, c *cluster.Cluster) int {
	t.Helper()
	total := 0
	for _, m := range c.Members() {
		req, err := http.NewRequestWithContext(timeout(t), http.MethodGet, m.ClientURL()+"/metrics", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		lines := bufio.NewScanner(resp.Body)
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), "} ")
			if strings.HasPrefix(name, "grpc_server_started_total{") && strings.Contains(name, `grpc_method="Authenticate"`) {
				n, err := strconv.Atoi(value)
				if err != nil {
					t.Fatal(err)
				}
				total += n
				found = true
			}
		}
		if err := errors.Join(lines.Err(), resp.Body.Close()); err != nil {
			t.Fatal(err)
		}
		if !found {
			t.Fatalf("%s does not count logins", m.Name())
		}
	}
	http.DefaultClient.CloseIdleConnections()
	return total
}

// dials counts a client's attempts to connect.
type dials struct {
	mu sync.Mutex
	at map[string][]time.Time // by address
}

func (d *dials) option() grpc.DialOption {
	return grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
		d.mu.Lock()
		d.at[address] = append(d.at[address], time.Now())
		d.mu.Unlock()
		var dialer net.Dialer
		return dialer.DialContext(ctx, "tcp", address)
	})
}

// between returns the attempts at an address in a period.
func (d *dials) between(address string, from, to time.Time) []time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(d.at[address]), func(at time.Time) bool { return at.Before(from) || at.After(to) })
}

// busiest returns the maximum number of attempts within one second.
func busiest(attempts []time.Time) int {
	most, first := 0, 0
	for i, at := range attempts {
		for at.Sub(attempts[first]) >= time.Second {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

const (
	// outage is how long all members are gone.
	outage = 5 * time.Second
	// mostDials is the maximum number of attempts per second at an endpoint.
	mostDials = 5
	// lateRecovery is how long, on a busy machine, the first response may take,
	// for which a client otherwise has one second.
	lateRecovery = 5 * time.Second
)

// TestOutage kills all members and brings a majority back. Meanwhile the client
// keeps trying without flooding the endpoints, and it recovers soon after the
// members.
func TestOutage(t *testing.T) {
	c := startCluster(t, cluster.Config{})
	count := &dials{at: make(map[string][]time.Time)}
	cl := dial(t, client.Config{Endpoints: c.Endpoints(), DialOptions: []grpc.DialOption{count.option()}})

	// Each worker reports its responses. Reads wait through the whole outage.
	ctx, stop := context.WithCancel(t.Context())
	var workers sync.WaitGroup
	defer workers.Wait()
	defer stop()
	var restarting atomic.Bool
	first := make(chan time.Time, 1)
	answered := func() {
		if restarting.Load() {
			select {
			case first <- time.Now():
			default:
			}
		}
	}
	for i := range 4 {
		workers.Go(func() {
			for pace(ctx) {
				call, cancel := context.WithTimeout(ctx, writeTimeout)
				if _, err := cl.Put(call, "put/"+strconv.Itoa(i), "v"); err == nil {
					answered()
				}
				cancel()
			}
		})
		workers.Go(func() {
			for pace(ctx) {
				call, cancel := context.WithTimeout(ctx, limit)
				_, err := cl.Get(call, "put/"+strconv.Itoa(i))
				cancel()
				switch {
				case err == nil:
					answered()
				case ctx.Err() == nil:
					t.Errorf("a read that had the time for it did not wait for the members: %v", err)
				}
			}
		})
	}

	endpoints := c.Endpoints()
	if err := c.Kill(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	time.Sleep(outage)
	ended := time.Now()
	for _, e := range endpoints {
		attempts := count.between(e, began, ended)
		t.Logf("%s was dialed %d times in %v, at most %d times in a second", e, len(attempts), outage, busiest(attempts))
		if n := busiest(attempts); n > mostDials {
			t.Errorf("%s was dialed %d times in a second, want %d at most", e, n, mostDials)
		}
		if late := count.between(e, ended.Add(-outage/2), ended); len(late) == 0 {
			t.Errorf("%s was not dialed in the last %v of the outage: it was given up", e, outage/2)
		}
	}

	restarting.Store(true)
	healthy, err := returned(timeout(t), c.Members()[:2])
	if err != nil {
		t.Fatal(err)
	}
	select {
	case at := <-first:
		took := at.Sub(healthy)
		t.Logf("the first answer came %v after the first member was seen to be healthy", took.Round(time.Millisecond))
		if took > lateRecovery {
			t.Errorf("the first answer came %v after the members, want a second, and %v on the busiest machine", took, lateRecovery)
		}
	case <-timeout(t).Done():
		t.Fatalf("no answer within %v of the members' return", limit)
	}
	for _, e := range endpoints {
		if n := busiest(count.between(e, ended, time.Now())); n > mostDials {
			t.Errorf("%s was dialed %d times in a second of the recovery, want %d at most", e, n, mostDials)
		}
	}
}

// returned restarts members, and returns when the first of them has answered a
// linearizable read that does not use the client.
func returned(ctx context.Context, members []*cluster.Member) (time.Time, error) {
	type result struct {
		at  time.Time
		err error
	}
	results := make(chan result, len(members))
	for _, m := range members {
		go func() {
			// The first cannot become healthy before the others run, so do not
			// wait for it.
			err := m.Restart(ctx)
			if err == nil {
				err = m.WaitHealthy(ctx)
			}
			if err != nil {
				err = fmt.Errorf("%s: %w", m.Name(), err)
			}
			results <- result{time.Now(), err}
		}()
	}
	var earliest time.Time
	var errs []error
	for range members {
		r := <-results
		errs = append(errs, r.err)
		if earliest.IsZero() || r.at.Before(earliest) {
			earliest = r.at
		}
	}
	return earliest, errors.Join(errs...)
}

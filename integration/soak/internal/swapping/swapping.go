package swapping

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/concurrency/cas"
	"github.com/getcd/getcd/integration/soak/internal/hostile"
	"github.com/getcd/getcd/kv"
)

// Config says how to check.
type Config struct {
	Endpoints []string
	Seed      uint64
	// Stop ends the work. The cluster must be healthy then.
	Stop <-chan struct{}
	// Mangle, if not nil, breaks each transaction before it is sent, to show that the check
	// notices.
	Mangle func(*pb.TxnRequest)
}

const (
	clients  = 8
	patience = time.Minute            // of a change that has time
	hurry    = 300 * time.Millisecond // of one in 16
	pace     = 10 * time.Millisecond

	counter = "swapping/counter"
	flag    = "swapping/flag"
	end     = "swapping/end"
	markers = "swapping-markers/"
)

// Report is what was found.
type Report struct {
	Increments, Changes, Refused, Doubtful, Failed int
	Lost, Copies                                   int64
	Violations                                     []string
}

// String implements fmt.Stringer.
func (r Report) String() string {
	return fmt.Sprintf("cas: %d increments, %d changes, %d refused since another client was first, %d in doubt, %d failed, of those that had little time\n"+
		"  %d answers were lost, %d copies sent later: %d violations\n",
		r.Increments, r.Changes, r.Refused, r.Doubtful, r.Failed, r.Lost, r.Copies, len(r.Violations))
}

// checker is one run.
type checker struct {
	mu     sync.Mutex
	report Report
	told   map[int64]string // by revision: who was told of it
	doubts map[string]int   // by key
}

// Run checks until Stop is closed, or ctx ends.
func Run(ctx context.Context, cfg Config) (_ Report, err error) {
	c := &checker{told: make(map[int64]string), doubts: make(map[string]int)}
	outside, err := client.New(client.Config{Endpoints: cfg.Endpoints})
	if err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, outside.Close()) }()
	begin, err := outside.Put(client.WithIdempotentWrites(ctx), end, "")
	if err != nil {
		return Report{}, err
	}
	working, enough := context.WithCancel(ctx)
	defer enough()
	var wg sync.WaitGroup
	var all []*hostile.Conn
	for i := range clients {
		h := hostile.New(false, cfg.Mangle)
		cl, err := client.New(client.Config{Endpoints: cfg.Endpoints, Middleware: []client.Middleware{h.Over}})
		if err != nil {
			return Report{}, err
		}
		all = append(all, h)
		defer func() {
			h.Close()
			_ = cl.Close() // always nil
		}()
		store, err := cas.New(cl, fmt.Sprintf("%s%d/", markers, i))
		if err != nil {
			return Report{}, err
		}
		w := &worker{c, i, cl, store, rand.New(rand.NewPCG(cfg.Seed, uint64(i)))}
		wg.Go(func() {
			for working.Err() == nil {
				w.step(ctx)
				select {
				case <-working.Done():
				case <-time.After(pace):
				}
			}
		})
	}
	select {
	case <-cfg.Stop:
	case <-ctx.Done():
	}
	enough()
	wg.Wait()
	if ctx.Err() != nil {
		return Report{}, ctx.Err()
	}
	for _, h := range all {
		lost, copies := h.Counts()
		c.report.Lost += lost
		c.report.Copies += copies
	}
	err = c.judge(ctx, outside, begin.Header.Revision)
	return c.report, err
}

// worker is one client.
type worker struct {
	*checker
	i     int
	reads kv.KV
	store *cas.Store
	*rand.Rand
}

// step makes one change.
func (w *worker) step(ctx context.Context) {
	limit, hurried := patience, w.IntN(16) == 0
	if hurried {
		limit = time.Duration(w.Int64N(int64(hurry)))
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	key := counter
	var r cas.Result
	var err error
	value := strconv.Itoa(w.IntN(2)) // as others write it
	switch w.IntN(4) {
	case 0:
		r, err = w.store.Modify(ctx, counter, func(now *mvccpb.KeyValue) (string, error) {
			n, _ := strconv.Atoi(string(now.GetValue()))
			return strconv.Itoa(n + 1), nil
		})
	case 1:
		key = flag
		r, err = w.store.Create(ctx, flag, value)
	default:
		key = flag
		resp, failed := w.reads.Get(ctx, flag)
		if failed != nil || len(resp.Kvs) == 0 {
			return
		}
		if rev := resp.Kvs[0].ModRevision; w.IntN(2) == 0 {
			r, err = w.store.Delete(ctx, flag, rev)
		} else {
			r, err = w.store.Replace(ctx, flag, rev, value)
		}
	}
	w.note(w.i, key, r, err, hurried)
}

func (c *checker) wrong(format string, args ...any) {
	c.report.Violations = append(c.report.Violations, fmt.Sprintf(format, args...))
}

// note takes down what a client was told.
func (c *checker) note(i int, key string, r cas.Result, err error, hurried bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err != nil && client.IsAmbiguous(err):
		c.report.Doubtful++
		c.doubts[key]++
	case err != nil:
		c.report.Failed++
	case !r.Done:
		c.report.Refused++
	case r.Revision == 0: // it has happened, and no more is known
		c.doubts[key]++
	case c.told[r.Revision] != "":
		c.wrong("client %d and %s were both told of revision %d", i, c.told[r.Revision], r.Revision)
	case key == counter:
		c.report.Increments++
	default:
		c.report.Changes++
	}
	if err != nil && !hurried {
		c.wrong("client %d has failed though it had time: %v", i, err)
	}
	if err == nil && r.Done && r.Revision != 0 {
		c.told[r.Revision] = fmt.Sprintf("client %d", i)
	}
}

// judge holds what the clients were told against the history.
func (c *checker) judge(ctx context.Context, outside *client.Client, from int64) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	last, err := outside.Put(client.WithIdempotentWrites(ctx), end, "")
	if err != nil {
		return err
	}
	unknown := make(map[string]int)
	counted := 0
	for e, err := range outside.Events(ctx, "swapping/", kv.WithPrefix(), kv.WithRev(from+1)) {
		if err != nil {
			return fmt.Errorf("swapping: reading the history: %w", err)
		}
		key, rev := string(e.Kv.Key), e.Kv.ModRevision
		if rev >= last.Header.Revision {
			break
		}
		if key == end {
			continue
		}
		if c.told[rev] == "" {
			unknown[key]++
		}
		delete(c.told, rev)
		if key == counter {
			if counted++; string(e.Kv.Value) != strconv.Itoa(counted) {
				c.wrong("at revision %d the counter is %s after %d increments: an update is lost", rev, e.Kv.Value, counted)
			}
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for rev, who := range c.told {
		c.wrong("%s was told of revision %d, which is not in the history", who, rev)
	}
	for key, n := range unknown {
		if n > c.doubts[key] {
			c.wrong("%s was changed %d times by nobody who says so, and only %d changes are in doubt", key, n, c.doubts[key])
		}
	}
	return nil
}

package check

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Putter puts a pair.
type Putter func(ctx context.Context, key, value string) error

// Load is what to send.
type Load struct {
	// Clients is how many puts may be under way at once.
	Clients int
	// Rate is how many puts to send in a second; 0 means as many as possible.
	Rate int
	// Puts is how many puts to send; 0 means as many as there is time for.
	Puts int
	// Duration is for how long to send; 0 means for as long as it takes.
	Duration time.Duration
	// KeySize and ValueSize are in bytes. The key's size is without the prefix, and
	// is never below 10.
	KeySize, ValueSize int
}

// PerfLoad is the load of check perf that has a name: s, m, l or xl, or
// small, medium, large or xLarge.
func PerfLoad(name string) (Load, bool) {
	l := Load{Duration: time.Minute, KeySize: 256, ValueSize: 1024}
	switch name {
	case "s", "small":
		l.Clients, l.Rate = 50, 150
	case "m", "medium":
		l.Clients, l.Rate = 200, 1000
	case "l", "large":
		l.Clients, l.Rate = 500, 8000
	case "xl", "xLarge":
		l.Clients, l.Rate = 1000, 15000
	default:
		return Load{}, false
	}
	return l, true
}

// ScaleLoad is the load of check datascale that has a name, as for PerfLoad.
func ScaleLoad(name string) (Load, bool) {
	l := Load{KeySize: 512, ValueSize: 512}
	switch name {
	case "s", "small":
		l.Clients, l.Puts = 50, 10_000
	case "m", "medium":
		l.Clients, l.Puts = 200, 100_000
	case "l", "large":
		l.Clients, l.Puts = 500, 1_000_000
	case "xl", "xLarge":
		l.Clients, l.Puts = 1000, 3_000_000
	default:
		return Load{}, false
	}
	return l, true
}

// patience is how long after the last put was sent answers may still come.
const patience = 10 * time.Second

// Run sends the load, each client by one of puts, to random keys that begin with
// prefix, and returns when all puts were answered. The end of ctx ends the sending,
// as Duration does; what is under way then has 10 s more. answered, unless nil, is
// called after each put, by several goroutines at once.
func (l Load) Run(ctx context.Context, puts []Putter, prefix string, answered func()) Stats {
	calls, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	if l.Duration > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, l.Duration)
		defer stop()
	}
	start := time.Now()
	keys := make(chan string, len(puts))
	results := make([]Stats, len(puts))
	value := string(make([]byte, l.ValueSize))
	var clients sync.WaitGroup
	for i, put := range puts {
		clients.Go(func() {
			for key := range keys {
				sent := time.Now()
				err := put(calls, key, value)
				results[i].add(time.Since(sent), err)
				if answered != nil {
					answered()
				}
			}
		})
	}
	l.send(ctx, keys, prefix)
	close(keys)
	last := time.AfterFunc(patience, cancel)
	defer last.Stop()
	clients.Wait()
	return total(results, time.Since(start))
}

// send sends a key for each put, until ctx ends or there are enough of them.
func (l Load) send(ctx context.Context, keys chan<- string, prefix string) {
	pace := rate.NewLimiter(rate.Inf, 1)
	if l.Rate > 0 {
		pace.SetLimit(rate.Limit(l.Rate))
	}
	key := make([]byte, max(l.KeySize, binary.MaxVarintLen64))
	for n := 0; l.Puts == 0 || n < l.Puts; n++ {
		if pace.Wait(ctx) != nil {
			return
		}
		binary.PutVarint(key, rand.Int64())
		select {
		case keys <- prefix + string(key):
		case <-ctx.Done():
			return
		}
	}
}

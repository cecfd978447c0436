package check

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Putter puts one key-value pair.
type Putter func(ctx context.Context, key, value string) error

// Load says what to send.
type Load struct {
	// Clients is how many puts may be in progress at once.
	Clients int
	// Rate is how many puts to send per second. 0 means as many as possible.
	Rate int
	// Puts is how many puts to send. 0 means as many as possible within Duration.
	Puts int
	// Duration is how long to send. 0 means as long as it takes.
	Duration time.Duration
	// KeySize and ValueSize are in bytes. KeySize does not include the prefix and
	// is at least 10.
	KeySize, ValueSize int
}

// PerfLoad returns the named load of check perf. The name is s, m, l or xl, or
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

// ScaleLoad returns the named load of check datascale. The names are those of
// PerfLoad.
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

// patience is how long Run waits for responses after the last put was sent.
const patience = 10 * time.Second

// Run sends the load and returns when all puts were answered. Each client uses
// one of puts, and random keys that begin with prefix. The end of ctx stops the
// sending, as Duration does; puts in progress then have 10 s more. If answered is
// not nil, it is called after each put, by several goroutines at once.
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

// send sends a key for each put, until ctx ends or all keys are sent.
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

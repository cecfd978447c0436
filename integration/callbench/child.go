package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/getcd/getcd/integration/internal/measure"
)

// task is what one process measures.
type task struct {
	Mode, Op  string
	Callers   int
	Endpoints []string
	Members   []int // processes
	For       time.Duration
	Profile   string // a file for a CPU profile, or empty
}

// result is what it has found, for each operation.
type result struct {
	PerSecond float64
	CPU       time.Duration // the client's process
	Members   time.Duration // the members' processes, together
	Allocs    float64
	Bytes     float64
}

const value = "0123456789abcdef0123456789abcdef"

func (t task) measure(ctx context.Context) (_ result, err error) {
	s, err := dialMode(t.Mode, t.Endpoints)
	if err != nil {
		return result{}, err
	}
	defer func() { err = firstOf(err, s.close()) }()
	call := func(key string) error { return s.put(ctx, key, value) }
	if t.Op == "get" {
		for i := range t.Callers { // without a failed read
			if err := s.put(ctx, keyOf(i), value); err != nil {
				return result{}, err
			}
		}
		call = func(key string) error { return s.get(ctx, key) }
	}
	var calls atomic.Int64
	var failed atomic.Pointer[error]
	done := make(chan struct{})
	var callers sync.WaitGroup
	for i := range t.Callers {
		key := keyOf(i)
		callers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := call(key); err != nil {
					failed.CompareAndSwap(nil, &err)
					return
				}
				calls.Add(1)
			}
		})
	}
	time.Sleep(t.For / 3)
	stop, err := profile(t.Profile)
	if err != nil {
		return result{}, err
	}
	before, n, cpu, members, begin := memory(), calls.Load(), measure.CPU(), measure.CPUOf(t.Members), time.Now()
	time.Sleep(t.For)
	took, used, made, after := time.Since(begin), measure.CPU()-cpu, calls.Load()-n, memory()
	members = measure.CPUOf(t.Members) - members
	close(done)
	callers.Wait()
	if err := stop(); err != nil {
		return result{}, err
	}
	if err := failed.Load(); err != nil {
		return result{}, *err
	}
	if made == 0 {
		return result{}, fmt.Errorf("no call was answered within %v", t.For)
	}
	return result{
		PerSecond: float64(made) / took.Seconds(),
		CPU:       used / time.Duration(made),
		Members:   members / time.Duration(made),
		Allocs:    float64(after.Mallocs-before.Mallocs) / float64(made),
		Bytes:     float64(after.TotalAlloc-before.TotalAlloc) / float64(made),
	}, nil
}

// profile writes a CPU profile until stop is called, unless the name is empty.
func profile(name string) (stop func() error, _ error) {
	if name == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, firstOf(err, f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}

func keyOf(caller int) string { return "callbench/" + strconv.Itoa(caller) }

func memory() runtime.MemStats {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

package check

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"time"
)

// Stats are the results of a load.
type Stats struct {
	// Rate is how many puts succeeded per second.
	Rate float64
	// Slowest is the longest time that a successful put took. Stddev is the
	// standard deviation of all those times. Both are NaN if no put succeeded.
	Slowest, Stddev float64 // in seconds
	// Errors counts the errors by their texts.
	Errors map[string]int

	times []float64 // in seconds
}

func (s *Stats) add(took time.Duration, err error) {
	if err == nil {
		s.times = append(s.times, took.Seconds())
		return
	}
	if s.Errors == nil {
		s.Errors = make(map[string]int)
	}
	s.Errors[err.Error()]++
}

// total combines the stats of all clients.
func total(all []Stats, took time.Duration) Stats {
	sum := Stats{Errors: make(map[string]int)}
	for _, s := range all {
		sum.times = append(sum.times, s.times...)
		for text, n := range s.Errors {
			sum.Errors[text] += n
		}
	}
	n := float64(len(sum.times))
	sum.Rate = n / took.Seconds()
	var mean, squares float64
	for _, t := range sum.times {
		mean += t / n
		sum.Slowest = max(sum.Slowest, t)
	}
	for _, t := range sum.times {
		squares += (t - mean) * (t - mean)
	}
	sum.Stddev = math.Sqrt(squares / n)
	sum.times = nil
	return sum
}

// The requirements of check perf: nine tenths of the load's rate, and times in
// seconds.
const (
	leastRate   = 0.9
	mostSlowest = 0.5
	mostStddev  = 0.1
)

// Perf writes the results, in etcdctl's words, for a cluster that should accept
// want puts per second. It reports whether the cluster passes.
func (s *Stats) Perf(w io.Writer, want int) (ok bool, err error) {
	text, ok := s.failures()
	say := func(good bool, pass, fail string) {
		if good {
			text += pass
		} else {
			text += fail
			ok = false
		}
	}
	rate := int(s.Rate) + 1
	say(s.Rate > leastRate*float64(want),
		fmt.Sprintf("PASS: Throughput is %d writes/s\n", rate),
		fmt.Sprintf("FAIL: Throughput too low: %d writes/s\n", rate))
	say(s.Slowest <= mostSlowest,
		fmt.Sprintf("PASS: Slowest request took %fs\n", s.Slowest),
		fmt.Sprintf("Slowest request took too long: %fs\n", s.Slowest))
	say(!(s.Stddev > mostStddev), // NaN means that no put succeeded, which has already failed
		fmt.Sprintf("PASS: Stddev is %fs\n", s.Stddev),
		fmt.Sprintf("Stddev too high: %fs\n", s.Stddev))
	if ok {
		text += "PASS\n"
	} else {
		text += "FAIL\n"
	}
	_, err = io.WriteString(w, text)
	return ok, err
}

// Scale writes the results and the growth of the server's memory, in bytes, in
// etcdctl's words. It reports whether every put succeeded.
func (s *Stats) Scale(w io.Writer, grown float64) (ok bool, err error) {
	text, ok := s.failures()
	if ok {
		text = fmt.Sprintf("PASS: Approximate system memory used : %.2f MB.\n", grown/(1<<20))
	}
	_, err = io.WriteString(w, text)
	return ok, err
}

// failures lists the errors.
func (s *Stats) failures() (text string, none bool) {
	if len(s.Errors) == 0 {
		return "", true
	}
	text = "FAIL: too many errors\n"
	for _, e := range slices.Sorted(maps.Keys(s.Errors)) {
		text += fmt.Sprintf("FAIL: ERROR(%s) -> %d\n", e, s.Errors[e])
	}
	return text, false
}

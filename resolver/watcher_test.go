package resolver_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	grpcresolver "google.golang.org/grpc/resolver"

	"github.com/getcd/getcd/resolver"
)

var errBoom = errors.New("boom")

func found(ttl time.Duration, hosts ...string) resolver.Result {
	res := resolver.Result{TTL: ttl}
	for _, h := range hosts {
		res.Addresses = append(res.Addresses, tcp(h, 2379))
	}
	return res
}

// runs checks the times at which a source was resolved.
func runs(t *testing.T, s *fakeSource, start time.Time, want ...time.Duration) {
	t.Helper()
	if diff := cmp.Diff(want, s.times(start)); diff != "" {
		t.Errorf("resolutions (-want +got):\n%s", diff)
	}
}

func TestTTLIsClamped(t *testing.T) {
	for _, tt := range []struct {
		ttl  time.Duration
		o    resolver.Config
		want time.Duration // between resolutions; 0: none
	}{
		{30 * time.Second, resolver.Config{}, 30 * time.Second},
		{time.Second, resolver.Config{}, 5 * time.Second},
		{time.Hour, resolver.Config{}, 5 * time.Minute},
		{0, resolver.Config{}, 0},
		{-1, resolver.Config{}, 0},
		{time.Second, resolver.Config{Options: resolver.Options{MinTTL: 2 * time.Second}}, 2 * time.Second},
		{time.Minute, resolver.Config{Options: resolver.Options{MaxTTL: 2 * time.Second}}, 2 * time.Second},
		{time.Hour, resolver.Config{Options: resolver.Options{MinTTL: 10 * time.Minute}}, 10 * time.Minute},
		{1, resolver.Config{Options: resolver.Options{MinTTL: time.Millisecond}}, time.Second}, // the minimum interval applies
	} {
		t.Run(fmt.Sprint(tt.ttl, tt.o.MinTTL, tt.o.MaxTTL), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				src := &fakeSource{result: found(tt.ttl, "a")}
				cc := newClientConn()
				w := build(t, newResolver(t, tt.o, src), cc)
				defer w.Close()
				if tt.want == 0 {
					time.Sleep(24 * time.Hour)
					runs(t, src, start, 0)
				} else {
					time.Sleep(2*tt.want + tt.want/2)
					runs(t, src, start, 0, tt.want, 2*tt.want)
				}
				if states, _ := cc.counts(); states != 1 {
					t.Errorf("%d states were reported, want 1: nothing has changed", states)
				}
			})
		})
	}
}

func TestResolveNowCoalescesAndKeepsTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		release := make(chan struct{})
		src := &fakeSource{resolve: func(ctx context.Context) (resolver.Result, error) {
			select {
			case <-release:
			case <-ctx.Done():
			}
			return found(0, "a"), nil
		}}
		w := build(t, newResolver(t, resolver.Config{}, src), newClientConn())
		defer w.Close()

		// Requests during a resolution cause one more.
		for range 100 {
			w.ResolveNow(grpcresolver.ResolveNowOptions{})
			synctest.Wait()
		}
		time.Sleep(300 * time.Millisecond)
		close(release)
		time.Sleep(time.Minute)
		runs(t, src, start, 0, 1300*time.Millisecond)

		// Long after the last resolution, a request is served at once. The next
		// requests are served together, after the interval.
		for range 100 {
			w.ResolveNow(grpcresolver.ResolveNowOptions{})
			synctest.Wait()
		}
		time.Sleep(time.Minute)
		at := time.Minute + 300*time.Millisecond
		runs(t, src, start, 0, 1300*time.Millisecond, at, at+time.Second)
	})
}

func TestFailuresBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		src := &fakeSource{err: errBoom}
		r := newResolver(t, resolver.Config{}, src)
		cc := newClientConn()
		w := build(t, r, cc)
		defer w.Close()
		time.Sleep(time.Minute)
		times := src.times(start)
		if len(times) < 14 {
			t.Fatalf("%d resolutions in a minute of failure, want at least 14", len(times))
		}
		for i := 1; i < len(times); i++ {
			pause := times[i] - times[i-1]
			want := min(100*time.Millisecond<<min(i-1, 6), 5*time.Second)
			if low, high := max(want*8/10, 100*time.Millisecond), min(want*12/10, 5*time.Second); pause < low || pause > high {
				t.Errorf("pause %d is %v, want %v to %v", i, pause, low, high)
			}
		}
		if err := cc.lastError(); !errors.Is(err, errBoom) || !strings.Contains(err.Error(), "fake:source0") {
			t.Errorf("reported %v, want boom, named after the endpoint", err)
		}

		// After a success the pauses start over.
		src.set(found(time.Minute, "a"), nil)
		time.Sleep(5 * time.Second)
		if got := cc.dials(); got != "[a:2379]" {
			t.Fatalf("addresses %v after the recovery, want a", got)
		}
		if errs := r.Errors(); len(errs) != 0 {
			t.Errorf("Errors() = %v after the recovery, want none", errs)
		}
		n := len(src.times(start))
		src.set(resolver.Result{}, errBoom)
		time.Sleep(time.Minute + time.Second)
		times = src.times(start)[n:]
		if len(times) < 3 || times[1]-times[0] > 120*time.Millisecond {
			t.Errorf("resolutions after the TTL at %v, want the first pause to be 100 ms again", times)
		}
		if got := cc.dials(); got != "[a:2379]" {
			t.Errorf("addresses %v after a failure, want the last good ones", got)
		}
		if errs := r.Errors(); len(errs) != 1 || !errors.Is(errs[0], errBoom) {
			t.Errorf("Errors() = %v, want boom", errs)
		}
	})
}

func TestResolveNowHastensARetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &fakeSource{err: errBoom}
		w := build(t, newResolver(t, resolver.Config{}, src), newClientConn())
		defer w.Close()
		time.Sleep(time.Minute) // the pauses have reached their maximum
		start := time.Now()
		n := len(src.times(start))
		for range 300 {
			w.ResolveNow(grpcresolver.ResolveNowOptions{})
			time.Sleep(100 * time.Millisecond)
		}
		got := len(src.times(start)) - n
		if got < 25 || got > 31 {
			t.Errorf("%d resolutions in 30 s of requests, want about one a second", got)
		}
	})
}

func TestEmptyAnswerKeepsTheAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &fakeSource{result: found(10*time.Second, "a", "b")}
		r := newResolver(t, resolver.Config{Options: resolver.Options{KeepOrder: true}}, src)
		cc := newClientConn()
		w := build(t, r, cc)
		defer w.Close()
		synctest.Wait()
		for _, res := range []resolver.Result{
			{},
			{TTL: time.Second},
			{Addresses: []resolver.Address{{Network: "tcp", Host: "x"}}},
			{Addresses: []resolver.Address{{Network: "udp", Host: "x", Port: 1}}},
			{Addresses: []resolver.Address{{}}},
			{Addresses: []resolver.Address{{Network: "unix"}}},
			{Addresses: []resolver.Address{{Network: "unix", Host: "x", Port: 1}}},
			{Addresses: []resolver.Address{tcp("a", 1), overTLS(tcp("b", 1))}},
		} {
			src.set(res, nil)
			time.Sleep(time.Minute)
			if got := cc.dials(); got != "[a:2379 b:2379]" {
				t.Errorf("after %+v: addresses %v, want a and b", res, got)
			}
			if errs := r.Errors(); len(errs) != 1 || !strings.Contains(errs[0].Error(), "fake:source0") {
				t.Errorf("after %+v: Errors() = %v, want one", res, errs)
			}
		}
		if states, errs := cc.counts(); states != 1 || errs != 0 {
			t.Errorf("%d states and %d errors were reported, want 1 and 0", states, errs)
		}
	})
}

func TestOneFailureLeavesTheOthersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good, bad := &fakeSource{result: found(time.Minute, "a")}, &fakeSource{err: errBoom}
		r := newResolver(t, resolver.Config{Options: resolver.Options{KeepOrder: true}}, bad, good)
		cc := newClientConn()
		w := build(t, r, cc)
		defer w.Close()
		synctest.Wait()
		if got := cc.dials(); got != "[a:2379]" {
			t.Errorf("addresses %v, want those of the endpoint that works", got)
		}
		if _, errs := cc.counts(); errs != 0 {
			t.Errorf("%d errors were reported to gRPC, want 0: there are addresses", errs)
		}
		errs := r.Errors()
		if len(errs) != 1 || !strings.Contains(errs[0].Error(), `"fake:source0": boom`) {
			t.Errorf("Errors() = %v, want the one of source0", errs)
		}
		bad.set(found(time.Minute, "b"), nil)
		time.Sleep(10 * time.Second)
		if got := cc.dials(); got != "[b:2379 a:2379]" {
			t.Errorf("addresses %v after the recovery, want those of both in order", got)
		}
		good.set(found(time.Minute, "c"), nil)
		bad.set(resolver.Result{}, errBoom)
		time.Sleep(2 * time.Minute)
		if got := cc.dials(); got != "[b:2379 c:2379]" {
			t.Errorf("addresses %v, want the last good b and the new c", got)
		}
	})
}

func TestSlowEndpointHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		slow := &fakeSource{resolve: func(ctx context.Context) (resolver.Result, error) {
			select {
			case <-time.After(3 * time.Second):
				return found(time.Minute, "slow"), nil
			case <-ctx.Done():
				return resolver.Result{}, ctx.Err()
			}
		}}
		fast := &fakeSource{result: found(0, "fast")}
		cc := newClientConn()
		w := build(t, newResolver(t, resolver.Config{}, slow, fast), cc)
		defer w.Close()
		cc.await(t)
		if d := time.Since(start); d > 50*time.Millisecond {
			t.Errorf("the fast endpoint was reported after %v, want 50 ms", d)
		}
		time.Sleep(4 * time.Second)
		// The new address does not displace the one in use.
		if got := cc.dials(); got != "[fast:2379 slow:2379]" {
			t.Errorf("addresses %v, want fast, slow", got)
		}
	})
}

func TestAnswersThatComeTogetherAreOneReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sources []resolver.Source
		for i := range 5 {
			sources = append(sources, &fakeSource{resolve: func(context.Context) (resolver.Result, error) {
				time.Sleep(time.Duration(i) * 10 * time.Millisecond)
				return found(0, fmt.Sprint("h", i)), nil
			}})
		}
		cc := newClientConn()
		w := build(t, newResolver(t, resolver.Config{}, sources...), cc)
		defer w.Close()
		time.Sleep(time.Second)
		if states, _ := cc.counts(); states != 1 || len(cc.addresses()) != 5 {
			t.Errorf("%d states, the last with %v, want one with five addresses", states, cc.dials())
		}
	})
}

func TestTimeoutOfAnEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &fakeSource{resolve: func(ctx context.Context) (resolver.Result, error) {
			<-ctx.Done()
			return resolver.Result{}, context.Cause(ctx)
		}}
		r := newResolver(t, resolver.Config{Options: resolver.Options{Timeout: 3 * time.Second}}, src, &fakeSource{result: found(0, "a")})
		start := time.Now()
		w := build(t, r, newClientConn())
		defer w.Close()
		time.Sleep(4 * time.Second)
		errs := r.Errors()
		if len(errs) != 1 || !errors.Is(errs[0], context.DeadlineExceeded) || !strings.Contains(errs[0].Error(), "no answer within 3s") {
			t.Errorf("Errors() = %v, want a timeout of 3s", errs)
		}
		if n := len(src.times(start)); n != 2 {
			t.Errorf("%d resolutions after 4 s, want 2", n)
		}
	})
}

func TestPartialAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		src := &fakeSource{result: found(20*time.Second, "a"), err: errBoom}
		r := newResolver(t, resolver.Config{}, src)
		cc := newClientConn()
		w := build(t, r, cc)
		defer w.Close()
		synctest.Wait()
		if got := cc.dials(); got != "[a:2379]" {
			t.Errorf("addresses %v, want those of the partial answer", got)
		}
		if errs := r.Errors(); len(errs) != 1 || !errors.Is(errs[0], errBoom) {
			t.Errorf("Errors() = %v, want boom", errs)
		}
		// It is retried soon, and then less and less often, up to the TTL.
		time.Sleep(56 * time.Second)
		runs(t, src, start, 0, 5*time.Second, 15*time.Second, 35*time.Second, 55*time.Second)
	})
	for ttl, want := range map[time.Duration]time.Duration{time.Second: 5 * time.Second, 0: 20 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			src := &fakeSource{result: found(ttl, "a"), err: errBoom}
			w := build(t, newResolver(t, resolver.Config{}, src), newClientConn())
			defer w.Close()
			time.Sleep(16 * time.Second)
			times := src.times(start)
			time.Sleep(want)
			if next := src.times(start)[len(times)]; next-times[len(times)-1] != want {
				t.Errorf("TTL %v: resolutions at %v and %v, want the last pause to be %v", ttl, times, next, want)
			}
		})
	}
}

func TestRefusedStateIsReportedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cc := newClientConn()
		cc.refuse = func(n int) error {
			if n < 4 {
				return errBoom
			}
			return nil
		}
		w := build(t, newResolver(t, resolver.Config{}, &fakeSource{result: found(0, "a")}), cc)
		defer w.Close()
		synctest.Wait()
		if states, _ := cc.counts(); states != 1 {
			t.Errorf("%d states at once, want 1", states)
		}
		time.Sleep(time.Hour)
		if states, _ := cc.counts(); states != 4 {
			t.Errorf("%d states, want 4: until one is accepted", states)
		}
	})
}

func TestAddressesAreReportedWhenTheyChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &fakeSource{result: found(10*time.Second, "a", "b", "c")}
		r := newResolver(t, resolver.Config{}, src)
		cc := newClientConn()
		w := build(t, r, cc)
		defer w.Close()
		synctest.Wait()
		before := cc.addresses()

		// The same addresses in another order are not a change.
		src.set(found(10*time.Second, "c", "a", "b"), nil)
		time.Sleep(time.Minute)
		if states, _ := cc.counts(); states != 1 {
			t.Errorf("%d states after another order of the same addresses, want 1", states)
		}

		// One member leaves and another joins: the remaining ones keep their
		// order, and the new one does not come first.
		for range 50 {
			src.set(found(10*time.Second, before[1].Host, "new", before[2].Host), nil)
			time.Sleep(11 * time.Second)
			got := cc.addresses()
			var kept []string
			for _, a := range got {
				if a.Host != "new" {
					kept = append(kept, a.Host)
				}
			}
			want := []string{before[1].Host, before[2].Host}
			if diff := cmp.Diff(want, kept); diff != "" || got[0].Host != want[0] {
				t.Fatalf("addresses %v after %v, want %v in this order and one of them first", got, before, want)
			}
			src.set(found(10*time.Second, before[1].Host, before[2].Host), nil)
			time.Sleep(11 * time.Second)
		}
		if diff := cmp.Diff(cc.addresses(), r.Addresses()); diff != "" {
			t.Errorf("Addresses() differs from what was reported:\n%s", diff)
		}
	})
}

func TestDNSRevealsMixedTLS(t *testing.T) {
	secure := func(ttl time.Duration, host string) resolver.Result {
		return resolver.Result{TTL: ttl, Addresses: []resolver.Address{overTLS(tcp(host, 1))}}
	}
	t.Run("the first holds", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			second := &fakeSource{result: secure(10*time.Second, "b")}
			r := newResolver(t, resolver.Config{}, &fakeSource{result: found(10*time.Second, "a")}, second)
			cc := newClientConn()
			w := build(t, r, cc)
			defer w.Close()
			synctest.Wait()
			if got := cc.dials(); got != "[a:2379]" {
				t.Errorf("addresses %v, want those of the first endpoint", got)
			}
			errs := r.Errors()
			if len(errs) != 1 || !errors.Is(errs[0], resolver.ErrMixedTLS) ||
				!strings.Contains(errs[0].Error(), "fake:source0") || !strings.Contains(errs[0].Error(), "fake:source1") {
				t.Errorf("Errors() = %v, want one that names both endpoints", errs)
			}
			second.set(found(10*time.Second, "b"), nil)
			time.Sleep(11 * time.Second)
			if errs := r.Errors(); len(errs) != 0 || len(cc.addresses()) != 2 {
				t.Errorf("addresses %v, errors %v after the mixture ended, want two and none", cc.dials(), errs)
			}
		})
	})
	t.Run("DNS cannot turn TLS off", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			src := &fakeSource{result: found(10*time.Second, "a")}
			r := newResolver(t, resolver.Config{}, src)
			cc := newClientConn()
			w := build(t, r, cc)
			defer w.Close()
			synctest.Wait()
			if got := cc.dials(); got != "[a:2379]" {
				t.Fatalf("addresses %v, want the plain a", got)
			}
			src.set(secure(10*time.Second, "b"), nil)
			time.Sleep(11 * time.Second)
			if got := cc.dials(); got != "[b:1]" {
				t.Fatalf("addresses %v after the domain turned to TLS, want b", got)
			}
			src.set(found(10*time.Second, "c"), nil)
			time.Sleep(11 * time.Second)
			if got := cc.dials(); got != "[b:1]" {
				t.Errorf("addresses %v after DNS turned to plain, want b", got)
			}
			if errs := r.Errors(); len(errs) != 1 || !errors.Is(errs[0], resolver.ErrMixedTLS) {
				t.Errorf("Errors() = %v, want ErrMixedTLS", errs)
			}
		})
	})
	t.Run("the configuration decides", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newResolver(t, resolver.Config{TLS: true}, &fakeSource{result: found(0, "a")})
			cc := newClientConn()
			w := build(t, r, cc)
			defer w.Close()
			synctest.Wait()
			states, errs := cc.counts()
			if states != 0 || errs != 1 || !errors.Is(cc.lastError(), resolver.ErrMixedTLS) {
				t.Errorf("%d states, %d errors, the last %v, want no state and ErrMixedTLS", states, errs, cc.lastError())
			}
		})
	})
}

func TestDuplicatesAndLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var many []resolver.Address
		for i := range 300 {
			a := tcp(fmt.Sprintf("10.0.%d.%d", i/256, i%256), 1)
			a.Priority = uint16(i / 100)
			many = append(many, a, a)
		}
		better := many[599]
		better.Priority = 0
		var logged bytes.Buffer
		r := newResolver(t, resolver.Config{Logger: slog.New(slog.NewTextHandler(&logged, nil))},
			&fakeSource{result: resolver.Result{Addresses: many, TTL: time.Second}},
			&fakeSource{result: resolver.Result{Addresses: []resolver.Address{better}}})
		cc := newClientConn()
		w := build(t, r, cc)
		time.Sleep(time.Minute)
		w.Close()
		got := cc.addresses()
		if len(got) != 256 {
			t.Fatalf("%d addresses, want 256", len(got))
		}
		seen := map[string]int{}
		for i, a := range got {
			seen[a.Host]++
			if i > 0 && a.Priority < got[i-1].Priority {
				t.Fatalf("priority %d comes after %d", a.Priority, got[i-1].Priority)
			}
		}
		for host, n := range seen {
			if n > 1 {
				t.Errorf("%s is listed %d times", host, n)
			}
		}
		if seen[better.Host] != 1 {
			t.Errorf("%s is missing, although one endpoint gives it priority 0", better.Host)
		}
		if n := strings.Count(logged.String(), "too many addresses"); n != 1 {
			t.Errorf("the limit was logged %d times, want once:\n%s", n, logged.String())
		}
	})
}

func TestLogOnlyChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		src := &fakeSource{err: errBoom}
		w := build(t, newResolver(t, resolver.Config{Logger: slog.New(slog.NewTextHandler(&logged, nil))}, src), newClientConn())
		time.Sleep(time.Minute)
		src.set(found(time.Second, "a"), nil)
		time.Sleep(time.Minute)
		w.Close()
		for text, want := range map[string]int{
			"endpoint does not resolve": 1, "endpoint resolves again": 1, "addresses changed": 1,
		} {
			if got := strings.Count(logged.String(), text); got != want {
				t.Errorf("%q was logged %d times, want %d:\n%s", text, got, want, logged.String())
			}
		}
	})
}

func TestOneBuildAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &fakeSource{result: found(time.Minute, "a")}
		r := newResolver(t, resolver.Config{}, src)
		cc := newClientConn()
		w := build(t, r, cc)
		if _, err := r.Build(grpcresolver.Target{}, cc, grpcresolver.BuildOptions{}); err == nil {
			t.Error("a second Build succeeded while the first is open")
		}
		synctest.Wait()
		w.Close()
		w.Close()
		w.ResolveNow(grpcresolver.ResolveNowOptions{})

		// gRPC builds again after idle mode; the last good addresses are
		// available at once.
		src.mu.Lock()
		src.resolve = func(ctx context.Context) (resolver.Result, error) {
			<-ctx.Done()
			return resolver.Result{}, ctx.Err()
		}
		src.mu.Unlock()
		cc = newClientConn()
		w = build(t, r, cc)
		synctest.Wait()
		if got := cc.dials(); got != "[a:2379]" {
			t.Errorf("addresses %v after a second Build, want the last good ones", got)
		}
		w.Close() // cancels the hanging resolution and waits for it
	})
}

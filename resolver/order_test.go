package resolver_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/getcd/getcd/resolver"
)

func srvAddr(target, host string, priority, weight uint16) resolver.Address {
	return resolver.Address{Network: "tcp", Host: host, Port: 1, Target: target, Priority: priority, Weight: weight}
}

func hostsOf(addrs []resolver.Address) []string {
	out := []string{}
	for _, a := range addrs {
		out = append(out, a.Host)
	}
	return out
}

// near reports whether count out of n draws is within 5 standard deviations of
// the expected value for probability p.
func near(count, n int, p float64) bool {
	return math.Abs(float64(count)-float64(n)*p) <= 5*math.Sqrt(float64(n)*p*(1-p))+1
}

const draws = 20000

func TestOrderByWeight(t *testing.T) {
	for _, tt := range []struct {
		name    string
		weights []uint16
		first   []float64 // probability of being first
	}{
		{"all zero", []uint16{0, 0, 0, 0}, []float64{0.25, 0.25, 0.25, 0.25}},
		// The random number is from 0 to the sum, inclusive. 0 selects the first
		// in the list, which has weight 0 if any member has.
		{"proportional", []uint16{10, 30, 60}, []float64{10.333 / 101, 30.333 / 101, 60.333 / 101}},
		{"one zero", []uint16{0, 49, 50}, []float64{1. / 100, 49. / 100, 50. / 100}},
		{"two zero", []uint16{0, 0, 9}, []float64{.5 / 10, .5 / 10, 9. / 10}},
		{"largest", []uint16{65535, 65535}, []float64{0.5, 0.5}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var addrs []resolver.Address
			for i, w := range tt.weights {
				addrs = append(addrs, srvAddr(fmt.Sprint("t", i), fmt.Sprint(i), 0, w))
			}
			count := make([]int, len(addrs))
			for range draws {
				got := resolver.Order(addrs, nil, false)
				if len(got) != len(addrs) {
					t.Fatalf("%d addresses of %d", len(got), len(addrs))
				}
				count[slices.Index(addrs, got[0])]++
			}
			for i, c := range count {
				if !near(c, draws, tt.first[i]) {
					t.Errorf("weight %d came first %d times of %d, want about %.0f", tt.weights[i], c, draws, tt.first[i]*draws)
				}
			}
		})
	}
}

func TestOrderBySecondDraw(t *testing.T) {
	// The remaining ones are drawn by weight again.
	addrs := []resolver.Address{srvAddr("a", "a", 0, 1), srvAddr("b", "b", 0, 1000), srvAddr("c", "c", 0, 30), srvAddr("d", "d", 0, 70)}
	var c, n int
	for range draws {
		if got := resolver.Order(addrs, nil, false); got[0].Host == "b" {
			n++
			if got[1].Host == "c" {
				c++
			}
		}
	}
	if !near(c, n, 30.333/102) {
		t.Errorf("weight 30 of 101 came second %d times of %d, want about %.0f", c, n, float64(n)*30.333/102)
	}
}

func TestOrderByPriority(t *testing.T) {
	addrs := []resolver.Address{
		srvAddr("c", "c", 2, 65535), srvAddr("a", "a", 0, 0), srvAddr("b", "b", 1, 10), srvAddr("d", "d", 65535, 1),
	}
	for range 100 {
		got := hostsOf(resolver.Order(addrs, nil, false))
		if diff := cmp.Diff([]string{"a", "b", "c", "d"}, got); diff != "" {
			t.Fatalf("order (-want +got):\n%s", diff)
		}
	}
}

func TestOrderTakesAMemberOnce(t *testing.T) {
	// A member with many addresses has the same chance as one with a single
	// address, and the first address of each member precedes the second of any.
	addrs := []resolver.Address{srvAddr("b", "b1", 0, 1)}
	for i := range 5 {
		addrs = append(addrs, srvAddr("a", fmt.Sprint("a", i), 0, 1))
	}
	first := 0
	for range draws {
		got := hostsOf(resolver.Order(addrs, nil, false))
		if got[0] == "b1" {
			first++
		}
		pair := []string{got[0], got[1]}
		slices.Sort(pair)
		if diff := cmp.Diff([]string{"a0", "b1"}, pair); diff != "" {
			t.Fatalf("the first two (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"a1", "a2", "a3", "a4"}, got[2:]); diff != "" {
			t.Fatalf("the others (-want +got):\n%s", diff)
		}
	}
	if !near(first, draws, 0.5) {
		t.Errorf("the member with one address came first %d times of %d, want half", first, draws)
	}
}

func TestOrderKept(t *testing.T) {
	addrs := []resolver.Address{tcp("c", 1), srvAddr("x", "x", 1, 9), tcp("a", 1), srvAddr("y", "y", 1, 10), tcp("b", 1)}
	for range 20 {
		if diff := cmp.Diff([]string{"c", "a", "b", "x", "y"}, hostsOf(resolver.Order(addrs, nil, true))); diff != "" {
			t.Fatalf("kept order (-want +got):\n%s", diff)
		}
	}
}

func TestOrderOfKnownAddresses(t *testing.T) {
	known := []resolver.Address{tcp("a", 1), tcp("b", 1), tcp("c", 1), srvAddr("p", "p", 1, 1)}
	promoted := srvAddr("p", "p", 0, 1)
	positions := map[int]int{}
	for range draws {
		got := hostsOf(resolver.Order([]resolver.Address{tcp("new", 1), tcp("c", 1), tcp("b", 1), tcp("a", 1)}, known, false))
		at := slices.Index(got, "new")
		positions[at]++
		if diff := cmp.Diff([]string{"a", "b", "c"}, slices.Delete(slices.Clone(got), at, at+1)); diff != "" {
			t.Fatalf("order of the known ones (-want +got):\n%s", diff)
		}
	}
	if positions[0] != 0 {
		t.Errorf("the new address came first %d times, want never", positions[0])
	}
	for i := 1; i < 4; i++ {
		if positions[i] == 0 {
			t.Errorf("the new address was never at %d: %v", i, positions)
		}
	}
	// An address with another priority counts as new there.
	first := 0
	for range 100 {
		if resolver.Order([]resolver.Address{promoted, tcp("b", 1)}, known, false)[0].Host == "p" {
			first++
		}
	}
	if first != 0 {
		t.Errorf("an address whose priority changed displaced one in use %d times", first)
	}
	demoted := srvAddr("a", "a", 1, 1)
	for range 100 {
		if got := resolver.Order([]resolver.Address{demoted, known[3]}, append([]resolver.Address{srvAddr("a", "a", 0, 1)}, known...), false); got[0].Host != "p" {
			t.Fatalf("an address that came down from another priority displaced %v", known[3])
		}
	}
	if got := resolver.Order(nil, known, false); len(got) != 0 {
		t.Errorf("order of nothing = %v", got)
	}
}

func TestStaticListsSpread(t *testing.T) {
	counts := map[string]int{}
	addrs := []resolver.Address{tcp("a", 1), tcp("b", 1), tcp("c", 1)}
	for range draws {
		counts[fmt.Sprint(hostsOf(resolver.Order(addrs, nil, false)))]++
	}
	if len(counts) != 6 {
		t.Fatalf("%d orders of three addresses, want 6", len(counts))
	}
	for o, n := range counts {
		if !near(n, draws, 1./6) {
			t.Errorf("%s came %d times of %d, want a sixth", o, n, draws)
		}
	}
}

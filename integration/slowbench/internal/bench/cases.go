package bench

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Sizes use the units of etcd's limits, and rates those of networks.
const (
	kB = 1000
	mB = 1000 * kB
)

// forGood is a stall that lasts until the end of the measurement.
const forGood = -1

// Case is one row of the table.
type Case struct {
	// Read says that the calls are ranges instead of puts.
	Read bool
	// Size is the size of a value, or of everything that a range returns.
	Size int
	// Calls is the number of concurrent calls.
	Calls int
	// Rate is the bandwidth in bytes per second and direction.
	Rate int
	// Each says that each member has a separate line. Otherwise the line belongs
	// to the client, and all members share it.
	Each bool
	// Endpoints is how many members the client knows.
	Endpoints int
	// Stall is how long the member that transfers the most bytes hangs, in the
	// middle of the transfer.
	Stall time.Duration
	// For is how long small puts continue, in a case that is not a transfer.
	For time.Duration
	// Hiccup is how long the member in use hangs in every hiccupPeriod.
	Hiccup time.Duration
	// Starved says that the client is a process that gets little CPU.
	Starved bool
	// Refused says that the members are stubs that refuse each put as too much.
	Refused bool
	// Quick says that the case is part of the quick run.
	Quick bool
}

const hiccupPeriod = 5 * time.Second

// Name describes the case completely.
func (c Case) Name() string {
	var b strings.Builder
	op := "put"
	if c.Read {
		op = "range"
	}
	switch {
	case c.For > 0:
		fmt.Fprintf(&b, "%ss of %s for %v, %d at once", op, size(c.Size), c.For, c.Calls)
	case c.Calls == 1:
		fmt.Fprintf(&b, "%s 1 of %s", op, size(c.Size))
	default:
		fmt.Fprintf(&b, "%s %d of %s", op, c.Calls, size(c.Size))
	}
	if c.Rate > 0 {
		fmt.Fprintf(&b, ", %s/s", size(c.Rate))
		if c.Each {
			b.WriteString(" each")
		}
	}
	fmt.Fprintf(&b, ", %d endpoint", c.Endpoints)
	if c.Endpoints > 1 {
		b.WriteString("s")
	}
	switch {
	case c.Stall == forGood:
		b.WriteString(", one stalls for good")
	case c.Stall > 0:
		fmt.Fprintf(&b, ", one stalls for %v", c.Stall)
	}
	if c.Hiccup > 0 {
		fmt.Fprintf(&b, ", one hangs %v of every %v", c.Hiccup, hiccupPeriod)
	}
	if c.Starved {
		b.WriteString(", a client with little CPU")
	}
	if c.Refused {
		b.WriteString(", stubs refuse all (too many requests)")
	}
	return b.String()
}

func size(n int) string {
	if n >= mB/10 && n%kB == 0 && (n >= mB || n < mB && n%(mB/10) == 0 && n != mB/10) {
		return fmt.Sprintf("%g MB", float64(n)/mB)
	}
	return fmt.Sprintf("%g kB", float64(n)/kB)
}

// wire returns the minimum time that the line needs for the case.
func (c Case) wire() time.Duration {
	if c.Rate == 0 {
		return 0
	}
	return time.Duration(float64(c.Size) * float64(c.Calls) / float64(c.Rate) * float64(time.Second))
}

// deadline is generous, so that a failure means that the client gave up, and not
// that the limit was short. A put that is always refused may be resent until the
// deadline, so that is shorter there.
func (c Case) deadline() time.Duration {
	if c.Refused {
		return 10 * time.Second
	}
	return time.Minute + 2*c.wire()
}

// timed reports whether the time is judged. If each member has a separate line,
// or one of several members stalls, the times cannot be compared: clientv3
// spreads its calls over all members, while getcd uses one member by design, so
// all of its calls are affected together. If calls continue for a fixed time or
// are always refused, there is nothing to compare. If a member stalls until the
// end, clientv3 waits for it.
func (c Case) timed() bool {
	spread := c.Calls > 1 && c.Endpoints > 1 && (c.Each || c.Stall != 0)
	return c.For == 0 && !c.Refused && c.Stall != forGood && !spread
}

// clients returns the names of those whose calls are measured. Middleware passes reads through,
// and stubs that refuse everything have no leases for it.
func (c Case) clients() []string {
	if c.Read || c.Refused {
		return rivals
	}
	return append(slices.Clone(rivals), Once, OnceBatch)
}

// Cases returns all cases, in the order of the table.
func Cases() []Case {
	var all []Case
	for _, c := range []Case{
		{Size: kB, Calls: 1, Rate: mB / 5},
		{Size: kB, Calls: 30, Rate: mB / 2},
		{Size: kB, Calls: 60, Rate: 20 * mB},
		{Size: 100 * kB, Calls: 1, Rate: mB / 5},
		{Size: 100 * kB, Calls: 30, Rate: mB / 2, Quick: true},
		{Size: 100 * kB, Calls: 60, Rate: 20 * mB},
		{Size: mB, Calls: 1, Rate: mB / 2},
		{Size: mB, Calls: 30, Rate: 20 * mB, Quick: true},
		{Size: mB, Calls: 60, Rate: 2 * mB},
		{Size: 1400 * kB, Calls: 1, Rate: mB / 5, Quick: true},
		{Size: 1400 * kB, Calls: 30, Rate: 20 * mB},
		{Read: true, Size: mB, Calls: 1, Rate: mB / 5},
		{Read: true, Size: 20 * mB, Calls: 1, Rate: 2 * mB},
		{Read: true, Size: 50 * mB, Calls: 1, Rate: 20 * mB},
	} {
		for _, endpoints := range []int{1, 3} {
			c.Endpoints = endpoints
			all = append(all, c)
		}
	}
	return append(all,
		Case{Size: mB, Calls: 60, Rate: 2 * mB, Each: true, Endpoints: 3},
		Case{Read: true, Size: 20 * mB, Calls: 1, Rate: 2 * mB, Each: true, Endpoints: 3, Quick: true},
		Case{Read: true, Size: 50 * mB, Calls: 1, Rate: 20 * mB, Each: true, Endpoints: 3},

		Case{Size: 1400 * kB, Calls: 1, Rate: mB / 2, Endpoints: 1, Stall: 1500 * time.Millisecond},
		Case{Size: 1400 * kB, Calls: 1, Rate: mB / 2, Endpoints: 3, Stall: 1500 * time.Millisecond, Quick: true},
		Case{Size: 100 * kB, Calls: 30, Rate: mB / 2, Endpoints: 1, Stall: 1500 * time.Millisecond},
		Case{Size: 100 * kB, Calls: 30, Rate: mB / 2, Endpoints: 3, Stall: 1500 * time.Millisecond},
		Case{Read: true, Size: 20 * mB, Calls: 1, Rate: 20 * mB, Endpoints: 1, Stall: 1500 * time.Millisecond},
		Case{Read: true, Size: 20 * mB, Calls: 1, Rate: 2 * mB, Endpoints: 3, Stall: 1500 * time.Millisecond},
		Case{Read: true, Size: 20 * mB, Calls: 1, Rate: 20 * mB, Endpoints: 3, Stall: forGood},

		Case{Size: kB, Calls: 8, For: 15 * time.Second, Endpoints: 3, Hiccup: 1500 * time.Millisecond},
		Case{Size: kB, Calls: 8, For: 10 * time.Second, Endpoints: 3, Starved: true, Quick: true},

		Case{Size: 10 * kB, Calls: 1000, Endpoints: 3, Refused: true, Quick: true},
		Case{Size: mB, Calls: 1000, Endpoints: 3, Refused: true},
	)
}

package capture

import (
	"maps"
	"slices"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/reassembly"

	"github.com/getcd/getcd/wire"
)

const (
	// maxFlows is how many connections are followed at a time, and how many that have
	// ended are remembered, since their last segments may come again.
	maxFlows = 16 << 10
	// maxPages bounds the segments that wait for one before them, in all connections:
	// pages of reassembly's, of 2 KB each.
	maxPages    = 32 << 10
	maxPagesOne = 1 << 10 // and in one of them
	// maxHeld bounds what one connection, and maxHeldInAll what all of them hold back
	// until it is known whether they are HTTP/2.
	maxHeld      = 64 << 10
	maxHeldInAll = 16 << 20
)

// way is the addresses of a segment: from, to.
type way [2]string

func (w way) back() way { return way{w[1], w[0]} }

// flows are the TCP connections of a capture.
type flows struct {
	tracer *wire.Tracer
	sum    Summary
	err    error // the writer's

	asm       *reassembly.Assembler
	byWay     map[way]*flow // in both directions
	live      map[uint64]*flow
	past      []*flow // that have ended, the latest last
	begun     uint64
	held      int
	next      *flow // what the assembler gets when it asks for a stream
	finishing bool
}

func newFlows(t *wire.Tracer) *flows {
	d := &flows{tracer: t, byWay: make(map[way]*flow), live: make(map[uint64]*flow)}
	d.asm = reassembly.NewAssembler(reassembly.NewStreamPool(d))
	d.asm.MaxBufferedPagesTotal = maxPages
	d.asm.MaxBufferedPagesPerConnection = maxPagesOne
	return d
}

// New implements reassembly.StreamFactory.
func (d *flows) New(gopacket.Flow, gopacket.Flow, *layers.TCP, reassembly.AssemblerContext) reassembly.Stream {
	return d.next
}

// segment takes the next segment of the capture.
func (d *flows) segment(w way, tcp *layers.TCP, info reassembly.AssemblerContext) {
	f := d.byWay[w]
	if f != nil && tcp.SYN && f.begunOtherwise(w, tcp.Seq) {
		f.close(info, "followed by another one with the same ports")
		f = nil
	}
	switch {
	case f == nil && !tcp.SYN && len(tcp.Payload) == 0:
		return // the last words of one that is over, or silence
	case f == nil && len(d.live) == maxFlows:
		d.sum.Refused++
		return
	case f == nil:
		f = d.begin(w)
	case f.ended:
		return // it comes again
	}
	d.next = f
	f.assemble(w, tcp, info)
	if (f.reset || f.sides[0].fin && f.sides[1].fin) && !f.ended {
		f.close(info, "")
	}
}

func (d *flows) begin(w way) *flow {
	d.begun++
	f := &flow{flows: d, n: d.begun, way: w}
	d.byWay[w], d.byWay[w.back()] = f, f
	d.live[f.n] = f
	return f
}

// forget keeps a flow that has ended for a while.
func (d *flows) forget(f *flow) {
	delete(d.live, f.n)
	d.past = append(d.past, f)
	if len(d.past) <= maxFlows {
		return
	}
	old := d.past[0]
	d.past = d.past[1:]
	for _, w := range []way{old.way, old.way.back()} {
		if d.byWay[w] == old {
			delete(d.byWay, w)
		}
	}
}

// finish ends what has not ended when the capture does.
func (d *flows) finish() {
	d.finishing = true
	d.asm.FlushAll()
	for _, n := range slices.Sorted(maps.Keys(d.live)) {
		d.live[n].end("not closed before the capture ends")
	}
}

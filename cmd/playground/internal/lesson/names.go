package lesson

import (
	"fmt"
	"strings"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// names has what stands for values that differ from run to run. It is safe for
// concurrent use.
type names struct {
	mu     sync.Mutex
	ids    map[uint64]uint64
	leases uint64
	terms  map[uint64]uint64
	texts  [][2]string // real, shown
}

// What is shown for the IDs of the cluster, of members and of leases, which are drawn at
// random, and for the first raft term, which depends on how the election went.
const (
	clusterID   = 0xc111111111111111
	firstMember = 0xa111111111111110
	firstLease  = 0x7111111111111110
	firstTerm   = 2

	leastDrawn = 1 << 40 // what is smaller was not drawn
)

func newNames() *names {
	return &names{ids: make(map[uint64]uint64), terms: make(map[uint64]uint64)}
}

// member tells the ID of the n-th member.
func (n *names) member(number int, id uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.showLocked(id, firstMember+uint64(number)) //nolint:gosec // 1 to 3
}

// replace shows the text to wherever from would be.
func (n *names) replace(from, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.texts = append(n.texts, [2]string{from, to})
}

// showLocked has the number shown as another one, also in hexadecimal and decimal text.
func (n *names) showLocked(id, shown uint64) {
	n.ids[id] = shown
	n.texts = append(n.texts,
		[2]string{fmt.Sprintf("%016x", id), fmt.Sprintf("%x", shown)}, // as errors have it
		[2]string{fmt.Sprintf("%x", id), fmt.Sprintf("%x", shown)},    // as names of keys do
		[2]string{fmt.Sprint(id), fmt.Sprint(shown)})
}

// text is what is shown for a text.
func (n *names) text(s string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, t := range n.texts {
		s = strings.ReplaceAll(s, t[0], t[1])
	}
	return s
}

// number is what is shown for the value of a field.
func (n *names) number(f protoreflect.FieldDescriptor, v uint64) uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case f.Name() == "raft_term" && v > 0:
		if _, ok := n.terms[v]; !ok {
			n.terms[v] = firstTerm + uint64(len(n.terms))
		}
		return n.terms[v]
	case v < leastDrawn:
		return v
	case n.ids[v] != 0:
	case f.Name() == "cluster_id":
		n.showLocked(v, clusterID)
	default:
		n.leases++
		n.showLocked(v, firstLease+n.leases)
	}
	return n.ids[v]
}

// message is what is shown for a message of type d: the same fields with other values,
// and lengths that fit them.
func (n *names) message(b []byte, d protoreflect.MessageDescriptor) []byte {
	var out []byte
	for len(b) > 0 {
		num, typ, tag := protowire.ConsumeTag(b)
		if tag < 0 {
			return append(out, b...)
		}
		size := protowire.ConsumeFieldValue(num, typ, b[tag:])
		if size < 0 {
			return append(out, b...)
		}
		value := b[tag : tag+size]
		out = append(out, b[:tag]...)
		b = b[tag+size:]
		f := d.Fields().ByNumber(num)
		switch {
		case f != nil && typ == protowire.VarintType:
			v, _ := protowire.ConsumeVarint(value)
			out = protowire.AppendVarint(out, n.number(f, v))
		case f != nil && typ == protowire.BytesType:
			v, _ := protowire.ConsumeBytes(value)
			switch f.Kind() {
			case protoreflect.MessageKind:
				v = n.message(v, f.Message())
			case protoreflect.BytesKind, protoreflect.StringKind:
				v = []byte(n.text(string(v)))
			default: // numbers, packed
			}
			out = protowire.AppendBytes(out, v)
		default:
			out = append(out, value...)
		}
	}
	return out
}

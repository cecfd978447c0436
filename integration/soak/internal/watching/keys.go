package watching

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// Prefix is the prefix of all keys of the check.
const Prefix = "watching/"

// The parts of the set of keys.
const (
	small  = Prefix + "a/" // four groups of twelve
	bulk   = Prefix + "b/" // large values
	leased = Prefix + "l/" // keys with leases

	groups    = 4
	perGroup  = 12
	bulkKeys  = 6
	leaseKeys = 24

	bulkSize = 24 << 10
)

func group(g int) string       { return fmt.Sprintf("%s%d/", small, g) }
func smallKey(g, i int) string { return fmt.Sprintf("%s%02d", group(g), i) }
func bulkKey(i int) string     { return fmt.Sprintf("%s%d", bulk, i) }
func leasedKey(i int) string   { return fmt.Sprintf("%s%02d", leased, i) }

// keySet has all keys in order. A key is identified by its index.
type keySet []string

func newKeySet() keySet {
	var keys keySet
	for g := range groups {
		for i := range perGroup {
			keys = append(keys, smallKey(g, i))
		}
	}
	for i := range bulkKeys {
		keys = append(keys, bulkKey(i))
	}
	for i := range leaseKeys {
		keys = append(keys, leasedKey(i))
	}
	slices.Sort(keys)
	return keys
}

// index returns the index of a key. ok is false if the key is not in the set.
func (s keySet) index(key []byte) (i int, ok bool) {
	return slices.BinarySearchFunc(s, key, func(a string, b []byte) int { return strings.Compare(a, string(b)) })
}

// between returns the indices of the keys in [key, end), as [lo, hi).
func (s keySet) between(key, end string) (lo, hi int) {
	lo, _ = slices.BinarySearch(s, key)
	hi, _ = slices.BinarySearch(s, end)
	return lo, hi
}

// tag identifies the write that has put a value: the place'th put of a writer's
// seq'th write. Every value begins with it.
type tag struct {
	writer, place uint8
	seq           uint32
}

const tagSize = 6

// value returns a value with the given size, which begins with the tag.
func (t tag) value(size int) string {
	b := make([]byte, max(size, tagSize))
	b[0], b[1] = t.writer, t.place
	binary.BigEndian.PutUint32(b[2:], t.seq)
	for i := tagSize; i < len(b); i++ {
		b[i] = byte('a' + i%23 + int(t.writer)%3)
	}
	return string(b)
}

func tagOf(value []byte) (tag, bool) {
	if len(value) < tagSize {
		return tag{}, false
	}
	return tag{writer: value[0], place: value[1], seq: binary.BigEndian.Uint32(value[2:])}, true
}

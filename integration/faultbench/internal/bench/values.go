package bench

import (
	"fmt"
	"hash/fnv"
	"math"
	"strconv"
	"strings"
)

// Bytes is a number of bytes, written like "100KB" or "1.5MB".
type Bytes int

// ParseBytes reads a number of bytes with one of the units B, KB and MB, by thousands.
func ParseBytes(s string) (Bytes, error) {
	for _, unit := range []struct {
		name string
		of   float64
	}{{"MB", 1e6}, {"KB", 1e3}, {"B", 1}} {
		number, ok := strings.CutSuffix(strings.ToUpper(s), unit.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(number, 64)
		if err != nil || !(n >= 0) || n*unit.of > math.MaxInt32 {
			break
		}
		return Bytes(math.Round(n * unit.of)), nil
	}
	return 0, fmt.Errorf("%q is not a number of bytes such as 100KB or 1.5MB", s)
}

// ParseRange reads one number of bytes, or two with a dash between them.
func ParseRange(s string) (least, most Bytes, err error) {
	low, high, two := strings.Cut(s, "-")
	if !two {
		high = low
	}
	if least, err = ParseBytes(low); err == nil {
		most, err = ParseBytes(high)
	}
	return least, most, err
}

// idEnd is between the short text that tells values apart and what fills them up.
const idEnd = "|"

// filled makes a value of some size out of its short text, always the same one. The
// history has the short text alone: the search for a violation compares values a
// million times.
func (cfg Config) filled(id string) string {
	if cfg.MostValue == 0 {
		return id
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(id)) // it never fails
	size := int(cfg.LeastValue) + int(h.Sum64()%uint64(cfg.MostValue-cfg.LeastValue+1))
	text := id + idEnd
	return text + strings.Repeat(text, max(size-len(text), 0)/len(text))
}

// short is the text that filled made a value of. What filled did not make is
// nobody's, and stays as it is.
func (cfg Config) short(value string) string {
	id, _, ok := strings.Cut(value, idEnd)
	if !ok || value != cfg.filled(id) {
		if len(value) > 100 {
			return value[:100] + "… (damaged)"
		}
		return value
	}
	return strings.Clone(id) // a part would keep the whole value in memory
}

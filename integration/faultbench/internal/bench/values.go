package bench

import (
	"fmt"
	"hash/fnv"
	"math"
	"strconv"
	"strings"
)

// Bytes is a number of bytes, written as "100KB" or "1.5MB".
type Bytes int

// ParseBytes parses a number of bytes with the unit B, KB or MB, in powers of
// 1,000.
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

// ParseRange parses one number of bytes, or two with a dash between them.
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

// idEnd separates the short text that identifies a value from its filling.
const idEnd = "|"

// filled expands a short text to a value of some size. The result is always the
// same for the same text. The history has only the short texts: the search for a
// violation compares values a million times.
func (cfg Config) filled(id string) string {
	if cfg.MostValue == 0 {
		return id
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(id)) // this never fails
	size := int(cfg.LeastValue) + int(h.Sum64()%uint64(cfg.MostValue-cfg.LeastValue+1))
	text := id + idEnd
	return text + strings.Repeat(text, max(size-len(text), 0)/len(text))
}

// short returns the short text from which filled made a value. Any other value is
// returned unchanged.
func (cfg Config) short(value string) string {
	id, _, ok := strings.Cut(value, idEnd)
	if !ok || value != cfg.filled(id) {
		if len(value) > 100 {
			return value[:100] + "… (damaged)"
		}
		return value
	}
	return strings.Clone(id) // a substring would keep the whole value in memory
}

package measure

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Say prints where an error could only be printed, too.
func Say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

// Median returns the value in the middle, or 0 of none.
func Median[R any](all []R, of func(R) float64) float64 {
	values := make([]float64, len(all))
	for i, r := range all {
		values[i] = of(r)
	}
	slices.SortFunc(values, cmp.Compare[float64])
	switch n := len(values); {
	case n == 0:
		return 0
	case n%2 == 0:
		return (values[n/2-1] + values[n/2]) / 2
	default:
		return values[n/2]
	}
}

// Numbers replaces a list by the flag's, whose numbers have commas between them.
func Numbers(to *[]int) func(string) error {
	return func(s string) error {
		*to = nil
		for part := range strings.SplitSeq(s, ",") {
			n, err := strconv.Atoi(part)
			if err != nil || n < 1 {
				return fmt.Errorf("%q is no positive number", part)
			}
			*to = append(*to, n)
		}
		return nil
	}
}

// Chosen replaces a list by the flag's, which takes only what the list has had.
func Chosen(to *[]string) func(string) error {
	all := *to
	return func(s string) error {
		*to = nil
		for part := range strings.SplitSeq(s, ",") {
			if !slices.Contains(all, part) {
				return fmt.Errorf("%q is none of %s", part, strings.Join(all, ", "))
			}
			*to = append(*to, part)
		}
		return nil
	}
}

// Plural is a number with its noun.
func Plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

package config

import "strings"

// nearest returns the option that somebody may have meant who wrote name, by any of the
// names that an option has.
func nearest(name string, among []option) (option, bool) {
	var names []string
	of := make(map[string]option)
	for _, o := range among {
		for _, n := range []string{o.key, o.old, o.etcdctl} {
			if n != "" {
				names = append(names, n)
				of[n] = o
			}
		}
	}
	n, ok := nearestOf(name, names)
	return of[n], ok
}

// nearestOf returns the name that differs least from the one given, if one letter in five
// at most has to be changed, and one more.
func nearestOf(name string, names []string) (string, bool) {
	plain := func(s string) string {
		return strings.ToLower(strings.NewReplacer("-", "", "_", "", ".", "").Replace(s))
	}
	name = plain(name)
	best, least := "", 2+len(name)/5
	for _, n := range names {
		if d := distance(name, plain(n)); d < least {
			best, least = n, d
		}
	}
	return best, best != ""
}

// distance is the number of letters that have to be added, left out, replaced or swapped with
// their neighbor to make b of a (the optimal string alignment distance).
func distance(a, b string) int {
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	before, last, row := rows[0], rows[1], rows[2]
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			other := 1
			if a[i-1] == b[j-1] {
				other = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+other)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

package cluster

import (
	"slices"
	"strings"
)

// Busy reports whether a text, such as an error's or a program's output, has what members say
// when a busy machine has kept them from their work. They lose their leader then, at any time,
// and refuse changes of membership until all have been connected for five seconds. A test
// asks again; the request before may have been applied.
func Busy(text string) bool {
	return slices.ContainsFunc([]string{
		"etcdserver: request timed out", "etcdserver: leader changed", "etcdserver: no leader", "etcdserver: not leader", "etcdserver: unhealthy cluster",
	}, func(said string) bool { return strings.Contains(text, said) })
}

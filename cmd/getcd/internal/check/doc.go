// Package check puts load on a cluster, as etcdctl's check commands do, and
// reports whether the cluster keeps up.
//
// A load has a number of clients. Each client sends its next put when the
// previous one was answered. Together the clients either keep a given rate for
// some time, or send a given number of puts as fast as the cluster accepts them.
package check

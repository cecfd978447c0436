// Dropin reports how much of etcd's own Go client getcd's packages under clientv3
// replace: it lists each exported name of go.etcd.io/etcd/client/v3, and whether a
// program that uses it compiles when its import paths are changed.
//
//	go run ./integration/dropin        # writes docs/dropin.md
//	go run ./integration/dropin -o -   # to standard output
//
// A test holds what the checked-in report calls identical; programs in its own
// directory run on both clients.
package main

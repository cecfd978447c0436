// Command dropin reports how much of etcd's own Go client getcd's packages under
// clientv3 replace. It lists each exported name of go.etcd.io/etcd/client/v3, and
// says whether a program that uses it still compiles after its import paths are
// changed.
//
//	go run ./integration/dropin        # writes docs/reference/dropin.md
//	go run ./integration/dropin -o -   # to standard output
//
// A test checks that what the checked-in report calls identical stays so. The
// programs in the directory programs run on both clients.
package main

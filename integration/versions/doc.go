// Command versions runs test packages on several versions of etcd, one after
// another. For each version it reports which tests passed, which failed, and
// which were skipped and why. Make's target versions calls it.
//
//	go run ./integration/versions -o docs/measurements/versions.md bin/etcd-3.4 builtin
//
// The arguments are etcd binaries; "builtin" is the server that is built into
// package cluster. With -o it also writes the result as a page; nothing on that
// page is written by hand. It exits with status 1 if a test failed.
package main

// Command versions runs test packages on several versions of etcd, one after the
// other, and tells of each version which tests passed, which failed, and which
// were skipped and why. Make's target versions calls it.
//
//	go run ./integration/versions -o docs/versions.md bin/etcd-3.4 builtin
//
// The arguments are etcd binaries; "builtin" is the server that package cluster has
// inside. With -o the result is written as a page, too: nothing on it was written
// by hand. It exits with 1 when a test failed.
package main

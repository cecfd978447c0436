// Package demo shows what the library is for, on a real cluster, and measures it
// as it goes: three etcd members, each a process of its own, and a DNS server are
// started on loopback, discovered, used, killed and moved. On a cluster of the
// user's it does what it can without breaking anything.
//
// report.go prints; basics.go, locks.go and faults.go hold the steps.
package demo

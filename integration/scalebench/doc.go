// Scalebench measures what thousands of leases, locks, watches, keys and clients cost, with
// clientv3 and with getcd.
//
//	go run ./integration/scalebench                                     # everything
//	go run ./integration/scalebench -scale 0.05 -rounds 1 -for 2s       # a quick look
//	go run ./integration/scalebench -rows leases,lock,locks -rounds 3
//	go run ./integration/scalebench -rows long                          # 100,000 leases, two members killed: 20 minutes
//	go run ./integration/scalebench -long -markdown docs/measurements/scale.md
//
// Each measurement is a process of its own with one client (or, for fleets, with many). In
// each round both clients are measured one after the other, each time another one first,
// against the same members. The tables have the medians. CPU is that of the client's process
// alone (getrusage). What the connections carry is counted by a handler of gRPC's statistics,
// the same for both clients.
//
// The members run on the same machine, and so does whatever loads them. -list names the rows.
package main

// Callbench measures how many puts and gets each client makes in a second, and what they
// cost it: etcd's generated stub on a plain connection, clientv3, and getcd with and
// without its middleware.
//
//	go run ./integration/callbench                       # all of it: 20 minutes
//	go run ./integration/callbench -members 1 -callers 1,256 -rounds 3 -for 500ms
//
// Each measurement is a process of its own, which connects, calls for a while so that
// everything is warm, and is measured from then on. In each round all clients are measured
// one after the other, each time another one first, against the same members; the table has
// the medians. The ratio is that to the raw stub of the same rows, and CPU is the client's
// process alone. The members run on the same machine: where they take the processors, a
// client that sends less to them looks better, as it would in an application that has other
// work to do.
//
// "raw txn" puts with the raw stub, in the smallest transaction that can be applied only once: it
// compares a key, and puts it as well. No client that puts exactly once can take less.
//
// Each caller has a key of its own, with a value of 32 bytes: callers who put the same key
// have to take turns in a batch.
package main

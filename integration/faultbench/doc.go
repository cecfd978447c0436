// Command faultbench measures how faults of an etcd cluster affect its clients.
//
//	go run ./integration/faultbench
//	go run ./integration/faultbench -faults kill,sigstop -roles leader -kinds put -svg timelines
//	go run ./integration/faultbench -svg docs/measurements/failover -markdown docs/measurements/failover.md
//
// It starts a real cluster and lets getcd and etcd's own client work on it side
// by side. It then applies one fault after another to the member that getcd uses.
// For each client and kind of call it prints how many calls succeeded, how many
// failed, and how many of the failures were ambiguous; the longest time that one
// of its workers went without a success; and how long calls took. It observes
// elections through separate connections, and checks with porcupine that the
// results of the writes are linearizable.
//
// With -random it applies random faults instead, one after another; -seed repeats
// the same ones. With -secure everything uses TLS and authentication.
//
// It does not need root: members are processes of this program, and networks are
// proxies in it. -list names the clients, faults and kinds of calls.
//
// The exit status is 1 if something could not be measured or a history is not
// linearizable, and with -check also if getcd exceeds its bounds, which the table
// then names. It is 2 if the flags are wrong.
package main

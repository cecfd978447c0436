// Command faultbench shows what faults of an etcd cluster do to its clients.
//
//	go run ./integration/faultbench
//	go run ./integration/faultbench -faults kill,sigstop -roles leader -kinds put -svg timelines
//	go run ./integration/faultbench -svg docs/failover -markdown docs/failover.md
//
// It starts a real cluster, lets getcd and etcd's own client work on it side by
// side, does one fault after the other to the member that getcd uses, and prints
// for each client and kind of call how many calls succeeded, failed, and failed
// without anybody knowing whether they were applied; the longest time that one of
// its workers went without a success; and how long calls took. It observes
// elections through connections of its own, and checks with porcupine that what
// the clients were told of their writes is linearizable.
//
// With -random it does random faults instead, one after the other, and -seed does
// the same ones again; with -secure all of it with TLS and authentication.
//
// It needs no root: members are processes of this program, and networks are
// proxies in it. -list names the clients, faults and kinds of calls.
//
// The exit status is 1 when something could not be measured or a history is not
// linearizable, and with -check also when getcd does not keep its bounds, which
// the table then names; 2 when the flags are wrong.
package main

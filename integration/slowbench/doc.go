// Command slowbench shows what large values and slow links do to clients of etcd.
//
//	go run ./integration/slowbench
//	go run ./integration/slowbench -quick -check
//	go run ./integration/slowbench -run 'put 60' -count 3
//	go run ./integration/slowbench -markdown docs/slow.md -json docs/slow.json
//
// It starts a real cluster, puts a line of so many bytes a second between it and its
// clients, and has getcd and etcd's own client make the same calls by turns: how many
// failed, how many of those may have been applied, and how long all took together.
// In some cases a member stalls meanwhile, or the client's own process gets little
// CPU. -list names the cases, and -run chooses those that match.
//
// The exit status is 1 when something could not be measured, and with -check also
// when getcd does not do as well as clientv3, within the limits of docs/slow.md;
// 2 when the flags are wrong.
package main

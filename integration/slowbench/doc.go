// Command slowbench measures how large values and slow links affect clients of
// etcd.
//
//	go run ./integration/slowbench
//	go run ./integration/slowbench -quick -check
//	go run ./integration/slowbench -run 'put 60' -count 3
//	go run ./integration/slowbench -markdown docs/measurements/slow.md -json docs/measurements/slow.json
//
// It starts a real cluster and limits the bandwidth between the cluster and its
// clients. getcd and etcd's own client make the same calls in turn. It reports
// how many calls failed, how many of the failures may have been applied, and how
// long all calls took together. In some cases a member stalls meanwhile, or the
// client's own process gets little CPU. -list names the cases, and -run selects
// those that match.
//
// The exit status is 1 if something could not be measured, and with -check also
// if getcd is not as good as clientv3, within the limits of docs/measurements/slow.md. It is 2
// if the flags are wrong.
package main

// Package recipe has the names of go.etcd.io/etcd/client/v3/experimental/recipes:
// barriers, queues and a lock for readers and writers. They are package recipe's,
// which says what they do; since clientv3's methods have no context, all waiting ends
// with the client's.
package recipe

// Package concurrency has the names of go.etcd.io/etcd/client/v3/concurrency:
// sessions, elections, a mutex and transactional memory. They are those of packages
// session, election and stm, which say what they do, on the services that the client
// has, such as those of clientv3/namespace.
//
// A session here knows in time that its lease can no longer be proven to live, and a
// mutex or a leadership that was lost frees nothing of another's: Unlock and Resign
// take away one's own key alone.
package concurrency

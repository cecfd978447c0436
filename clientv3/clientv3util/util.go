// Package clientv3util mirrors go.etcd.io/etcd/client/v3/clientv3util.
package clientv3util

import "github.com/getcd/getcd/clientv3"

// KeyExists returns a comparison that holds if the key exists.
func KeyExists(key string) clientv3.Cmp {
	return clientv3.Compare(clientv3.Version(key), ">", 0)
}

// KeyMissing returns a comparison that holds if the key does not exist.
func KeyMissing(key string) clientv3.Cmp {
	return clientv3.Compare(clientv3.Version(key), "=", 0)
}

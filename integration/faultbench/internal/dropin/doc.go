// Package dropin is package etcdclient with one import path changed: the same
// program on getcd. client.go is a copy; a test compares the two.
package dropin

//go:generate sh -c "sed '1i // Code generated from ../etcdclient/client.go by go generate. DO NOT EDIT.\ns,go.etcd.io/etcd/client/v3,github.com/getcd/getcd/clientv3,;s,^package etcdclient,\\npackage dropin,;/^\\/\\/ Package/d;/^\\/\\/ program would/d' ../etcdclient/client.go > client.go"

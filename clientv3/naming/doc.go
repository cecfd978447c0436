// Package naming has the names of go.etcd.io/etcd/client/v3/naming: addresses of
// services, kept in etcd.
//
// Package endpoints registers them and tells what changes; package resolver has
// gRPC find them. A service is a prefix of keys; the key SERVICE/ANYTHING has one
// address, in the JSON form that gRPC's former package naming had:
//
//	{"Op":0,"Addr":"10.0.0.1:80","Metadata":null}
package naming

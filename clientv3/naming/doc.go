// Package naming mirrors go.etcd.io/etcd/client/v3/naming: it stores addresses of
// services in etcd.
//
// Package endpoints registers the addresses and reports changes. Package resolver
// lets gRPC find them. A service is a key prefix. Each key SERVICE/ANYTHING has
// one address, in the JSON form of gRPC's former package naming:
//
//	{"Op":0,"Addr":"10.0.0.1:80","Metadata":null}
package naming

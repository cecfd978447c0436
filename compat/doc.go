// Package compat lets code that uses the types of go.etcd.io/etcd/client/v3 use
// getcd's connection: for example, a library that takes a *clientv3.Client, or
// that makes a Cmp or an Op. It is a separate module, since it needs clientv3 and
// getcd does not.
//
// A program that was moved to getcd makes an original client that shares the
// connection of its getcd client:
//
//	cli, err := clientv3.New(cfg)        // github.com/getcd/getcd/clientv3
//	...
//	original, err := compat.Client(cli)  // *clientv3.Client of go.etcd.io/etcd/client/v3
//	...
//	proxy, done := grpcproxy.NewKvProxy(original)
//
// A program that keeps using clientv3 changes the line that makes its client:
//
//	cli, err := compat.New(cfg)          // instead of clientv3.New(cfg)
//
// # What needs no conversion
//
// The requests, responses and errors of go.etcd.io/etcd/api/v3 are the same in
// both: mvccpb.KeyValue, clientv3.Event, the errors of rpctypes, and all
// generated stubs, which work on ActiveConnection. So are all types that consist
// only of built-in types.
//
// # What Go converts
//
// These types have identical definitions, so T(v) or (*T)(p) converts one to the
// other: the responses of KV, Auth, Cluster and Maintenance (GetResponse,
// StatusResponse and so on), LeaseRevokeResponse, SnapshotResponse, Member,
// AlarmMember, Permission, PermissionType, UserAddOptions, LeaseID,
// CompareTarget, CompareResult, SortTarget, SortOrder, DowngradeAction,
// SecureConfig, AuthConfig and ErrKeepAliveHalted:
//
//	resp := (*clientv3.GetResponse)(got)
//
// A type that contains one of these, such as LeaseGrantResponse, must be copied
// field by field.
//
// # What this package converts
//
// Client and New make clients. ToCmp, ToOp, FromCmp and FromOp convert values for
// transactions. Module github.com/getcd/getcd/observability/zap converts loggers.
//
// # What cannot be converted
//
// Options are functions on a type of each package, and WatchResponse and
// OpResponse have private fields. A library that takes a Config, such as
// clientv3's snapshot package, makes its own client with its own connection. An
// original service that a program wraps (an interface with clientv3's Op in it)
// remains an original service. The workaround is to give the library a client of
// this package, and to use the original's types for what the library returns.
package compat

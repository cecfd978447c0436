// Package compat gives getcd's connection to code that takes the types of
// go.etcd.io/etcd/client/v3: a library with a parameter of type *clientv3.Client, or
// that makes a Cmp or an Op. It is a module of its own, since it needs clientv3, which
// getcd does not.
//
// A program that was moved to getcd makes an original client over its own one, which
// shares its connection:
//
//	cli, err := clientv3.New(cfg)        // github.com/getcd/getcd/clientv3
//	...
//	original, err := compat.Client(cli)  // *clientv3.Client of go.etcd.io/etcd/client/v3
//	...
//	proxy, done := grpcproxy.NewKvProxy(original)
//
// A program that stays with clientv3 changes the line in which it makes its client:
//
//	cli, err := compat.New(cfg)          // instead of clientv3.New(cfg)
//
// # What needs no conversion
//
// Requests, responses and errors of go.etcd.io/etcd/api/v3 are the same in both:
// mvccpb.KeyValue, clientv3.Event, rpctypes' errors, and all generated stubs, which
// work on ActiveConnection. So is what is made of builtin types alone.
//
// # What Go converts
//
// These types are defined alike, so that T(v), or (*T)(p), makes one of the other:
// the responses of KV, Auth, Cluster and Maintenance (GetResponse, StatusResponse and so
// on), LeaseRevokeResponse, SnapshotResponse, Member, AlarmMember, Permission,
// PermissionType, UserAddOptions, LeaseID, CompareTarget, CompareResult, SortTarget,
// SortOrder, DowngradeAction, SecureConfig, AuthConfig and ErrKeepAliveHalted:
//
//	resp := (*clientv3.GetResponse)(got)
//
// A type with one of those in it, such as LeaseGrantResponse, is copied field by field.
//
// # What this package converts
//
// Client and New make clients, ToCmp, ToOp, FromCmp and FromOp values for
// transactions. Package zaplog has the loggers.
//
// # What cannot be converted
//
// Options are functions on a type that is the package's own, and WatchResponse and
// OpResponse have fields of their own. What a library does with a Config is to make a
// client of its own, with a connection of its own: clientv3's snapshot package, for
// one. A service of the original that a program wraps (an interface with clientv3's
// Op in it) stays the original's. The way around is to give the library a client of this
// package, and to take what it returns with the original's types.
package compat

// Package clientv3 has the names of go.etcd.io/etcd/client/v3, so that a program
// gets getcd's connection by changing its import paths:
//
//	import clientv3 "github.com/getcd/getcd/clientv3"
//
//	cli, err := clientv3.New(clientv3.Config{Endpoints: []string{"10.0.0.1:2379", "10.0.0.2:2379"}})
//	...
//	defer cli.Close()
//	_, err = cli.Put(ctx, "greeting", "hello")
//
// Its packages are aliases of getcd's own, and thin forwards to them; what a call
// does is told there. docs/from-clientv3.md is about moving, and docs/dropin.md lists
// which names are here. New programs are better off with package client, whose errors
// say more. Native leads there.
//
// A library that takes clientv3's own types gets them from module
// github.com/getcd/getcd/compat.
//
// # Errors
//
// Errors are clientv3's, so that they can be compared with ==: rpctypes' errors and
// the context's come as they are, and others are gRPC status errors. A write that is
// not waited for any longer, though its context has not ended, is rpctypes.ErrTimeout: it
// may have been applied. Errors of a connection that broke leave that open as well;
// those of the native client tell (client.IsAmbiguous):
//
//	_, err := cli.Native().Put(ctx, "greeting", "hello")
//
// # What is different
//
//   - Loggers are slog's. A zap user has Logger: zaplog.New(logger) of
//     github.com/getcd/getcd/compat/zaplog.
//     Without one, and unless ETCD_CLIENT_DEBUG is set, nothing is logged.
//   - What makes clientv3 panic (contradicting options, a transaction assembled in
//     the wrong order) is an error of the call, a *kv.UsageError. So are numbers that
//     cannot be.
//   - Every request asks for a member with a leader, unless any member can answer it.
//     While there is none it waits, and so does a watch; with WithRequireLeader they
//     end with ErrNoLeader when all members that can be reached have said for a
//     second that they have none.
//   - Requests that may be repeated are, until their context ends. MaxUnaryRetries,
//     BackoffWaitBetween and BackoffJitterFraction are there, and change nothing.
//   - A connection is pinged after 10 s even if DialKeepAliveTime is 0. A negative
//     value means never.
package clientv3

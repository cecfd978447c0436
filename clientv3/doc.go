// Package clientv3 mirrors go.etcd.io/etcd/client/v3: a program gets getcd's
// connection by changing its import paths.
//
//	import clientv3 "github.com/getcd/getcd/clientv3"
//
//	cli, err := clientv3.New(clientv3.Config{Endpoints: []string{"10.0.0.1:2379", "10.0.0.2:2379"}})
//	...
//	defer cli.Close()
//	_, err = cli.Put(ctx, "greeting", "hello")
//
// Its packages consist of aliases and thin wrappers of getcd's own packages,
// which document what each call does. docs/guides/from-clientv3.md explains how to move
// a program, and docs/reference/dropin.md lists the names that exist here. New programs
// should use package client, whose errors have more information. Client.Native
// returns such a client.
//
// For a library that takes clientv3's own types, use the module
// github.com/getcd/getcd/compat.
//
// # Errors
//
// Errors are clientv3's, so they can be compared with ==. The errors of rpctypes
// and of the context are returned unchanged, and all others are gRPC status
// errors. If the client stops waiting for a write before the write's context
// ends, the error is rpctypes.ErrTimeout, and the write may have been applied.
// The errors of a broken connection do not say whether a write was applied,
// either. The errors of the native client do (client.IsAmbiguous):
//
//	_, err := cli.Native().Put(ctx, "greeting", "hello")
//
// # What is different
//
//   - Loggers are slog's. For a zap logger, set Logger to getcdzap.New(logger) of
//     github.com/getcd/getcd/observability/zap. Without a logger nothing is logged,
//     unless ETCD_CLIENT_DEBUG is set.
//   - Where clientv3 panics (contradicting options, a transaction whose steps
//     come in the wrong order), the call returns an error, a *kv.UsageError.
//     Invalid numbers are such an error, too.
//   - Every request asks for a member with a leader, unless any member can answer
//     it. While there is no such member, requests and watches wait. With
//     WithRequireLeader they end with ErrNoLeader once all reachable members have
//     said for a second that they have no leader.
//   - Requests that may be repeated are retried until their context ends.
//     MaxUnaryRetries, BackoffWaitBetween and BackoffJitterFraction exist but
//     have no effect.
//   - A connection is pinged after 10 s even if DialKeepAliveTime is 0. A
//     negative value means never.
package clientv3

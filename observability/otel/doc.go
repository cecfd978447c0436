// Package getcdotel shows clients to OpenTelemetry: a span for each call with one for each
// attempt below it, and instruments for calls, attempts, hedges, failovers, ambiguous writes,
// endpoints, watches and leases.
//
//	telemetry, err := getcdotel.New()
//	cfg.Observers = append(cfg.Observers, telemetry)
//
// A program with package clientv3 sets Observers in the function of clientv3.NewWith.
//
// # Spans
//
// A call's span follows OpenTelemetry's semantic conventions for RPC clients (1.43): its name is
// the method, such as etcdserverpb.KV/Range, its kind CLIENT. Etcd is no system of the
// conventions for databases. A failed call has the status Error and error.type; getcd.outcome
// tells a write that may have been applied (ambiguous) from one that certainly was not (error).
//
// An attempt's span is a child of its call's, named as gRPC does (gRFC A72):
// Attempt.etcdserverpb.KV.Range. getcd.attempt.kind is first, retry or hedge. A copy of a read
// that lost to the other one has getcd.attempt.superseded and no error.
//
// A stream has a span only if its context has one: KeepAliveOnce or Snapshot in a traced request,
// but not the streams that all watches and renewals share, which may last for months.
//
// The context of the attempt is sent along as metadata (WithPropagators), so that the spans of
// an etcd server that traces (--enable-distributed-tracing) are children of the attempt's.
//
// # Instruments
//
// rpc.client.call.duration is that of the conventions. The names of the others begin with
// getcd.client. docs/reference/observability.md lists them. Attributes have no keys, users or
// texts of errors.
package getcdotel

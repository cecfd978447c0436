// Package lease speaks etcd's Lease service (etcdserverpb.Lease): a lease is a
// time to live that the cluster counts down, keys are attached to it, and when
// it ends, by expiry or by revocation, those keys are deleted.
//
// The unary calls (Grant, Revoke, TimeToLive, Leases) are one request and one
// answer. What makes a lease useful is keeping it alive, and there the question
// that matters is not "when did I last hear from the server" but "until when
// can I prove that the server has not let go". A [Keeper] answers that one.
package lease

// Package policy is the gRPC load-balancing policy that decides which etcd member
// serves a request. Package balancer tells what it does, and has its tests; this
// package is how it does it. The client alone uses it.
//
// policy.go is the state machine, and begins with what drives it. DESIGN.md says in
// which file each rule is.
//
// # Concurrency
//
// Picks read an immutable snapshot, and take no lock but the short one of their
// connection's list of calls. All else is serialized by the policy's one mutex. A
// Table may be read from anywhere.
package policy

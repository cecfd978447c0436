// Package etcdctltest compares the command-line tool getcd with etcdctl. Its
// tests build both and run them with the same arguments, stdin and environment on
// a real three-member cluster. They compare stdout byte for byte, and the exit
// status.
//
// Reads are compared on the same state, so nothing may differ, not even a
// revision. If something differs, etcdctl runs again, and the difference counts
// only if the state has not changed meanwhile.
//
// Writes change the state, so each tool runs the whole scenario from an empty key
// space. A few rules replace what inevitably differs: a lease ID that the server
// or the tool chose becomes ‹lease›, a new member's ID becomes ‹member› and its
// URL ‹peer›, a duration that endpoint health or defrag measured becomes ‹took›,
// and revisions, including that of users and roles, become relative to the one at
// the start of the scenario.
//
// A watch does not end by itself: a dialogue makes changes and sends lines of
// input, waits until the tool has printed its reaction to each, and ends the tool
// with a signal.
package etcdctltest

// Package etcdctltest compares the command-line tool getcd with etcdctl: its
// tests build both, run them with the same arguments, stdin and environment on
// a real three-member cluster, and compare stdout byte for byte and the exit
// statuses.
//
// Reads are compared on one and the same state, so that nothing may differ, not
// even a revision. When something does differ, etcdctl runs again, and the
// difference counts only if the state stood still meanwhile.
//
// Writes change the state, so each tool starts from an emptied key space and
// plays the whole scenario by itself. What inherently differs then is replaced
// by one of a few rules: a lease ID that the server or the tool chose becomes
// ‹lease›, a new member's ID ‹member› and its URL ‹peer›, the time that endpoint
// health and defrag measured becomes ‹took›, and a revision, that of the users
// and roles too, is counted from the one that the scenario started at.
//
// A watch does not end by itself: a dialogue gives the tool changes and lines of
// input, waits for what it prints of each, and ends it with a signal.
package etcdctltest

// Package request turns the flags and arguments of put, get and del into etcd
// operations. The commands use it, and so does every request line of a
// transaction, which has the same flags.
//
// Each of [Put], [Get] and [Delete] holds the values of its flags: Register
// ties them to a flag set, and Op checks them, together with the arguments,
// and builds the operation. Errors carry the exit status that etcdctl ends with
// (package exit).
package request

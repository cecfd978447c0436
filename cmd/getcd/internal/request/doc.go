// Package request turns the flags and arguments of put, get and del into etcd
// operations. It is used by the commands and by the request lines of a
// transaction, which have the same flags.
//
// [Put], [Get] and [Delete] hold the values of their flags. Register adds the
// flags to a flag set. Op checks them together with the arguments and builds the
// operation. Errors have the exit status with which etcdctl ends (package exit).
package request

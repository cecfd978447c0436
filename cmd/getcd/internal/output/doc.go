// Package output prints etcd's responses the way etcdctl 3.7 prints them, byte
// for byte, in its five formats: simple, fields, json, table and protobuf.
//
// The package knows the messages of etcd's protocol and nothing else: no
// connection, no flags. A [Printer] is made once per command by [New] and
// writes each response in one Write, so that a reader at the other end of a
// pipe never sees half a line.
//
// A few of etcdctl's habits look odd and are kept on purpose, because scripts
// depend on them: json shows int64 lease IDs as numbers, --hex changes json for
// the member list only, and protobuf shows no more than the header of the lease
// responses. Each is noted where it is implemented.
package output

// Package output prints etcd's responses exactly as etcdctl 3.7 does, byte for
// byte, in its five formats: simple, fields, json, table and protobuf.
//
// The package depends only on the messages of etcd's protocol: it knows no
// connection and no flags. Each command makes a [Printer] with [New]. The Printer
// writes each response in one Write, so that a reader at the other end of a pipe
// never sees half a line.
//
// A few of etcdctl's habits look odd and are kept on purpose, because scripts
// depend on them: json shows int64 lease IDs as numbers, --hex changes json for
// the member list only, and protobuf shows only the header of the lease
// responses. Each is documented where it is implemented.
package output

// Package cli is the command-line tool getcd: etcdctl's commands, flags,
// environment, output and exit statuses on the getcd library.
//
// [Run] is the whole tool as a function: arguments, streams and environment in,
// exit status out. Nothing below it reads os.Args, os.Stdout or the environment
// by itself, so that tests can run any command.
//
// A command does three things, in this order: it turns its arguments into a
// request (package request, or txn) and fails if they make none; it opens a
// session, which reads the environment, checks that the output format can show
// the answer, and makes the client; and it sends, and prints what comes back
// (package output). Where etcdctl would find out only after a write that it
// cannot print the answer, getcd does not write.
package cli

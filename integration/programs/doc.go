// Command programs moves programs that others have written from clientv3 to getcd, and
// shows what becomes of both when the member that they use is taken away.
//
//	go run ./integration/programs
//	go run ./integration/programs -only coredns,dskit -faults sigstop -for 10s -o -
//
// Each program is fetched as a Go module and copied twice. One copy is built as it is;
// the other is moved by the command that docs/from-clientv3.md has, and by the few edits
// that program.go lists. Both have the same versions of all else. Then they do their
// work, one after the other, on a cluster of three whose members are processes of their
// own behind proxies, while the member that carries most of their traffic, a follower,
// is killed, stopped or black-holed for a while. It needs Go, sh, grep, sed and xargs.
package main

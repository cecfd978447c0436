// Command programs moves third-party programs from clientv3 to getcd, and
// measures how both versions behave when the member that they use fails.
//
//	go run ./integration/programs
//	go run ./integration/programs -only coredns,dskit -faults sigstop -for 10s -o -
//
// Each program is fetched as a Go module and copied twice. One copy is built
// unchanged. The other is moved with the command in docs/guides/from-clientv3.md and the
// few edits that program.go lists. Both use the same versions of all other
// modules. Then they do their work, one after another, on a cluster of three
// members, which are separate processes behind proxies. Meanwhile the follower
// that carries most of their traffic is killed, stopped or black-holed for a
// while. It needs Go, sh, grep, sed and xargs.
package main

// Command peers runs other people's tests of an etcd client on clientv3 and on getcd,
// and tells of both side by side: etcd's own integration tests of its client, and
// kube-apiserver's storage. Make's target peers calls it.
//
//	go run ./integration/peers -markdown docs/peers.md
//	go run ./integration/peers -suite etcd -run 'TestLease' -sides getcd
//	go run ./integration/peers -short
//
// Each suite is fetched as the module that its authors publish, and copied twice below
// bin/peers: once as it is, and once with the import paths of clientv3 changed and its
// zap loggers adapted. Nothing else differs; rules.go lists each change. Both copies are
// built with the same dependencies. Each test runs in a process of its own with a limit,
// so that one that hangs costs only itself, and one that fails is tried again, on both
// sides alike; the output of each is kept in bin/peers/SUITE/SIDE.log.
//
// It exits with 1 when a test that passes on clientv3 does not pass on getcd and is not
// excused, by name and with a reason, in suites.go.
package main

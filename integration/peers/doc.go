// Command peers runs third-party tests of an etcd client on clientv3 and on
// getcd, and reports the results side by side. The tests are etcd's own
// integration tests of its client, those of kube-apiserver's storage, and those of
// libraries that use the client. Make's target peers runs these. The suite etcd-server,
// which is run only if it is named, has etcd's other integration tests, which use the
// client throughout.
//
//	go run ./integration/peers -markdown docs/reference/peers.md
//	go run ./integration/peers -suite etcd-server -limit 2m
//	go run ./integration/peers -suite etcd -run 'TestLease' -sides getcd
//	go run ./integration/peers -short
//
// Each suite is fetched as the module that its authors publish, and copied twice
// below bin/peers: once unchanged, and once with the import paths of clientv3
// changed and its zap loggers adapted. Nothing else differs; rules.go lists each
// change. Files that need a module that is not published are left out of both.
// Both copies are built with the same dependencies. Each test that expects an etcd gets
// a new one, of a single member. Each test runs in a separate
// process with a time limit, so that a test that hangs does not affect the others.
// A test that fails is repeated, on both sides alike.
// bin/peers/SUITE/SIDE.log has the output of each test.
//
// It exits with status 1 if a test that passes on clientv3 does not pass on
// getcd, unless suites.go excuses it by name and with a reason.
package main

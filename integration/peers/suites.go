package main

import "slices"

// suite is one module whose tests are run.
type suite struct {
	name     string
	module   string
	version  string
	about    string   // for the page
	packages []string // import paths below the module's
	short    []string // those of them that are run with -short
	apart    bool     // run only if it is named
	moved    []moved
	loggers  []logger
	tags     string            // build tags
	unneeded []string          // modules that go.mod requires only for other packages or files, and that may not be published
	unbuilt  []string          // files that need these modules
	excused  map[string]string // "package.Test", which covers its subtests, or "package.Test/sub": why it cannot pass
}

// What is done to both suites of etcd's.
var (
	etcdMoved = []moved{
		{"go.etcd.io/etcd/server/v3", "v3.7.3", "etcdserver/api/v3client", "makes the framework's Member.ServerClient"},
		{"go.etcd.io/etcd/server/v3", "v3.7.3", "etcdserver/api/v3lock", "serves locks with that client"},
		{"go.etcd.io/etcd/server/v3", "v3.7.3", "etcdserver/api/v3election", "serves elections with that client"},
		{"go.etcd.io/etcd/etcdctl/v3", "v3.7.3", "ctlv3/command", "parses the framework's comparisons"},
	}
	etcdLoggers = []logger{
		{"framework/integration/cluster.go", "", `m.Logger.Named("client")`},
		{"framework/integration/testing.go", "", `zaptest.NewLogger(tb).Named("client")`},
		{"integration/clientv3/snapshot/v3_snapshot_test.go", "", `zaptest.NewLogger(t)`},
		{"moved/etcdserver/api/v3client/v3client.go", "", `s.Logger()`},
		{"moved/ctlv3/command/ep_command.go", "clientv3.NewClientConfig(cloneCfgSpec, ", "lg"},
		{"moved/ctlv3/command/ep_command.go", "cfg.Logger = ", `lg.Named("client")`},
		{"moved/ctlv3/command/ep_command.go", "\t}, ", "lg"},
		{"moved/ctlv3/command/global.go", "clientv3.NewClientConfig(cc, ", "lg"},
		{"moved/ctlv3/command/snapshot_command.go", "snapshot.SaveWithVersion(ctx, ", "lg"},
	}
)

var suites = []suite{
	{
		name: "etcd", module: "go.etcd.io/etcd/tests/v3", version: "v3.7.3",
		about: "etcd's own integration tests of its Go client, with their framework, which runs the members in the test's process",
		packages: []string{
			"integration/clientv3",
			"integration/clientv3/concurrency",
			"integration/clientv3/connectivity",
			"integration/clientv3/examples",
			"integration/clientv3/experimental/recipes",
			"integration/clientv3/lease",
			"integration/clientv3/naming",
			"integration/clientv3/snapshot",
			"integration/clientv3/watch",
		},
		// All but connectivity, which takes the longest, since it waits for faults, and
		// what makes the same calls as the others.
		short: []string{
			"integration/clientv3",
			"integration/clientv3/concurrency",
			"integration/clientv3/lease",
			"integration/clientv3/naming",
			"integration/clientv3/snapshot",
			"integration/clientv3/watch",
		},
		excused: map[string]string{
			"connectivity.TestDropReadUnderNetworkPartition": "expects its own read to be in flight on the member when the leader is lost, and to be refused. " +
				"With getcd, the client's own first read on the new connection is in flight and is refused; the test's read follows it and is answered.",
		},
		unneeded: []string{"go.etcd.io/etcd/cache/v3"},
		moved:    etcdMoved,
		loggers:  etcdLoggers,
	},
	{
		// Some of its tests use the same ports, and one takes more than a minute, so it
		// needs -parallel 1 -limit 2m.
		apart: true,
		name:  "etcd-server", module: "go.etcd.io/etcd/tests/v3", version: "v3.7.3",
		about: "etcd's other integration tests with that framework: of its members, its lock and election servers, and its proxy",
		packages: []string{
			"integration",
			"integration/embed",
			"integration/proxy/grpcproxy",
			"common",
		},
		excused: map[string]string{
			"integration.TestElectionWithAuthEnabled": "expects nil of a second Campaign whose lease expires together with the first's, although its own key is gone by then. " +
				"getcd's Campaign returns ErrLeaseNotFound.",
			"integration.TestV3AuthWithLeaseRenew": "expects a follower to refuse a renewal because of a key that was attached to the lease just before. " +
				"clientv3 authenticates again before each stream, after which the follower has applied the key; getcd does not.",
			"grpcproxy.TestClusterProxyMemberList": "starts a server with the Cluster service only. " +
				"getcd makes no calls to a server that has never answered a read, since it may be none of etcd's.",
			"common.TestAuthority": "expects each of three members to get requests, as clientv3 spreads them; getcd uses one member at a time. " +
				"It also expects the name of a Unix domain socket as the :authority; getcd's is localhost, as is gRPC's.",
		},
		tags:     "integration", // common has a variant for each kind of cluster
		unneeded: []string{"go.etcd.io/etcd/cache/v3"},
		unbuilt:  []string{"integration/cache_test.go"},
		moved: slices.Concat(etcdMoved, []moved{
			{"go.etcd.io/etcd/server/v3", "v3.7.3", "proxy/grpcproxy", "is the proxy that the tests give a client to"},
			{"go.etcd.io/etcd/server/v3", "v3.7.3", "proxy/grpcproxy/adapter", "belongs to the proxy"},
			{"go.etcd.io/etcd/server/v3", "v3.7.3", "proxy/grpcproxy/cache", "belongs to the proxy"},
		}),
		loggers: etcdLoggers,
	},
	{
		name: "kube", module: "k8s.io/apiserver", version: "v0.37.2",
		about: "kube-apiserver's tests of its storage, which start etcd in the test's process",
		packages: []string{
			"pkg/storage/storagebackend/factory",
			"pkg/storage/etcd3",
			"pkg/storage/cacher",
		},
		short: []string{"pkg/storage/storagebackend/factory"},
		loggers: []logger{
			{"pkg/storage/etcd3/testserver/test_server.go", "", `zaptest.NewLogger(t, zaptest.Level(zapcore.ErrorLevel)).Named("etcd-client")`},
			// The variable is still zap's; its only use is adapted.
			{"pkg/storage/storagebackend/factory/etcd3.go", "Logger:               ", "etcd3ClientLogger"},
		},
	},
}

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
	alone    bool     // its tests use the same ports, and so run one at a time
	moved    []moved
	loggers  []logger
	tags     string            // build tags
	env      []string          // of the tests
	port     uint16            // of the etcd on loopback that the tests expect, and so run one at a time; 0 for none
	needed   []string          // versions that go.mod is to require besides its own
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

// Suites that require older versions get these, so that clientv3 is the same in all.
var (
	newest       = []string{"go.etcd.io/etcd/client/v3@v3.7.3"}
	newestServer = []string{"go.etcd.io/etcd/client/v3@v3.7.3", "go.etcd.io/etcd/server/v3@v3.7.3"}
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
		// One of its tests takes more than a minute, so it needs -limit 2m.
		apart: true, alone: true,
		name: "etcd-server", module: "go.etcd.io/etcd/tests/v3", version: "v3.7.3",
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
	{
		name: "etcd-lock", module: "github.com/Scalingo/go-etcd-lock/v5", version: "v5.0.8",
		about:    "the tests of a lock",
		packages: []string{"lock"}, needed: newest, port: 2379,
	},
	{
		name: "valkeyrie", module: "github.com/kvtools/etcdv3", version: "v1.0.3",
		about:    "the tests of valkeyrie's store in etcd",
		packages: []string{"."}, needed: newest, port: 4001,
	},
	{
		name: "go-zero", module: "github.com/zeromicro/go-zero", version: "v1.10.3",
		about:    "go-zero's tests of its discovery of services",
		packages: []string{"core/discov", "core/discov/internal"}, needed: newest, port: 2379,
	},
	{
		name: "gf", module: "github.com/gogf/gf/contrib/registry/etcd/v2", version: "v2.9.0",
		about:    "GoFrame's tests of its registry of services",
		packages: []string{"."}, needed: newest, port: 2379,
	},
	{
		name: "kitex", module: "github.com/kitex-contrib/registry-etcd", version: "v0.2.6",
		about:    "Kitex's tests of its registry of services, which start etcd in the test's process",
		packages: []string{".", "retry"}, alone: true,
		needed: append(newestServer, "github.com/bytedance/sonic@v1.15.0"), // its own can't be built with Go 1.26
	},
	{
		name: "cilium", module: "github.com/cilium/cilium", version: "v1.18.0",
		about:    "Cilium's tests of its store in etcd, and of what is built on it",
		packages: []string{"pkg/kvstore", "pkg/kvstore/store", "pkg/kvstore/allocator", "pkg/clustermesh/common"},
		needed:   newest, port: 4002, env: []string{"INTEGRATION_TESTS=true"},
		loggers: []logger{
			{"pkg/kvstore/etcd.go", "config.Logger = ", "etcd3ClientLogger"},
			{"pkg/kvstore/etcd_debug.go", "cfg.Logger = ", "zap.NewNop()"},
		},
	},
}

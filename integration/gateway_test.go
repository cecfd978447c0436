package integration_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/getcd/getcd/client"
)

// overEnv, set to "gateway", has the tests' clients use the members' JSON gateways.
const overEnv = "GETCD_OVER"

func overGateway() bool { return os.Getenv(overEnv) == "gateway" }

// connection is cfg for the connection that the tests run over.
func connection(cfg client.Config) client.Config {
	if !overGateway() {
		return cfg
	}
	scheme := "gateway+http://"
	if cfg.TLS != nil {
		scheme = "gateway+https://"
	}
	endpoints := make([]string, len(cfg.Endpoints))
	for i, e := range cfg.Endpoints {
		if endpoints[i] = "gateway+" + e; !strings.Contains(e, "://") {
			endpoints[i] = scheme + e
		}
	}
	cfg.Endpoints = endpoints
	return cfg
}

// grpcOnly skips a test of what the JSON gateway doesn't have.
func grpcOnly(tb testing.TB, what string) {
	tb.Helper()
	if overGateway() {
		tb.Skip("not over the JSON gateway: " + what)
	}
}

// The tests of the services pass over the JSON gateway as they do over gRPC.
func TestOverGateway(t *testing.T) {
	if overGateway() {
		t.Skip("these are they")
	}
	for _, test := range []string{
		"TestAuthLifecycle", "TestOneLoginForAll", "TestLockOutlivesItsToken", "TestUsersChangeMeanwhile",
		"TestMembership", "TestElectionsAreOne", "TestLocksBesideClientv3AndKeysOfOthers", "TestNamespaceOfTheServersLocksAndElections",
		"TestSnapshot", "TestMembersOneByOne", "TestMoveLeader", "TestAlarms", "TestDowngradeValidate",
		"TestWatchThroughKills", "TestWatchHistory", "TestWatchProgress", "TestWatchSlowConsumerMemory", "TestWatchTooLarge",
		"TestVersionsOfCalls", "TestPartsOfEveryServer", "TestKillEachMember",
	} {
		t.Run(test, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+test+"$", "-test.v", "-test.timeout=5m")
			cmd.Env = append(os.Environ(), overEnv+"=gateway")
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "--- PASS: "+test) && !strings.Contains(string(out), "--- SKIP: "+test) {
				t.Errorf("%v\n%s", err, out)
			}
			for line := range strings.Lines(string(out)) {
				if strings.Contains(line, "not over the JSON gateway") {
					t.Log(strings.TrimSpace(line))
				}
			}
		})
	}
}

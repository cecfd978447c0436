package client

import (
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// texts has every error that rpctypes defines, without its prefix ErrGRPC, and what is
// known of a request of one step that got it. Places are of etcd's server/etcdserver.
var texts = []struct {
	fate       fate
	why, names string
}{
	{
		answered, "the request is looked at before it is proposed (api/v3rpc/key.go, check…; interceptor.go)",
		"EmptyKey ValueProvided LeaseProvided TooManyOps DuplicateKey InvalidSortOption InvalidClientAPIVersion RequestTooLarge",
	},
	{
		answered, "what it names is not there, or is already: found before the first of its changes (txn/txn.go, check…; lease/lessor.go, Grant, Revoke)",
		"KeyNotFound Compacted FutureRev LeaseNotFound LeaseExist LeaseTTLTooLarge",
	},
	{unknown, "no server says so to a request: nothing is known", "WatchCanceled"},
	{
		answered, "said by who would propose a change of members, or by all instead of applying it (server.go, mayAddMember and so on; api/membership/cluster.go, ValidateConfigurationChange)",
		"MemberExist PeerURLExist MemberNotEnoughStarted MemberBadURLs MemberNotFound MemberNotLearner LearnerNotReady TooManyLearners Unhealthy",
	},
	{answered, "said by one who joins, before there is a cluster for it", "ClusterIDMismatch"},
	{
		answered, "said by all instead of changing users or roles, or before that (auth/store.go)",
		"RootUserNotExist RootRoleNotExist UserAlreadyExist UserNotFound RoleAlreadyExist RoleNotFound RoleEmpty AuthFailed PermissionNotGiven PermissionDenied RoleNotGranted PermissionNotGranted AuthNotEnabled InvalidAuthMgmt",
	},
	{answered, "said by all instead of applying anything (apply/uber_apply.go, applierV3Corrupt)", "Corrupt"},
	{answered, "MoveLeader's checks before it acts (api/v3rpc/maintenance.go; server.go, MoveLeader)", "NotLeader BadLeaderTransferee"},
	{
		answered, "Downgrade's checks before it proposes (v3_server.go, downgradeEnable, downgradeCancel)",
		"WrongDowngradeVersionFormat InvalidDowngradeTargetVersion ClusterVersionUnavailable DowngradeInProcess NoInflightDowngrade",
	},
	{refused, "by the interceptors, before the handler (api/v3rpc/interceptor.go)", "NoLeader NotCapable NotSupportedForLearner"},
	{overloaded, "before it is proposed (v3_server.go, processInternalRaftRequestOnce)", "RequestTooManyRequests"},
	{unauthenticated, "before it is proposed (v3_server.go, AuthInfoFromCtx), or by all instead of applying it", "InvalidAuthToken UserEmpty"},
	{outdated, "by all instead of applying it (auth/store.go, isOpPermitted)", "AuthOldRevision"},
	{doubtful, "also by the write that passes the quota, when it is applied (apply/quota.go)", "NoSpace"},
	{
		unknown, "the outcome was waited for in vain",
		"LeaderChanged Stopped Timeout TimeoutDueToLeaderFail TimeoutDueToConnectionLost TimeoutWaitAppliedIndex Canceled DeadlineExceeded",
	},
}

// lateFates are those of requests of several steps that are not what one step would make
// of them. Every other text of the one fate has the other.
var lateFates = map[string]struct {
	texts map[string]fate
	turns map[fate]fate
}{
	v3lockpb.Lock_Lock_FullMethodName:             lateWaits,
	v3electionpb.Election_Campaign_FullMethodName: lateWaits,
	pb.Cluster_MemberPromote_FullMethodName: {texts: map[string]fate{
		"MemberNotLearner": doubtful, "MemberNotFound": doubtful, "LearnerNotReady": doubtful, "NoLeader": unknown,
	}},
}

var lateWaits = struct {
	texts map[string]fate
	turns map[fate]fate
}{
	texts: map[string]fate{
		"NoLeader": refused, "NotCapable": refused, "NotSupportedForLearner": refused, "InvalidClientAPIVersion": answered,
		"LeaseNotFound": answered,
	},
	turns: map[fate]fate{answered: doubtful, refused: unknown, overloaded: unknown, unauthenticated: late, outdated: late},
}

// A text that is new in rpctypes fails this until somebody has thought about it.
func TestEveryTextHasAFate(t *testing.T) {
	want := make(map[string]fate)
	for _, g := range texts {
		for name := range strings.FieldsSeq(g.names) {
			if _, twice := want[name]; twice || g.why == "" {
				t.Errorf("%s is listed twice, or without a reason", name)
			}
			want[name] = g.fate
		}
	}
	defined := definedTexts(t)
	for name := range want {
		if _, ok := defined[name]; !ok {
			t.Errorf("ErrGRPC%s is listed, and not in rpctypes", name)
		}
	}
	for method := range methods {
		if _, listed := lateFates[method]; listed != (classify(method, nil, false).late != nil) {
			t.Errorf("%s: has a list of late fates: %v, want it if it has late steps", method, listed)
		}
	}
	for name, err := range defined {
		f, ok := want[name]
		if !ok {
			t.Errorf("%s is not listed: say what becomes of a request that gets it, and why", name)
			continue
		}
		// The code is not always that of the definition, when the error arrives.
		for _, err := range []error{err, status.Error(codes.Unknown, status.Convert(err).Message())} {
			if got := proposal.fateOf(err, true, true); got != f {
				t.Errorf("%v: got fate %d, want %d", err, got, f)
			}
			for method, late := range lateFates {
				f := f
				if turned, ok := late.turns[f]; ok {
					f = turned
				}
				if exact, ok := late.texts[name]; ok {
					f = exact
				}
				if got := classify(method, nil, false).fateOf(err, true, true); got != f {
					t.Errorf("%s: %v: got fate %d, want %d", method, err, got, f)
				}
			}
		}
	}
}

// definedTexts reads rpctypes' source for its ErrGRPC… variables.
func definedTexts(t *testing.T) map[string]error {
	t.Helper()
	path, _ := runtime.FuncForPC(reflect.ValueOf(rpctypes.Error).Pointer()).FileLine(0)
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Skipf("the source of rpctypes can't be read: %v (built with -trimpath?)", err)
	}
	out := make(map[string]error)
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "ErrGRPC") {
			return true
		}
		call, ok := spec.Values[0].(*ast.CallExpr)
		if !ok {
			return true // another name for one of them
		}
		code, text := call.Args[0].(*ast.SelectorExpr), call.Args[1].(*ast.BasicLit) //nolint:forcetypeassert // status.Error(codes.X, "…")
		desc, err := strconv.Unquote(text.Value)
		if err != nil {
			t.Fatal(err)
		}
		for c := range codes.Unauthenticated + 1 {
			if c.String() == code.Sel.Name {
				out[strings.TrimPrefix(spec.Names[0].Name, "ErrGRPC")] = status.Error(c, desc)
			}
		}
		return true
	})
	if len(out) < 50 {
		t.Errorf("%d texts were found in %s, want all", len(out), path)
	}
	return out
}

package etcderr_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/internal/etcderr"
)

func TestSorts(t *testing.T) {
	for _, tc := range []struct {
		name            string
		err             error
		code            codes.Code
		final, notFound bool
		stream          bool // final for one
		ambiguous       bool
	}{
		{"etcd's", rpctypes.ErrPermissionDenied, codes.PermissionDenied, true, false, true, false},
		{"etcd's, wrapped", fmt.Errorf("x: %w", rpctypes.ErrLeaseNotFound), codes.NotFound, false, true, false, false},
		{"etcd's on the wire", rpctypes.ErrGRPCLeaseNotFound, codes.NotFound, false, true, false, false},
		{"etcd's text, without its code", status.Error(codes.Unknown, "etcdserver: permission denied"), codes.PermissionDenied, true, false, true, false},
		{"old revision, of etcd 3.4", status.Error(codes.Unknown, "auth: revision in header is old"), codes.Unknown, false, false, false, false},
		{"another text without a code", status.Error(codes.Unknown, "no idea"), codes.Unknown, false, false, false, true},
		{"etcd's that passes", rpctypes.ErrNoLeader, codes.Unavailable, false, false, false, true},
		{"connection closed", status.Error(codes.Canceled, "grpc: the client connection is closing"), codes.Canceled, true, false, false, true},
		{"unreachable", status.Error(codes.Unavailable, "connection refused"), codes.Unavailable, false, false, false, true},
		{"timeout", status.Error(codes.DeadlineExceeded, "too slow"), codes.DeadlineExceeded, false, false, false, true},
		{"a context's", context.DeadlineExceeded, codes.Unknown, false, false, false, true},
		{"none of the server's", errors.New("x"), codes.Unknown, false, false, false, true},
		{"token refused", rpctypes.ErrInvalidAuthToken, codes.Unauthenticated, true, false, false, false},
		{"there already", rpctypes.ErrLeaseExist, codes.FailedPrecondition, false, false, false, false},
		{"compacted", rpctypes.ErrGRPCCompacted, codes.OutOfRange, false, false, false, false},
		{"no method", status.Error(codes.Unimplemented, "unknown method"), codes.Unimplemented, true, false, true, false},
		{"quota", rpctypes.ErrGRPCNoSpace, codes.ResourceExhausted, false, false, false, true},
		{"too large", status.Error(codes.ResourceExhausted, "grpc: received message larger than max (3 vs. 2)"), codes.ResourceExhausted, true, false, true, true},
		{"a client's that knows better", told{false, status.Error(codes.Unavailable, "x")}, codes.Unavailable, false, false, false, false},
		{"a client's that does not know", told{true, rpctypes.ErrPermissionDenied}, codes.PermissionDenied, true, false, true, true},
		{"one of many", errors.Join(told{false, errors.New("x")}, told{true, errors.New("y")}), codes.Unknown, false, false, false, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := etcderr.Code(tc.err); got != tc.code {
				t.Errorf("Code is %v, want %v", got, tc.code)
			}
			if got := etcderr.Final(tc.err); got != tc.final {
				t.Errorf("Final is %v, want %v", got, tc.final)
			}
			if got := etcderr.NotFound(tc.err); got != tc.notFound {
				t.Errorf("NotFound is %v, want %v", got, tc.notFound)
			}
			if got := etcderr.FinalForStream(tc.err); got != tc.stream {
				t.Errorf("FinalForStream is %v, want %v", got, tc.stream)
			}
			if got := etcderr.Ambiguous(tc.err); got != tc.ambiguous {
				t.Errorf("Ambiguous is %v, want %v", got, tc.ambiguous)
			}
		})
	}
}

func TestAlarmed(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want bool
	}{
		{rpctypes.ErrGRPCNoSpace, true},
		{told{true, rpctypes.ErrNoSpace}, true},
		{rpctypes.ErrGRPCCorrupt, true},
		{status.Error(codes.Unknown, rpctypes.ErrorDesc(rpctypes.ErrGRPCCorrupt)), true},
		{rpctypes.ErrGRPCRequestTooManyRequests, false},
		{rpctypes.ErrNoLeader, false},
		{context.Canceled, false},
	} {
		if got := etcderr.Alarmed(tc.err); got != tc.want {
			t.Errorf("%v: Alarmed is %v, want %v", tc.err, got, tc.want)
		}
	}
}

// told is an error that knows the fate of its write, as a client's does.
type told struct {
	ambiguous bool
	error
}

func (e told) Unwrap() error   { return e.error }
func (e told) Ambiguous() bool { return e.ambiguous }

// Which codes are final, and which leave a write's fate open, is decided here alone. A
// list elsewhere would have these two in one case.
func TestNobodyElseHasAList(t *testing.T) {
	list := regexp.MustCompile(`case .*codes\.PermissionDenied\b.*codes\.|case .*codes\..*codes\.PermissionDenied\b`)
	allowed := map[string]string{
		"internal/policy/reading.go": "what proves that a member works, whatever becomes of the request",
	}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(root, path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && (rel == "bin" || rel == "integration" || rel == "cmd" || rel == "etcdtest" || strings.HasPrefix(d.Name(), ".") && rel != "."):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(rel, ".go") || strings.HasSuffix(rel, "_test.go") || allowed[filepath.ToSlash(rel)] != "":
			return nil
		}
		text, err := os.ReadFile(path)
		for line := range strings.SplitSeq(string(text), "\n") {
			if list.MatchString(line) {
				t.Errorf("%s has a list of codes of its own; ask etcderr, or argue here why not: %s", rel, strings.TrimSpace(line))
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

package bare_test

import (
	"context"
	"fmt"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/clientv3/internal/bare"
	"github.com/getcd/getcd/middleware/once"
)

// told is an error around the client's that knows what became of its write.
type told struct {
	error
	ambiguous bool
}

func (e told) Unwrap() error   { return e.error }
func (e told) Ambiguous() bool { return e.ambiguous }

// The error of a write that is in doubt must not look like a refusal to a program that compares.
func TestInDoubt(t *testing.T) {
	refused := &client.Error{Op: "Range", Err: rpctypes.ErrPermissionDenied}
	for name, test := range map[string]struct{ err, want error }{
		"applied, and compacted":      {&once.AppliedError{Revision: 7, Err: &client.Error{Op: "Range", Err: rpctypes.ErrCompacted}}, rpctypes.ErrTimeout},
		"applied, and not to be read": {fmt.Errorf("x: %w", &once.AppliedError{Revision: 7, Err: refused}), rpctypes.ErrTimeout},
		"applied, and late":           {&once.AppliedError{Revision: 7, Err: context.DeadlineExceeded}, context.DeadlineExceeded},
		"in doubt":                    {told{refused, true}, rpctypes.ErrTimeout},
		"in doubt on etcd's own":      {told{rpctypes.ErrGRPCPermissionDenied, true}, rpctypes.ErrTimeout},
		"in doubt, as the cause is":   {told{rpctypes.ErrNoLeader, true}, rpctypes.ErrNoLeader},
		"certain":                     {told{refused, false}, rpctypes.ErrPermissionDenied},
		"the client's":                {refused, rpctypes.ErrPermissionDenied},
	} {
		if got := bare.Error(test.err); got != test.want { //nolint:errorlint // as programs do
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}
